/*
 * inotify_paths.h - paths of what an inotify instance watches
 */
#ifndef KOBJ_INOTIFY_PATHS_H
#define KOBJ_INOTIFY_PATHS_H

#include <sys/stat.h>

#include "kobj/kobj.h"
#include "proc/fdinfo.h"

/*
 * The kernel tells the inode of a watch, not the path that it was made with. proc_fd: /proc/PID of
 * the process that watches. ret_paths: an array of info->watches.n strings to be freed, NULL where
 * no path was found. Each leads to the inode, perhaps by another name than the program's.
 */
int inotify_find_paths(struct kobj_dump *ctx, int proc_fd, const struct fdinfo *info,
                       char ***ret_paths, struct crs_error *err);
void inotify_free_paths(char **paths, size_t n);

/*
 * Another name of a file that has lost the one it was opened by, `link` (with its mark): *ret, NULL
 * where none is found. In the freeze only likely places are looked at, and what was found before.
 */
int inotify_find_name(struct kobj_dump *ctx, int proc_fd, const char *link, const struct stat *st,
                      bool frozen, char **ret, struct crs_error *err);

/* While the process runs: find what all its instances watch, and other names of its files that lost
 * theirs, so that it is known in the freeze. */
void inotify_prepare(struct kobj_dump *ctx, int proc_fd);
/* Free ctx->watched. */
void inotify_forget(struct kobj_dump *ctx);

#endif
