/*
 * waitable.h - what a parent's wait would tell of a child, asked without taking it
 *
 * The parent itself is made to ask, by waitid(2) with WNOWAIT: so the answer is the whole truth
 * (a core dump, a stop that was waited for already), and needs no right over the child.
 */
#ifndef ENGINE_WAITABLE_H
#define ENGINE_WAITABLE_H

#include "tracee/tracee.h"

/* The status of a child that has ended, as of wait(2); `pid` as the parent sees it. *ret_found
 * false: there's no such child to wait for. */
int waitable_end(struct tracee *parent, pid_t pid, bool *ret_found, uint32_t *ret_status,
                 struct crs_error *err);

/* Is the child stopped, and has the parent not waited for that stop yet? */
int waitable_stop(struct tracee *parent, pid_t pid, bool *ret, struct crs_error *err);

#endif
