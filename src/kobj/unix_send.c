/* unix_send.c - what was waiting to be read in a unix socket is sent to it again */
#include <stdlib.h>
#include <string.h>

#include "kobj/unix_socket.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

#define PIECE_SIZE (32u << 10) /* of a stream: the kernel cuts longer ones anyway */

/* ---- room ---- */

/* A sender, whose limit is lifted for a while. */
struct room {
    int fd;
    const struct unix_destination *to; /* NULL: what it is connected to */
    bool lifted;
    int size, lock; /* as before */
};

static bool lift(struct room *room, size_t wanted)
{
    socklen_t size = sizeof(int), lock_size = sizeof(int);
    int value = wanted > INT32_MAX / 4 ? INT32_MAX / 4 : (int)wanted;

    if (room->lifted || getsockopt(room->fd, SOL_SOCKET, SO_SNDBUF, &room->size, &size) < 0)
        return false;
    room->lock = 0;
    getsockopt(room->fd, SOL_SOCKET, SO_BUF_LOCK, &room->lock, &lock_size);
    room->lifted = true;
    return setsockopt(room->fd, SOL_SOCKET, SO_SNDBUFFORCE, &value, sizeof(value)) == 0 ||
           setsockopt(room->fd, SOL_SOCKET, SO_SNDBUF, &value, sizeof(value)) == 0;
}

static void put_back(struct room *room)
{
    int half = room->size / 2;

    if (!room->lifted)
        return;
    setsockopt(room->fd, SOL_SOCKET, SO_SNDBUF, &half, sizeof(half));
    setsockopt(room->fd, SOL_SOCKET, SO_BUF_LOCK, &room->lock, sizeof(room->lock));
}

/* ---- one message ---- */

/* The process is called otherwise now, if --pids=new. */
static pid_t pid_now(const struct kobj_restore *ctx, pid_t saved)
{
    const struct tracee *stub = unix_find_stub(ctx, saved);

    return stub ? stub->inner_pid : saved;
}

struct control {
    _Alignas(struct cmsghdr)
        uint8_t space[CMSG_SPACE(UNIX_MAX_FDS * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
    size_t size;
};

static void *add_control(struct control *control, int type, size_t size)
{
    struct cmsghdr *c = (struct cmsghdr *)(control->space + control->size);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(size);
    control->size += CMSG_SPACE(size);
    return CMSG_DATA(c);
}

static void fill_control(struct kobj_restore *ctx, const Crs__UnixMessage *message,
                         bool credentials, struct control *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (message->n_files > 0) {
        int *fds = add_control(ret, SCM_RIGHTS, message->n_files * sizeof(int));
        for (size_t i = 0; i < message->n_files; i++) {
            file_restore(ctx, file_find(ctx, message->files[i]), NULL); /* was it postponed? */
            fds[i] = ctx->file_fds[message->files[i] - 1];
        }
    }
    if (message->credentials && credentials) {
        struct ucred from = {pid_now(ctx, message->credentials->pid), message->credentials->uid,
                             message->credentials->gid};
        memcpy(add_control(ret, SCM_CREDENTIALS, sizeof(from)), &from, sizeof(from));
    }
}

static ssize_t send_piece(const struct room *room, const uint8_t *data, size_t size,
                          struct control *control, int flags)
{
    struct iovec iov = {(void *)data, size};
    struct msghdr header = {.msg_name = room->to ? (void *)&room->to->address : NULL,
                            .msg_namelen = room->to ? room->to->size : 0,
                            .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control->size ? control->space : NULL,
                            .msg_controllen = control->size};
    ssize_t n = sendmsg(room->fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL | flags);

    return n < 0 ? -errno : n;
}

/* -EPERM and -ESRCH: another's PID may not be given as ours, or nobody has it. */
static bool is_refused_sender(const Crs__UnixMessage *message, ssize_t r)
{
    return message->credentials && (r == -EPERM || r == -ESRCH);
}

/* The most that goes out at once: descriptors and an urgent byte are only at the beginning. */
static size_t next_size(const Crs__UnixSocket *receiver, const Crs__UnixMessage *message,
                        size_t done)
{
    size_t left = message->data.len - done;

    if (receiver->type != SOCK_STREAM)
        return left;
    if (message->urgent && done == 0)
        return 1;
    return left < PIECE_SIZE ? left : PIECE_SIZE;
}

static int send_one(struct kobj_restore *ctx, struct room *room, const Crs__UnixSocket *receiver,
                    const Crs__UnixMessage *message, size_t total, struct crs_error *err)
{
    struct control control;
    bool as_sender = true;
    size_t done = 0;

    fill_control(ctx, message, true, &control);
    for (;;) {
        bool urgent = message->urgent && done == 0;
        const uint8_t *data = done > 0 ? message->data.data + done : message->data.data;
        ssize_t n = send_piece(room, data, next_size(receiver, message, done), &control,
                               urgent ? MSG_OOB : 0);
        if (n == -EAGAIN && lift(room, total))
            continue;
        if (as_sender && is_refused_sender(message, n)) {
            as_sender = false;
            kobj_warn(ctx->progress, ctx->progress_arg,
                      "a message that waits in a unix socket was sent by process %u and seems to "
                      "be from another now (SCM_CREDENTIALS)",
                      message->credentials->pid);
            fill_control(ctx, message, false, &control);
            continue;
        }
        if (n < 0)
            return crs_fail(err, CRS_CANT_RESTART, (int)-n,
                            "what was waiting to be read in a unix socket can't be put back: %s",
                            strerror((int)-n));
        done += n;
        if (done >= message->data.len)
            return 0;
        if (message->n_files > 0) /* they have gone with the first piece */
            fill_control(ctx, &(Crs__UnixMessage){.credentials = message->credentials}, as_sender,
                         &control);
    }
}

static size_t total_size(const Crs__UnixSocket *receiver)
{
    size_t total = 4096;

    for (size_t i = 0; i < receiver->n_queue; i++)
        total += receiver->queue[i]->data.len + 2048; /* what the kernel adds to each */
    return total;
}

int unix_send_message(struct kobj_restore *ctx, int fd, const struct unix_destination *to,
                      const Crs__UnixSocket *receiver, const Crs__UnixMessage *message,
                      struct crs_error *err)
{
    struct room room = {.fd = fd, .to = to};
    int r = send_one(ctx, &room, receiver, message, message->data.len + 4096, err);

    put_back(&room);
    return r;
}

int unix_send_queue(struct kobj_restore *ctx, int fd, const Crs__UnixSocket *receiver,
                    struct crs_error *err)
{
    struct room room = {.fd = fd};
    size_t total = receiver->n_queue > 0 ? total_size(receiver) : 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < receiver->n_queue; i++)
        r = send_one(ctx, &room, receiver, receiver->queue[i], total, err);
    put_back(&room);
    return r;
}
