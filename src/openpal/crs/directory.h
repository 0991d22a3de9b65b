/*
 * directory.h - directories made, made safe, removed
 *
 * All return 0, or -1 with errno.
 */
#ifndef OPENPAL_CRS_DIRECTORY_H
#define OPENPAL_CRS_DIRECTORY_H

/* With its parents, mode 0700 for those that are missing. The last one must be a directory of the
 * caller that others can't write to: else EPERM. */
int directory_make(const char *path);

/* With all that is in it; symbolic links aren't followed. */
int directory_remove(const char *path);

/* All files in it, and itself, are on disk. */
int directory_sync(const char *path);

/* 0 where there is nothing in it; ENOTEMPTY. */
int directory_is_empty(const char *path);

#endif
