/* unix_stream.c - what waits in a unix stream socket: bytes, descriptors at some of them */
#include <string.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>

#include "kobj/unix_queue.h"

#define BAD_ADDRESS ((void *)16) /* nothing is ever mapped there */

/*
 * Where, in the n bytes from `offset` on, does the message with the descriptors begin? The kernel
 * gives what it has copied when it meets an address that isn't there. So if the place for the last
 * byte is none, only what precedes the message with the descriptors comes.
 */
static int find_boundary(struct unix_queue *q, size_t offset, size_t n, size_t *ret,
                         struct crs_error *err)
{
    struct iovec iov[] = {{q->data, n - 1}, {BAD_ADDRESS, 1}};
    struct unix_extra extra;

    int r = unix_peek_go_to(q, offset, err);
    if (r < 0)
        return r;
    ssize_t before = unix_peek(q, n > 1 ? iov : iov + 1, n > 1 ? 2 : 1, &extra);
    if (before >= 0) {
        bool wrong = extra.n_fds > 0;
        unix_extra_close(&extra);
        if (wrong)
            return file_refuse(q->file, err, "it can't be told where descriptors in it belong to",
                               "let the program receive them before the checkpoint");
    }
    *ret = before > 0 ? before : 0;
    return 0;
}

/* Is there a byte sent with MSG_OOB that isn't read yet? */
static bool has_urgent(const struct unix_queue *q, uint8_t *ret)
{
    return recv(q->file->dup_fd, ret, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) == 1;
}

/* A message with descriptors is one for itself; what precedes it has none. */
static int add_piece(struct unix_queue *q, size_t offset, size_t n, struct unix_extra *extra,
                     bool urgent, struct crs_error *err)
{
    Crs__UnixMessage *message = NULL;
    size_t before = 0;
    int r = 0;

    if (extra->n_fds > 0)
        r = find_boundary(q, offset, n, &before, err);
    if (r == 0 && before > 0) {
        struct unix_extra plain = *extra;
        plain.n_fds = 0;
        /* The bad address has not overwritten what was read there. */
        r = unix_queue_add(q, q->data, before, &plain, &message, err);
        if (r == 0)
            message->urgent = urgent;
        urgent = false;
    }
    if (r == 0 && before < n)
        r = unix_queue_add(q, q->data + before, n - before, extra, &message, err);
    if (r == 0)
        message->urgent |= urgent;
    return r;
}

/* A piece that ends early, without descriptors or another sender, ends at the urgent mark. */
int unix_queue_read_stream(struct unix_queue *q, size_t total, struct crs_error *err)
{
    uint8_t urgent_byte = 0;
    int at_mark = 0, r = unix_peek_reserve(q, total + 1, err);
    bool urgent = r == 0 && has_urgent(q, &urgent_byte);
    size_t offset = 0;

    ioctl(q->file->dup_fd, SIOCATMARK, &at_mark);
    if (r == 0 && urgent && at_mark) { /* it is skipped by a peek */
        Crs__UnixMessage *message;
        r = unix_queue_add(q, &urgent_byte, 1, NULL, &message, err);
        if (r == 0)
            message->urgent = true;
        total--;
    }
    for (bool mark = false; r == 0 && offset < total;) {
        struct unix_extra extra = {0};
        struct iovec iov = {q->data, total - offset};
        r = unix_peek_go_to(q, offset, err);
        ssize_t n = r == 0 ? unix_peek(q, &iov, 1, &extra) : 0;
        if (r == 0 && n <= 0)
            return file_refuse(q->file, err, "what waits in it can't be read without taking it",
                               "let the program read it before the checkpoint");
        if (r == 0)
            r = unix_extra_check(q, &extra, err);
        if (r == 0 && urgent && extra.has_credentials)
            r = file_refuse(q->file, err, "it has urgent data (MSG_OOB) and asks for credentials",
                            "let the program read it before the checkpoint");
        if (r == 0)
            r = add_piece(q, offset, n, &extra, mark, err);
        mark = urgent && !at_mark && extra.n_fds == 0;
        unix_extra_close(&extra);
        offset += n;
    }
    return r;
}
