/*
 * unix_pair.c - pairs of unix sockets, made by whom they were made
 *
 * SO_PEERCRED tells for ever which process has made a pair. Where that is one of the snapshot, its
 * stub makes it, and we take duplicates; else it is us.
 */
#include <string.h>
#include <sys/syscall.h>

#include "kobj/unix_socket.h"

struct tracee *unix_find_stub(const struct kobj_restore *ctx, uint32_t pid)
{
    for (size_t i = 0; ctx->stubs && i < ctx->tree->n_processes; i++)
        if (ctx->tree->processes[i]->pid == pid)
            return ctx->stubs[i];
    return NULL;
}

static int take(struct tracee *t, int number, int *ret, struct crs_error *err)
{
    int r = tracee_get_fd(t, number, ret, err);
    int closed = REMOTE_CHECKED(tracee_main(t), NULL, r < 0 ? NULL : err, CRS_FAILED,
                                "close a descriptor", SYS_close, number);

    return r < 0 ? r : closed;
}

static int make_by(struct tracee *t, int type, int *ret_a, int *ret_b, struct crs_error *err)
{
    _cleanup_close_ int a = -1, b = -1;
    int ends[2] = {-1, -1};
    int64_t result;

    int r =
        tracee_call_with_block(tracee_main(t), &result, err, SYS_socketpair,
                               (const uint64_t[6]){AF_UNIX, (uint64_t)(type | SOCK_CLOEXEC), 0, 0},
                               3, NULL, ends, sizeof(ends));
    if (r == 0 && result < 0)
        r = crs_fail(err, CRS_CANT_RESTART, (int)-result,
                     "the process can't make a pair of unix sockets: %s", strerror((int)-result));
    if (r == 0)
        r = take(t, ends[0], &a, err);
    if (r == 0)
        r = take(t, ends[1], &b, err);
    if (r < 0)
        return r;
    *ret_a = TAKE_FD(a);
    *ret_b = TAKE_FD(b);
    return 0;
}

int unix_make_pair(struct kobj_restore *ctx, const Crs__UnixSocket *a, const Crs__UnixSocket *b,
                   int *ret_a, int *ret_b, struct crs_error *err)
{
    const Crs__UnixCredentials *by = a->peer_credentials;
    const Crs__UnixCredentials *also = b ? b->peer_credentials : by;
    struct tracee *maker = by && also && by->pid == also->pid ? unix_find_stub(ctx, by->pid) : NULL;
    int ends[2];

    if (maker)
        return make_by(maker, a->type, ret_a, ret_b, err);
    if (socketpair(AF_UNIX, a->type | SOCK_CLOEXEC, 0, ends) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't make a pair of unix sockets");
    *ret_a = ends[0];
    *ret_b = ends[1];
    return 0;
}
