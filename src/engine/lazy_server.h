/*
 * lazy_server.h - the process that brings a restarted program's pages
 *
 * It belongs to nobody: neither the program nor who restarted it has it as a child. It holds the
 * userfaultfds and the packs, and ends when all pages are there, or the program is gone. A second
 * process, the guard, shares its table of descriptors and so holds the userfaultfds, too: were the
 * last one closed, the kernel would give the program zeros. When the server can't go on the program
 * is killed, by the server or, if that was killed, by the guard.
 */
#ifndef ENGINE_LAZY_SERVER_H
#define ENGINE_LAZY_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "engine/lazy_space.h"
#include "store/store.h"

/* To who restarted the program: one record that it has begun; one at the end. There kind CRS_OK:
 * all is there, or the program has ended; else it was killed, for that reason. */
struct lazy_report {
    bool begun;
    struct crs_error error;
};

/* What server and guard know together. */
struct lazy_shared {
    atomic_bool done;      /* nothing depends on either of them any more */
    atomic_int highest_fd; /* no userfaultfd has a higher number */
    int report_fd;
    const void *unreadable; /* a page, in both */
    bool says;              /* standard error is there, for what nobody takes from report_fd */
    size_t n_pidfds;
    int pidfds[]; /* of the program's processes at the restart */
};

struct lazy_work {
    struct store_reader *reader;
    struct lazy_space **spaces; /* taken over */
    size_t n_spaces;
    struct lazy_shared *shared; /* shared memory */
    int ready_fd;               /* a byte is written when it serves; then it is closed */
};

_Noreturn void lazy_serve(const struct lazy_work *work);

/* ---- lazy_guard.c: nothing in it needs memory of its own, or locks ---- */

/* Watch the server, which is the caller. *ret_pidfd becomes readable when the guard is gone. */
int lazy_guard_start(struct lazy_shared *shared, pid_t *ret_pid, int *ret_pidfd);

/* The pages can't be brought: say why, kill the program, answer nobody's faults but with SIGBUS
 * until no address space is left. */
void lazy_give_up(struct lazy_shared *shared, const struct crs_error *why);

#endif
