/*
 * pty.h - pseudoterminals whose master is in the snapshot: what the two ends share
 *
 * The master is a kind of its own and has the state of the pair. The slave is a terminal
 * (terminal.c); only how it is found and opened again stands here.
 */
#ifndef KOBJ_PTY_H
#define KOBJ_PTY_H

#include "kobj/kobj.h"
#include "pty_master.pb-c.h"
#include "terminal.pb-c.h"

/* Multiplexers, as opened: their device is not that of the pair. */
bool pty_is_master(const struct stat *st);
bool pty_is_slave(const struct stat *st);
/* A terminal opened as /dev/tty: the description doesn't name it. */
bool pty_is_controlling(const struct stat *st);

/* What stat(2) says of the slave behind a master. -errno. */
int pty_stat_slave(int master_fd, struct stat *ret);

/* The master of a slave (or /dev/tty) among the files of the snapshot; NULL: it isn't there. */
const struct open_file *pty_find_master(const struct kobj_dump *ctx, const struct open_file *slave);
/* The first of the snapshot's files that is the slave of that master; NULL: none. */
const struct open_file *pty_find_slave(const struct kobj_dump *ctx, const struct open_file *master,
                                       const struct stat *slave);

/* A slave that was dumped with pty_master or hung_up, opened again. */
int pty_restore_slave(struct kobj_restore *ctx, const Crs__OpenFile *record,
                      const Crs__Terminal *terminal, int *ret_fd, struct crs_error *err);

/* Whose controlling terminal it is, into the record: a session of the snapshot, or it is refused
 * (pty_session.c). */
int pty_dump_session(struct kobj_dump *ctx, const struct open_file *file, Crs__PtyMaster *m,
                     struct crs_error *err);
int pty_check_session(const struct kobj_restore *ctx, const Crs__PtyMaster *m,
                      struct crs_error *err);
/* /dev/tty, opened by the leader of the session. -errno: it can't be. */
int pty_open_controlling(struct kobj_restore *ctx, const Crs__OpenFile *record,
                         const Crs__OpenFile *master, int *ret_fd);

/* What the master would read, which stays there (pty_output.c); a slave was open some time. -errno:
 * nothing was touched, except with -EIO and -ETIMEDOUT. */
int pty_read_output(int master, struct bytes *ret, bool *ret_stopped);
/* Write that to the slave as it is, whatever its settings, and stop its output. -errno. */
int pty_put_output(int master, const uint8_t *data, size_t size, bool stopped);
/* Where no output waits: has the user stopped it (^S)? It takes none then. */
bool pty_is_stopped(int slave);

/* In a mount namespace of ours: a /dev/pts of its own, where all numbers are free. -errno. */
int pty_mount_own(void);
/* In that of a program that had mounts of its own: the same, unless it has terminals of the
 * outside. Before a pseudoterminal is made. */
void pty_choose_devpts(struct kobj_restore *ctx);

/* A new master, by preference of the pair with that number (pty_devpts.c). */
int pty_open_master(struct kobj_restore *ctx, uint32_t number, int flags, int *ret_fd,
                    struct crs_error *err);

#endif
