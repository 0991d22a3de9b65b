/* unix_peek.c - looking at what waits in a unix socket */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "kobj/unix_queue.h"

#define CONTROL_SIZE 4096 /* descriptors, credentials, a security label */

#ifndef SCM_PIDFD
#define SCM_PIDFD 4
#endif

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

/* ---- the offset ---- */

int unix_peek_set_offset(struct unix_queue *q, size_t offset, struct crs_error *err)
{
    int value = (int)offset; /* never beyond what one buffer holds */
    struct unix_guard *guard;
    int r = unix_guard_get(q->ctx, &guard, err);

    if (r < 0)
        return r;
    unix_guard_hold(guard, q->file->dup_fd, q->peek_off);
    q->changed = true;
    if (setsockopt(q->file->dup_fd, SOL_SOCKET, SO_PEEK_OFF, &value, sizeof(value)) < 0)
        return file_refuse_errno(q->file, err, "look beyond the first record in it");
    return 0;
}

void unix_peek_reset(struct unix_queue *q)
{
    if (!q->changed)
        return;
    setsockopt(q->file->dup_fd, SOL_SOCKET, SO_PEEK_OFF, &q->peek_off, sizeof(q->peek_off));
    unix_guard_release(q->ctx->unix_guard);
    q->changed = false;
}

/* Peek from `offset`; the first needs no change where the program has made none. */
int unix_peek_go_to(struct unix_queue *q, size_t offset, struct crs_error *err)
{
    return offset == 0 && q->peek_off < 0 && !q->changed ? 0 : unix_peek_set_offset(q, offset, err);
}

/* ---- one look ---- */

void unix_extra_close(struct unix_extra *extra)
{
    for (size_t i = 0; i < extra->n_fds; i++)
        cleanup_close(&extra->fds[i]);
    extra->n_fds = 0;
}

static void take_control(struct msghdr *header, struct unix_extra *ret)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        size_t size = c->cmsg_len - CMSG_LEN(0);
        if (c->cmsg_level != SOL_SOCKET)
            continue;
        if (c->cmsg_type == SCM_RIGHTS) {
            memcpy(ret->fds, CMSG_DATA(c), size);
            ret->n_fds = size / sizeof(int);
        } else if (c->cmsg_type == SCM_CREDENTIALS) {
            memcpy(&ret->credentials, CMSG_DATA(c), sizeof(ret->credentials));
            ret->has_credentials = true;
        } else if (c->cmsg_type == SCM_PIDFD && size == sizeof(int)) {
            int pidfd;
            memcpy(&pidfd, CMSG_DATA(c), sizeof(pidfd));
            cleanup_close(&pidfd);
        }
    }
}

/* -errno, without words. unix_extra_close() is the caller's. */
ssize_t unix_peek(struct unix_queue *q, struct iovec *iov, size_t n_iov, struct unix_extra *ret)
{
    _Alignas(struct cmsghdr) uint8_t control[CONTROL_SIZE];
    struct msghdr header = {.msg_iov = iov,
                            .msg_iovlen = n_iov,
                            .msg_control = control,
                            .msg_controllen = sizeof(control),
                            .msg_name = &ret->sender,
                            .msg_namelen = sizeof(ret->sender)};

    ssize_t n =
        recvmsg(q->file->dup_fd, &header, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return -errno;
    ret->n_fds = 0;
    ret->has_credentials = false;
    take_control(&header, ret);
    ret->sender_size = header.msg_namelen;
    ret->flags = header.msg_flags;
    return n;
}

int unix_peek_reserve(struct unix_queue *q, size_t size, struct crs_error *err)
{
    if (size <= q->data_size)
        return 0;
    free(q->data);
    q->data = malloc(size);
    q->data_size = q->data ? size : 0;
    return q->data ? 0 : out_of_memory(err);
}

int unix_extra_check(const struct unix_queue *q, const struct unix_extra *extra,
                     struct crs_error *err)
{
    if (!(extra->flags & MSG_CTRUNC))
        return 0;
    return file_refuse(q->file, err,
                       "descriptors on their way through it can't be received: this tool may have "
                       "no more open",
                       "raise its limit of descriptors (ulimit -Hn)");
}
