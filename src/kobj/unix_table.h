/*
 * unix_table.h - all unix sockets of our network namespace, as the kernel lists them
 *
 * The list comes from sock_diag(7); where that is refused, or the kernel has no unix_diag module,
 * from /proc/net/unix, which doesn't tell who is connected to whom (`exact` is false then).
 */
#ifndef KOBJ_UNIX_TABLE_H
#define KOBJ_UNIX_TABLE_H

#include <stdbool.h>
#include <sys/types.h>
#include "base/array.h"
#include "base/error.h"

struct unix_entry {
    uint64_t inode; /* 0: a connection that isn't accepted yet */
    unsigned type;
    bool listening, connected;
    bool has_peer;
    uint64_t peer;             /* 0: not accepted yet, or closed */
    unsigned shutdown;         /* 1: receiving, 2: sending */
    uint32_t waiting, backlog; /* bytes to be read; listening: connections, and how many may wait */
    bool has_file;             /* bound to a path: */
    dev_t file_dev;
    uint32_t file_inode;
    struct bytes name; /* as in sun_path; inexact: zero bytes are '@' */
    uint32_t *queued;  /* listening: inodes of the sockets that wait to be accepted, 0: closed */
    size_t n_queued;
    uint32_t file; /* OpenFile.id of the snapshot being made; 0: it isn't in it */
};

struct unix_table {
    ARRAY_OF(struct unix_entry) entries; /* by inode, ascending */
    bool exact;
    uint64_t network; /* SO_NETNS_COOKIE of our network namespace; 0: the kernel has none */
};

/* SO_NETNS_COOKIE; 0: before Linux 5.14. */
uint64_t unix_network_of(int fd);

int unix_table_read(struct unix_table **ret, struct crs_error *err);
void unix_table_free(struct unix_table *table);

/* NULL: it isn't there. */
struct unix_entry *unix_table_find(const struct unix_table *table, uint64_t inode);

#endif
