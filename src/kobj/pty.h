/*
 * pty.h - pseudoterminals whose master is in the snapshot: what the two ends share
 *
 * The master is a kind of its own and has the state of the pair. The slave is a terminal
 * (terminal.c); only how it is found and opened again stands here.
 */
#ifndef KOBJ_PTY_H
#define KOBJ_PTY_H

#include <sys/ioctl.h>

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

/* ---- what waits in a pair ---- */

/* struct termios2 of the kernel, whose header doesn't go together with <termios.h> */
struct pty_settings {
    uint32_t input, output, control, local;
    uint8_t line_discipline;
    uint8_t characters[19];
    uint32_t input_speed, output_speed;
};
_Static_assert(sizeof(struct pty_settings) == 44, "as the kernel's");
#define PTY_GET_SETTINGS _IOR('T', 0x2a, struct pty_settings)
#define PTY_SET_SETTINGS _IOW('T', 0x2b, struct pty_settings)

#define PTY_ROOM  (1u << 20) /* a pseudoterminal holds some ten KiB */
#define PTY_LINES 65536u

/* That a read of the slave gets, in canonical mode. */
struct pty_line {
    uint32_t size;
    bool delimited; /* its last character ends it; otherwise the end of input (^D) does */
};

struct pty_input {
    size_t n_lines;
    struct pty_line lines[PTY_LINES];
    size_t size; /* of the lines, and what isn't a line yet */
    uint8_t data[PTY_ROOM];
};

enum pty_stop {
    PTY_RUNS,
    PTY_STOPPED_BY_CALL, /* TCOOFF */
    PTY_STOPPED_BY_KEY,  /* ^S; nothing but a key lets it go on */
};

struct pty_waiting {
    int result;
    bool wants_input; /* set by the caller */
    enum pty_stop stop;
    size_t output_size;
    uint8_t output[PTY_ROOM];
    struct pty_input input;
};

struct pty_waiting *pty_waiting_new(void); /* NULL: out of memory */
void pty_waiting_free(struct pty_waiting *w);
DEFINE_CLEANUP(struct pty_waiting, pty_waiting)
#define _cleanup_pty_waiting_ _cleanup_(cleanup_pty_waiting)

/* What waits, which stays there; a slave was open some time. -errno: nothing was touched, except
 * with -EIO, -EOVERFLOW and -ETIMEDOUT. */
int pty_read_waiting(int master, struct pty_waiting *w);
/* Put that into a new pair, which has its settings. -errno. */
int pty_put_waiting(int master, const struct pty_waiting *w);

/* Its parts: output (pty_output.c). Is it stopped? Where output waits there may be just no room. */
bool pty_is_stopped(int slave);
/* When no output waits: let it go on. */
enum pty_stop pty_let_go_on(int slave);
void pty_drain_output(int master, struct pty_waiting *w);
/* All of it, into either end, which doesn't block. -errno. */
int pty_write(int end, const uint8_t *data, size_t size);

/* Input (pty_input.c). The settings are those of the program. */
bool pty_is_canonical(const struct pty_settings *s);
/* -EOVERFLOW: with that many characters there may be more behind them, not processed yet. */
int pty_check_input(const struct pty_settings *s, int waiting);
/* Changes the settings. */
int pty_take_input(int slave, const struct pty_settings *s, struct pty_input *in);
/* Others for putting, in both directions, until the caller sets those of the program again. */
int pty_begin_put(int slave, const struct pty_settings *s);
/* *ret_put: of its characters. More doesn't fit before what waits unprocessed behind it. */
int pty_put_input(int master, int slave, const struct pty_settings *s, const struct pty_input *in,
                  size_t *ret_put);
/* What didn't fit, when the program's settings are back. */
int pty_put_late(int master, const struct pty_input *in, size_t from);
int pty_stop_by_key(int master, int slave, const struct pty_settings *s);

/* In a mount namespace of ours: a /dev/pts of its own, where all numbers are free. -errno. */
int pty_mount_own(void);
/* In that of a program that had mounts of its own: the same, unless it has terminals of the
 * outside. Before a pseudoterminal is made. */
void pty_choose_devpts(struct kobj_restore *ctx);

/* A new master, by preference of the pair with that number (pty_devpts.c). */
int pty_open_master(struct kobj_restore *ctx, uint32_t number, int flags, int *ret_fd,
                    struct crs_error *err);

#endif
