/*
 * pty_session.c - pseudoterminals that are the controlling terminal of a session
 *
 * A process gets its controlling terminal from its parent; only the leader of a session can take
 * one, so it must have it before the others of the session are forked. The kernel takes it from all
 * of them when the leader ends: so there is always a leader.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "kobj/file.h"
#include "kobj/pty.h"

struct session_terminal {
    uint32_t session;
    int fd; /* a slave */
};

struct session_terminals {
    ARRAY_OF(struct session_terminal) list;
};

int pty_dump_session(struct kobj_dump *ctx, const struct open_file *file, Crs__PtyMaster *m,
                     struct crs_error *err)
{
    pid_t session;
    char reason[160];

    if (ioctl(file->dup_fd, TIOCGSID, &session) < 0)
        return 0; /* of none */
    const struct tracee *leader = session > 0 ? kobj_find_member(ctx, session) : NULL;
    if (leader) {
        m->session = leader->inner_pid;
        return 0;
    }
    snprintf(reason, sizeof(reason),
             "its slave is the controlling terminal of session %d, which isn't part of the "
             "checkpoint",
             (int)session);
    return file_refuse(file, err, reason,
                       "end that session before the checkpoint, or take one of it too");
}

/* ---- restart ---- */

static size_t find_process(const struct kobj_restore *ctx, uint32_t pid)
{
    size_t i = 0;

    while (i < ctx->tree->n_processes && ctx->tree->processes[i]->pid != pid)
        i++;
    return i;
}

int pty_check_session(const struct kobj_restore *ctx, const Crs__PtyMaster *m,
                      struct crs_error *err)
{
    size_t i = m->session ? find_process(ctx, m->session) : 0;
    const Crs__Process *leader = i < ctx->tree->n_processes ? ctx->tree->processes[i] : NULL;

    if (m->session && (!leader || leader->zombie || leader->session != leader->pid))
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "a pseudoterminal is that of session %u, which has no leader", m->session);
    return 0;
}

/* The session of a master's record; 0: none, or it isn't a master. */
static int read_session(const Crs__OpenFile *record, uint32_t *ret, struct crs_error *err)
{
    Crs__PtyMaster *m;

    *ret = 0;
    if (strcmp(record->kind, kobj_pty_master.name) != 0)
        return 0;
    int r = file_unpack(record, &crs__pty_master__descriptor, (ProtobufCMessage **)&m, err);
    if (r < 0)
        return r;
    *ret = m->session;
    crs__pty_master__free_unpacked(m, NULL);
    return 0;
}

static int open_terminal(struct kobj_restore *ctx, const Crs__OpenFile *master, uint32_t session,
                         int lowest_fd, struct crs_error *err)
{
    int r = file_restore(ctx, master, err);

    if (r < 0)
        return r;
    struct session_terminal *place = ARRAY_ADD(&ctx->terminals->list);
    if (!place)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a list of terminals");
    *place = (struct session_terminal){.session = session, .fd = -1};
    _cleanup_close_ int slave =
        ioctl(ctx->file_fds[master->id - 1], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave >= 0)
        place->fd = fcntl(slave, F_DUPFD, lowest_fd);
    return place->fd < 0
               ? crs_fail_errno(err, CRS_CANT_RESTART, "can't open a pseudoterminal's slave")
               : 0;
}

int kobj_open_terminals(struct kobj_restore *ctx, int lowest_fd, struct crs_error *err)
{
    int r = file_restore_begin(ctx, err);

    ctx->terminals = calloc(1, sizeof(*ctx->terminals));
    if (r == 0 && !ctx->terminals)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a list of terminals");
    for (size_t i = 0; r == 0 && i < ctx->files->n_files; i++) {
        uint32_t session;
        r = read_session(ctx->files->files[i], &session, err);
        if (r == 0 && session)
            r = open_terminal(ctx, ctx->files->files[i], session, lowest_fd, err);
    }
    return r;
}

int kobj_terminal_number(const struct kobj_restore *ctx, uint32_t session)
{
    for (size_t i = 0; ctx->terminals && i < ctx->terminals->list.n; i++)
        if (ctx->terminals->list.items[i].session == session)
            return ctx->terminals->list.items[i].fd;
    return -1;
}

void kobj_close_terminals(struct kobj_restore *ctx)
{
    struct session_terminals *terminals = TAKE_PTR(ctx->terminals);

    if (!terminals)
        return;
    for (size_t i = 0; i < terminals->list.n; i++)
        cleanup_close(&terminals->list.items[i].fd);
    free(terminals->list.items);
    free(terminals);
}

/* ---- /dev/tty ---- */

int pty_open_controlling(struct kobj_restore *ctx, const Crs__OpenFile *record,
                         const Crs__OpenFile *master, int *ret_fd)
{
    static const char path[] = "/dev/tty";
    uint32_t session;
    int64_t remote, result;

    if (read_session(master, &session, NULL) < 0 || session == 0)
        return -ENXIO;
    struct tracee *t = ctx->stubs[find_process(ctx, session)];
    const uint64_t args[6] = {AT_FDCWD, 0, (file_open_flags(record) & ~O_CLOEXEC) | O_NOCTTY};
    int r = tracee_call_with_block(tracee_main(t), &remote, NULL, SYS_openat, args, 1, path, NULL,
                                   sizeof(path));
    if (r < 0 || remote < 0)
        return r < 0 ? r : (int)remote;
    r = tracee_get_fd(t, (int)remote, ret_fd, NULL);
    REMOTE(tracee_main(t), &result, NULL, SYS_close, remote);
    return r;
}
