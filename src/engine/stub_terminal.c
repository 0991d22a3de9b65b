/* stub_terminal.c - controlling terminals of the sessions that stubs make */
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#include "engine/stub_terminal.h"

/* The number of its terminal in all stubs; -1: it leads no session that has one. */
static int terminal_of(const struct stub_tree *tree, const struct kobj_restore *ctx, size_t i)
{
    const struct lineage_member *m = &tree->lineage.members.items[i];

    return m->record && m->session == (int)i ? kobj_terminal_number(ctx, m->record->pid) : -1;
}

int stub_terminal_take(struct stub_tree *tree, const struct kobj_restore *ctx, size_t i,
                       struct crs_error *err)
{
    int fd = terminal_of(tree, ctx, i);

    return fd < 0 ? 0
                  : REMOTE_CHECKED(tracee_main(tree->stubs[i]), NULL, err, CRS_CANT_RESTART,
                                   "take the controlling terminal", SYS_ioctl, fd, TIOCSCTTY, 0);
}

/* By one of the session. SIGTTOU, for one in the background, is blocked like all signals. */
static int set_foreground(struct tracee *t, int fd, pid_t group, struct crs_error *err)
{
    const uint64_t args[6] = {fd, TIOCSPGRP};
    int64_t result;
    int r = tracee_call_with_block(tracee_main(t), &result, err, SYS_ioctl, args, 2, &group, NULL,
                                   sizeof(group));

    return r == 0 && result < 0
               ? crs_fail(err, CRS_CANT_RESTART, -result,
                          "can't put process group %d into the foreground of its terminal: %s",
                          (int)group, strerror(-result))
               : r;
}

/* The group in the foreground has ended, and nobody else was put there: so it is done again. */
static int set_foreground_ended(struct tracee *leader, int fd, struct crs_error *err)
{
    struct tracee *t;
    int r = stub_fork(tracee_main(leader), 0, 0, 0, &t, err);

    if (r < 0)
        return r;
    pid_t pid = t->pid;
    r = REMOTE_CHECKED(tracee_main(t), NULL, err, CRS_FAILED, "make a process group", SYS_setpgid,
                       0, 0);
    if (r == 0)
        r = set_foreground(t, fd, pid, err);
    if (r == 0)
        r = stub_end(t, 0, err);
    else
        stub_kill(t);
    tracee_free(t);
    return r < 0 ? r
                 : REMOTE_CHECKED(tracee_main(leader), NULL, err, CRS_FAILED, "wait for a helper",
                                  SYS_wait4, pid, 0, __WALL, 0);
}

/* -1: none of the session's groups. */
static int foreground_group(const struct stub_tree *tree, int leader)
{
    const struct lineage_member *members = tree->lineage.members.items;

    for (size_t i = 0; i < tree->n_processes; i++)
        if (members[i].session == leader && members[i].record->foreground)
            return members[i].group;
    return -1;
}

int stub_terminals_give(struct stub_tree *tree, const struct kobj_restore *ctx,
                        struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < tree->n_processes; i++) {
        int fd = terminal_of(tree, ctx, i), group = fd < 0 ? -1 : foreground_group(tree, i);
        if (fd < 0)
            continue;
        r = group < 0 ? set_foreground_ended(tree->stubs[i], fd, err)
                      : set_foreground(tree->stubs[i], fd, tree->stubs[group]->pid, err);
        if (r < 0)
            crs_fail_at(err, r, "process %u", tree->lineage.members.items[i].record->pid);
    }
    return r;
}
