/*
 * thread_directory.h - threads that have a working directory and umask of their own
 *
 * Such a thread has called unshare(CLONE_FS); threads that it makes share them with it.
 */
#ifndef KOBJ_THREAD_DIRECTORY_H
#define KOBJ_THREAD_DIRECTORY_H

#include "kobj/kobj.h"

/* *ret_own: it has its own; *ret_shares_with: the Thread.tid of the one that has made it so (or one
 * that shares it), 0: it is the first. */
int thread_directory_find(const Crs__Thread *record, bool *ret_own, uint32_t *ret_shares_with,
                          struct crs_error *err);

#endif
