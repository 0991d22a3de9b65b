/*
 * temporary.h - the directory in which a snapshot grows
 *
 * `.NAME.tmp-PID-RANDOM` beside the final NAME, locked (flock of the file .lock in it) by its
 * writer as long as that lives. One whose lock is free was left behind and may go.
 */
#ifndef STORE_TEMPORARY_H
#define STORE_TEMPORARY_H

#include <stdbool.h>
#include <limits.h>

#include "base/error.h"

struct temporary {
    int parent_fd;
    int fd;      /* the directory */
    int lock_fd; /* -1: a file system without locks */
    char name[NAME_MAX + 1];
};
#define TEMPORARY_NONE                                                                             \
    {                                                                                              \
        -1, -1, -1, ""                                                                             \
    }

/* Make one for `final` in parent_fd, which it takes over in any case. `where` is for words. */
int temporary_make(int parent_fd, const char *final, const char *where, struct temporary *ret,
                   struct crs_error *err);

/* Remove its files and itself, if it still stands, and close everything. Keeps errno. */
void temporary_clear(struct temporary *temporary);

/* Is it the name of a temporary? ret_final gets the NAME in it where not NULL. */
bool temporary_is_name(const char *name, char ret_final[NAME_MAX + 1]);

/* Remove those in the directory that were left behind by writers that are gone. */
void temporary_clean(int parent_fd);

#endif
