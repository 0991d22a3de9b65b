/*
 * tcp_repair.c - connections to the outside that go on (TCP_REPAIR)
 *
 * With CAP_NET_ADMIN the kernel lets a connection's sequence numbers and queues be read and set
 * without a word to the other end.
 */
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/shelter.h"
#include "kobj/tcp.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#ifndef TCP_REPAIR_WINDOW
#define TCP_REPAIR_WINDOW 29
#endif

#define REPAIR_OFF_SILENT (-1)      /* without a packet to the other end */
#define QUEUE_MARGIN      (1 << 20) /* what may still come while it is read */
#define WINDOW_SIZE       (5 * sizeof(uint32_t))
#define OPTION_SEGMENT    2 /* as TCP numbers its options */
#define OPTION_SCALE      3
#define OPTION_SELECTIVE  4
#define OPTION_TIMESTAMP  8

static int set(int fd, int name, int value)
{
    return inet_set_flag(fd, IPPROTO_TCP, name, value);
}

static int get(int fd, int name, uint32_t *ret)
{
    socklen_t size = sizeof(*ret);

    return getsockopt(fd, IPPROTO_TCP, name, ret, &size) < 0 ? -errno : 0;
}

static int not_permitted(struct crs_error *err, const char *what)
{
    return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                    "%s needs CAP_NET_ADMIN in the network's namespace: a TCP connection to the "
                    "outside is to be kept; run it as root, or use --tcp=close at the checkpoint",
                    what);
}

/* ---- read ---- */

struct queue {
    int memory;
    uint8_t *data;
    size_t room, size;
};

struct reading {
    int fd, reuse, error;
    uint32_t write_sequence, receive_sequence, segment_size, timestamp, window[5];
    int unsent;
    struct queue to_read, to_send;
};

static void queue_clear(struct queue *q)
{
    if (q->data)
        munmap(q->data, q->room);
    cleanup_close(&q->memory);
}

static void reading_clear(struct reading *r)
{
    queue_clear(&r->to_read);
    queue_clear(&r->to_send);
}

static int queue_make(struct queue *q, int bytes)
{
    q->memory = memfd_create("crs-queue", MFD_CLOEXEC);
    q->room = bytes + 1;
    if (bytes < 0 || q->memory < 0 || ftruncate(q->memory, q->room) < 0)
        return -ENOMEM;
    void *data =
        mmap(NULL, q->room, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, q->memory, 0);
    if (data == MAP_FAILED)
        return -ENOMEM;
    q->data = data;
    return 0;
}

static int read_queue(int fd, int which, struct queue *q, uint32_t *ret_sequence)
{
    int r = set(fd, TCP_REPAIR_QUEUE, which);

    if (r == 0)
        r = get(fd, TCP_QUEUE_SEQ, ret_sequence);
    if (r < 0 || q->size == 0)
        return r;
    ssize_t n = recv(fd, q->data, q->size, MSG_PEEK | MSG_DONTWAIT);
    return n == (ssize_t)q->size ? 0 : n < 0 ? -errno : -EIO;
}

static int read_all(struct reading *r)
{
    socklen_t size = sizeof(r->window);
    int error = 0;

    r->to_read.size = tcp_count(r->fd, SIOCINQ);
    r->to_send.size = tcp_count(r->fd, SIOCOUTQ);
    r->unsent = tcp_count(r->fd, SIOCOUTQNSD);
    if (r->to_read.size > r->to_read.room || r->to_send.size > r->to_send.room || r->unsent < 0)
        return -EAGAIN;
    error = read_queue(r->fd, TCP_RECV_QUEUE, &r->to_read, &r->receive_sequence);
    if (error == 0)
        error = read_queue(r->fd, TCP_SEND_QUEUE, &r->to_send, &r->write_sequence);
    if (error == 0)
        error = get(r->fd, TCP_MAXSEG, &r->segment_size);
    if (error == 0)
        error = get(r->fd, TCP_TIMESTAMP, &r->timestamp);
    if (error == 0 && getsockopt(r->fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, r->window, &size) < 0)
        error = -errno;
    set(r->fd, TCP_REPAIR_QUEUE, TCP_NO_QUEUE);
    return error;
}

/* A socket under repair sends nothing: it must not stay so. */
static void read_step(void *arg)
{
    struct reading *r = arg;

    r->error = set(r->fd, TCP_REPAIR, 1);
    if (r->error < 0)
        return;
    r->error = read_all(r);
    set(r->fd, TCP_REPAIR, REPAIR_OFF_SILENT);
    inet_set_flag(r->fd, SOL_SOCKET, SO_REUSEADDR, r->reuse); /* which the repair has changed */
}

static int save_queue(struct kobj_dump *ctx, const uint8_t *data, size_t size, Crs__Content **ret,
                      struct crs_error *err)
{
    _cleanup_close_ int memory = memfd_create("crs-queue", MFD_CLOEXEC);

    if (size == 0)
        return 0;
    if (memory < 0 || write_full(memory, data, size) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't keep the queue of a socket");
    return store_put_content(ctx->writer, memory, size, ret, err);
}

static void save_options(const struct reading *r, const struct tcp_info *info, Crs__TcpRepair *m)
{
    m->send_sequence = r->write_sequence - (uint32_t)r->to_send.size;
    m->receive_sequence = r->receive_sequence - (uint32_t)r->to_read.size;
    m->segment_size = r->segment_size;
    m->scaling = info->tcpi_options & TCPI_OPT_WSCALE;
    m->send_scale = info->tcpi_snd_wscale;
    m->receive_scale = info->tcpi_rcv_wscale;
    m->selective_acks = info->tcpi_options & TCPI_OPT_SACK;
    m->timestamps = info->tcpi_options & TCPI_OPT_TIMESTAMPS;
    m->timestamp = r->timestamp;
}

static int save(struct kobj_dump *ctx, const struct reading *r, Crs__TcpSocket *m,
                struct crs_error *err)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    struct bytes window = {0};
    size_t sent = r->to_send.size - (size_t)r->unsent;

    m->repair = malloc(sizeof(*m->repair));
    if (!m->repair || bytes_copy(&window, r->window, sizeof(r->window)) < 0)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__tcp_repair__init(m->repair);
    m->repair->window = (ProtobufCBinaryData){.data = window.data, .len = window.size};
    if (getsockopt(r->fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't read the state of a socket");
    save_options(r, &info, m->repair);
    int ret = save_queue(ctx, r->to_read.data, r->to_read.size, &m->unread, err);
    if (ret == 0)
        ret = save_queue(ctx, r->to_send.data, sent, &m->repair->unacknowledged, err);
    if (ret == 0)
        ret = save_queue(ctx, r->to_send.data + sent, r->unsent, &m->repair->unsent, err);
    return ret;
}

int tcp_keep_dump(struct kobj_dump *ctx, struct open_file *file, Crs__TcpSocket *m,
                  struct crs_error *err)
{
    __attribute__((cleanup(reading_clear))) struct reading r = {
        .fd = file->dup_fd,
        .reuse = tcp_get_flag(file->dup_fd, SOL_SOCKET, SO_REUSEADDR),
        .to_read.memory = -1,
        .to_send.memory = -1,
    };

    if (tcp_get_state(r.fd) != TCP_STATE_ESTABLISHED)
        return file_refuse(file, err,
                           "its connection to the outside is closed in one direction, and such a "
                           "one can't be kept",
                           "use --tcp=close");
    int ret = queue_make(&r.to_read, tcp_count(r.fd, SIOCINQ) + QUEUE_MARGIN);
    if (ret == 0)
        ret = queue_make(&r.to_send, tcp_count(r.fd, SIOCOUTQ));
    if (ret == 0)
        ret = shelter(read_step, &r);
    if (ret == 0)
        ret = r.error;
    if (ret == -EPERM)
        return crs_fail_at(err, not_permitted(err, "this checkpoint"), "fd %d (%s)", file->fd,
                           file->link);
    if (ret < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, -ret,
                        "fd %d (%s): can't read the state of its connection: %s", file->fd,
                        file->link, strerror(-ret));
    return save(ctx, &r, m, err);
}

/* ---- make ---- */

int tcp_keep_check(const Crs__TcpSocket *m, struct crs_error *err)
{
    _cleanup_close_ int fd = socket(m->socket->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct inet_address local;
    char text[INET_TEXT_SIZE];

    if (!m->repair || m->repair->window.len != WINDOW_SIZE || !m->socket->local || !m->socket->peer)
        return crs_fail(err, CRS_DAMAGED, EINVAL, "a connection to the outside isn't complete");
    int r = inet_address_load(m->socket->local, &local, err);
    if (r < 0)
        return r;
    if (!inet_is_here(&local))
        return crs_fail(err, CRS_CANT_RESTART, EADDRNOTAVAIL,
                        "the program's address %s isn't one of this machine",
                        inet_format(&local, text));
    if (fd < 0 || set(fd, TCP_REPAIR, 1) < 0)
        return not_permitted(err, "this restart");
    return 0;
}

static int set_sequences(int fd, const Crs__TcpRepair *m)
{
    int r = set(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);

    if (r == 0)
        r = set(fd, TCP_QUEUE_SEQ, (int)m->send_sequence);
    if (r == 0)
        r = set(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);
    if (r == 0)
        r = set(fd, TCP_QUEUE_SEQ, (int)m->receive_sequence);
    return r;
}

static int set_options(int fd, const Crs__TcpRepair *m)
{
    struct tcp_repair_opt options[4] = {{OPTION_SEGMENT, m->segment_size}};
    int n = 1;

    if (m->scaling)
        options[n++] =
            (struct tcp_repair_opt){OPTION_SCALE, m->send_scale | m->receive_scale << 16};
    if (m->selective_acks)
        options[n++] = (struct tcp_repair_opt){OPTION_SELECTIVE, 0};
    if (m->timestamps)
        options[n++] = (struct tcp_repair_opt){OPTION_TIMESTAMP, 0};
    if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, options, n * sizeof(options[0])) < 0)
        return -errno;
    return m->timestamps ? set(fd, TCP_TIMESTAMP, (int)m->timestamp) : 0;
}

static int connect_silently(struct kobj_restore *ctx, struct tcp_made *one, struct crs_error *err)
{
    const Crs__InetSocket *socket = one->m->socket;
    struct inet_address local, peer;
    int r = inet_make(ctx, socket, SOCK_STREAM, &one->fd, err);

    if (r == 0)
        r = inet_address_load(socket->local, &local, err);
    if (r == 0)
        r = inet_address_load(socket->peer, &peer, err);
    if (r < 0)
        return r;
    if (set(one->fd, TCP_REPAIR, 1) < 0)
        return not_permitted(err, "this restart");
    r = inet_bind(one->fd, &local, err);
    if (r < 0)
        return r;
    r = set_sequences(one->fd, one->m->repair);
    if (r == 0 && connect(one->fd, &peer.any, peer.size) < 0)
        r = -errno;
    return r == 0 ? 0
                  : crs_fail(err, r == -EADDRNOTAVAIL ? CRS_BUSY : CRS_CANT_RESTART, -r,
                             "can't make a connection to the outside again: %s", strerror(-r));
}

static int put_queue(struct kobj_restore *ctx, int fd, int which, const Crs__Content *content,
                     struct crs_error *err)
{
    struct tcp_room room = tcp_room_of(fd);
    int r = set(fd, TCP_REPAIR_QUEUE, which);

    if (r == 0 && content)
        tcp_enlarge(&room, content->size);
    if (r < 0)
        return crs_fail(err, CRS_CANT_RESTART, -r, "can't choose the queue of a connection");
    r = content ? tcp_fill_content(ctx, content, fd, -1, err) : 0;
    tcp_put_size_back(&room);
    return r;
}

/* For what it holds and is not acknowledged; without making the size the program's own choice. */
static void make_send_room(int fd, const Crs__TcpRepair *m)
{
    uint64_t size =
        (m->unacknowledged ? m->unacknowledged->size : 0) + (m->unsent ? m->unsent->size : 0);
    int lock = tcp_get_flag(fd, SOL_SOCKET, SO_BUF_LOCK);

    if (size == 0 || size > INT32_MAX / 2)
        return;
    if (inet_set_flag(fd, SOL_SOCKET, SO_SNDBUFFORCE, (int)size * 2) < 0)
        inet_set_flag(fd, SOL_SOCKET, SO_SNDBUF, (int)size * 2);
    if (lock >= 0)
        inet_set_flag(fd, SOL_SOCKET, SO_BUF_LOCK, lock);
}

int tcp_keep_make(struct kobj_restore *ctx, struct tcp_made *one, struct crs_error *err)
{
    const Crs__TcpRepair *m = one->m->repair;
    int r = connect_silently(ctx, one, err);

    if (r < 0)
        return r;
    r = set_options(one->fd, m);
    if (r < 0)
        return crs_fail(err, CRS_CANT_RESTART, -r,
                        "can't set what a connection has agreed upon: %s", strerror(-r));
    make_send_room(one->fd, m);
    r = put_queue(ctx, one->fd, TCP_RECV_QUEUE, one->m->unread, err);
    if (r == 0)
        r = put_queue(ctx, one->fd, TCP_SEND_QUEUE, m->unacknowledged, err);
    if (r < 0)
        return r;
    if (setsockopt(one->fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, m->window.data, m->window.len) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't set the window of a connection");
    set(one->fd, TCP_REPAIR_QUEUE, TCP_NO_QUEUE);
    return 0;
}

/* It speaks again: when everything else is there. */
int tcp_keep_start(struct kobj_restore *ctx, struct tcp_made *one, struct crs_error *err)
{
    int r = set(one->fd, TCP_REPAIR, 0);

    if (r < 0)
        return crs_fail(err, CRS_CANT_RESTART, -r, "can't start a connection: %s", strerror(-r));
    return one->m->repair->unsent ? tcp_fill_content(ctx, one->m->repair->unsent, one->fd, -1, err)
                                  : 0;
}
