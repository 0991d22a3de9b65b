/*
 * snapshots.h - snapshots of Open PAL in their directories, for people
 */
#ifndef CLI_OPENPAL_SNAPSHOTS_H
#define CLI_OPENPAL_SNAPSHOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct snapshot_info {
    char *path; /* absolute */
    char *component, *time;
    int pid;
    int n_restarts;      /* that the process had behind it */
    uint64_t id;         /* of the checkpoint; 0: unknown */
    char *place;         /* where a restarted process looks for news; NULL: unknown */
    uint64_t size_bytes; /* of all its files */
};

void snapshot_info_clear(struct snapshot_info *info);
#define _cleanup_snapshot_info_ __attribute__((cleanup(snapshot_info_clear)))

/* The directory of a handle: a path, or a name in `where` (NULL: the parameter
 * crs_base_snapshot_dir). */
int snapshot_find(const char *handle, const char *where, char **ret_path, struct crs_error *err);
int snapshot_read(const char *path, struct snapshot_info *ret, struct crs_error *err);

/* Print those in `where`, oldest first; of one process, unless pid is 0. */
int snapshots_list(const char *where, int pid, struct crs_error *err);
void snapshot_print(const struct snapshot_info *info);

/* The parameter crs_base_snapshot_dir; on the heap. *ret_given: somebody has set it. */
char *snapshots_directory(bool *ret_given);

#endif
