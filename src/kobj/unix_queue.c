/* unix_queue.c - what waits to be read in a unix socket: messages, records */
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kobj/unix_queue.h"

#define RECORD_SIZE (256u << 10) /* of the first try; longer ones are read again */

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

/* ---- one message ---- */

static Crs__UnixMessage *new_message(struct unix_queue *q)
{
    if (q->m->n_queue == q->room) {
        size_t room = q->room ? 2 * q->room : 8;
        void *more = reallocarray(q->m->queue, room, sizeof(*q->m->queue));
        if (!more)
            return NULL;
        q->m->queue = more;
        q->room = room;
    }
    Crs__UnixMessage *message = malloc(sizeof(*message));
    if (!message)
        return NULL;
    crs__unix_message__init(message);
    q->m->queue[q->m->n_queue++] = message;
    return message;
}

static int set_bytes(ProtobufCBinaryData *to, const void *data, size_t size)
{
    if (size == 0)
        return 0;
    to->data = malloc(size);
    if (!to->data)
        return -ENOMEM;
    memcpy(to->data, data, size);
    to->len = size;
    return 0;
}

static int add_credentials(struct unix_queue *q, Crs__UnixMessage *message,
                           const struct ucred *from)
{
    message->credentials = malloc(sizeof(*message->credentials));
    if (!message->credentials)
        return -ENOMEM;
    crs__unix_credentials__init(message->credentials);
    message->credentials->pid = unix_inner_pid(q->ctx, from->pid);
    message->credentials->uid = from->uid;
    message->credentials->gid = from->gid;
    return 0;
}

static int add_fds(struct unix_queue *q, Crs__UnixMessage *message, struct unix_extra *extra,
                   struct crs_error *err)
{
    message->files = calloc(extra->n_fds, sizeof(*message->files));
    if (!message->files)
        return out_of_memory(err);
    for (size_t i = 0; i < extra->n_fds; i++) {
        int fd = extra->fds[i];
        extra->fds[i] = -1;
        int r = kobj_add_in_flight(q->ctx, fd, q->file, &message->files[i], err);
        if (r < 0)
            return r;
        message->n_files++;
    }
    return 0;
}

/* Its descriptors are taken out of `extra` (NULL: none of that). *ret may be NULL. */
int unix_queue_add(struct unix_queue *q, const uint8_t *data, size_t size, struct unix_extra *extra,
                   Crs__UnixMessage **ret, struct crs_error *err)
{
    Crs__UnixMessage *message = new_message(q);

    if (!message || set_bytes(&message->data, data, size) < 0)
        return out_of_memory(err);
    if (extra && extra->has_credentials && add_credentials(q, message, &extra->credentials) < 0)
        return out_of_memory(err);
    if (ret)
        *ret = message;
    return extra && extra->n_fds > 0 ? add_fds(q, message, extra, err) : 0;
}

/* ---- records ---- */

static int peek_record(struct unix_queue *q, size_t offset, struct unix_extra *extra, ssize_t *ret,
                       struct crs_error *err)
{
    for (;;) {
        struct iovec iov = {q->data, q->data_size};
        int r = unix_peek_go_to(q, offset, err);
        if (r < 0)
            return r;
        ssize_t n = unix_peek(q, &iov, 1, extra);
        if (n == -EAGAIN || n <= (ssize_t)q->data_size) {
            *ret = n;
            return 0;
        }
        unix_extra_close(extra);
        r = unix_peek_reserve(q, n, err);
        if (r < 0)
            return r;
    }
}

static int add_record(struct unix_queue *q, size_t n, struct unix_extra *extra,
                      struct crs_error *err)
{
    Crs__UnixMessage *message = NULL;
    size_t name = offsetof(struct sockaddr_un, sun_path);
    int r = unix_extra_check(q, extra, err);

    if (r == 0)
        r = unix_queue_add(q, q->data, n, extra, &message, err);
    if (r < 0 || q->m->type != SOCK_DGRAM || extra->sender_size <= name)
        return r;
    size_t size = extra->sender_size - name;
    if (extra->sender.sun_path[0])
        size = strnlen(extra->sender.sun_path, size);
    return set_bytes(&message->sender, extra->sender.sun_path, size) < 0 ? out_of_memory(err) : 0;
}

/*
 * Whether there is a second can only be seen with the offset set. An empty record has no length to
 * skip: the kernel marks it when it is peeked and passes it over then. At the end of a connection
 * that is closed for reading there are empty records without end; whether the first of them was
 * sent nobody can tell, nor can the program.
 */
int unix_queue_read_records(struct unix_queue *q, size_t total, struct crs_error *err)
{
    bool ends = q->m->type == SOCK_SEQPACKET && (q->m->shutdown & 1);
    size_t offset = 0;
    int r = unix_peek_reserve(q, RECORD_SIZE, err);

    for (bool first = true; r == 0 && !(ends && offset >= total); first = false) {
        struct unix_extra extra = {0};
        ssize_t n = 0;
        if (!first && !q->changed)
            r = unix_peek_set_offset(q, offset, err);
        if (r == 0)
            r = peek_record(q, offset, &extra, &n, err);
        if (r == 0 && n == -EAGAIN)
            break;
        if (r == 0 && n < 0) {
            errno = (int)-n;
            r = file_refuse_errno(q->file, err, "read what waits in it");
        }
        if (r == 0)
            r = add_record(q, n, &extra, err);
        unix_extra_close(&extra);
        offset += n;
    }
    return r;
}

/* ---- records that can't be seen ---- */

#define WHOLE_MAX (8u << 10) /* the kernel's account of longer ones depends on its memory */

static int account(int fd)
{
    int n = -1;

    return ioctl(fd, SIOCOUTQ, &n) < 0 ? -1 : n;
}

/* An empty record that an earlier checkpoint has seen is hidden from this one. The sender's account
 * counts it; the same records in a pair of ours show what it should be. */
bool unix_queue_is_whole(const struct open_file *sender, const Crs__UnixSocket *m)
{
    int ends[2], expected, real = account(sender->dup_fd);

    for (size_t i = 0; i < m->n_queue; i++)
        if (m->queue[i]->data.len > WHOLE_MAX)
            return true;
    if (real <= 0 || socketpair(AF_UNIX, m->type | SOCK_CLOEXEC, 0, ends) < 0)
        return true;
    bool sent = true;
    for (size_t i = 0; i < m->n_queue; i++)
        sent &= send(ends[0], m->queue[i]->data.data, m->queue[i]->data.len,
                     MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
    expected = account(ends[0]);
    cleanup_close(&ends[0]);
    cleanup_close(&ends[1]);
    return !sent || expected < 0 || real == expected;
}

/* ---- all of it ---- */

int unix_queue_read(struct kobj_dump *ctx, const struct open_file *file, Crs__UnixSocket *m,
                    struct crs_error *err)
{
    struct unix_queue q = {.ctx = ctx, .file = file, .m = m, .peek_off = -1};
    socklen_t size = sizeof(q.peek_off);
    int total = 0;

    if (getsockopt(file->dup_fd, SOL_SOCKET, SO_PEEK_OFF, &q.peek_off, &size) < 0 ||
        ioctl(file->dup_fd, SIOCINQ, &total) < 0)
        return file_refuse_errno(file, err, "tell how much waits in it");
    int r = 0;
    if (m->type != SOCK_STREAM)
        r = unix_queue_read_records(&q, total, err);
    else if (total > 0)
        r = unix_queue_read_stream(&q, total, err);
    unix_peek_reset(&q);
    free(q.data);
    return r;
}
