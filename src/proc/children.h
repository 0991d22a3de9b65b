/*
 * children.h - /proc/PID/task/TID/children: the processes that a thread made; text in, struct out
 */
#ifndef PROC_CHILDREN_H
#define PROC_CHILDREN_H

#include <stddef.h>
#include <sys/types.h>

/* *ret is allocated by malloc(); NULL when there is no child. 0, -EINVAL, -ENOMEM. */
int proc_children_parse(const char *text, pid_t **ret, size_t *ret_n);

#endif
