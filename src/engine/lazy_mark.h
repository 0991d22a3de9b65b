/*
 * lazy_mark.h - by what those are known who bring a program's memory (crs restart --lazy)
 *
 * In a namespace of the program's own they are children of its supervisor, as what it has taken in;
 * but they are no part of the program. They hold a memfd of that name.
 */
#ifndef ENGINE_LAZY_MARK_H
#define ENGINE_LAZY_MARK_H

#include <stdbool.h>
#include <sys/types.h>

#define LAZY_SERVER_NAME "crs-fill"
#define LAZY_GUARD_NAME  "crs-fill-guard"

/* In the server: a mark, which is there as long as the table of descriptors. -errno. */
int lazy_mark_new(void);

/* Is it one of them, or was until it ended? */
bool lazy_mark_is_at(pid_t pid);

#endif
