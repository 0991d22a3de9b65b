/*
 * tcp_restore.c - the order in which the TCP sockets of a snapshot are made
 *
 * All at once, when the first is asked for: what listens is bound first, so that its address is
 * ours; then the connections are made, by listening sockets of their own at the same addresses;
 * then it listens. So nobody else can connect before everything is there.
 */
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/tcp.h"

#define RESET_WAIT_MS 1000
#define TIME_WAIT_US  (1500 * 1000) /* until the port of an ended connection may be chosen again */

int tcp_unpack(const Crs__OpenFile *record, Crs__TcpSocket **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__tcp_socket__descriptor, (ProtobufCMessage **)ret, err);
}

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

static int load(struct kobj_restore *ctx, struct tcp_sockets *s, struct crs_error *err)
{
    s->n_ids = ctx->files->n_files;
    s->by_id = calloc(s->n_ids + 1, sizeof(*s->by_id));
    if (!s->by_id)
        return out_of_memory(err);
    for (size_t i = 0; i < ctx->files->n_files; i++) {
        const Crs__OpenFile *record = ctx->files->files[i];
        if (strcmp(record->kind, kobj_tcp_socket.name) != 0)
            continue;
        struct tcp_made *one = ARRAY_ADD(&s->all);
        if (!one)
            return out_of_memory(err);
        *one = (struct tcp_made){.record = record, .fd = -1, .other = -1};
        s->by_id[record->id] = s->all.n;
        int r = tcp_unpack(record, &one->m, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- steps ---- */

static bool is_waiting(const Crs__TcpSocket *m)
{
    return m->state == CRS__TCP_STATE__TCP_CONNECTED &&
           m->other_is == CRS__TCP_OTHER__TCP_OTHER_WAITING;
}

static int make_step(struct kobj_restore *ctx, struct tcp_sockets *s, struct tcp_made *one,
                     struct crs_error *err)
{
    switch (one->m->state) {
    case CRS__TCP_STATE__TCP_UNCONNECTED:
    case CRS__TCP_STATE__TCP_LISTENING:
        return tcp_make_bound(ctx, one, err);
    case CRS__TCP_STATE__TCP_FAILED:
        return tcp_make_failed(ctx, one, err);
    case CRS__TCP_STATE__TCP_ENDED:
        return tcp_make_anywhere(ctx, one, err);
    default:
        return 0;
    }
}

static int connect_step(struct kobj_restore *ctx, struct tcp_sockets *s, struct tcp_made *one,
                        struct crs_error *err)
{
    return one->m->state == CRS__TCP_STATE__TCP_CONNECTED ? tcp_make_connected(ctx, s, one, err)
                                                          : 0;
}

/* Saved content, mapped. */
struct mapped {
    void *data;
    size_t size;
};

static void mapped_clear(struct mapped *m)
{
    if (m->data)
        munmap(m->data, m->size);
}

static int map(struct kobj_restore *ctx, const Crs__Content *content, struct mapped *ret,
               struct crs_error *err)
{
    _cleanup_close_ int memory = memfd_create("crs-queue", MFD_CLOEXEC);

    if (!content || content->size == 0)
        return 0;
    if (memory < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't make a file in memory");
    int r = store_get_content(ctx->reader, content, memory, err);
    if (r < 0)
        return r;
    void *data = mmap(NULL, content->size, PROT_READ, MAP_SHARED, memory, 0);
    if (data == MAP_FAILED)
        return crs_fail_errno(err, CRS_FAILED, "can't map the data of a connection");
    *ret = (struct mapped){data, content->size};
    return 0;
}

int tcp_fill_content(struct kobj_restore *ctx, const Crs__Content *content, int sender,
                     int receiver, struct crs_error *err)
{
    __attribute__((cleanup(mapped_clear))) struct mapped m = {0};
    int r = map(ctx, content, &m, err);

    return r == 0 ? tcp_fill(sender, receiver, m.data, m.size, err) : r;
}

static int fill_around(struct kobj_restore *ctx, const Crs__TcpSocket *socket, int sender,
                       int receiver, struct crs_error *err)
{
    __attribute__((cleanup(mapped_clear))) struct mapped m = {0};
    size_t mark = socket->urgent->position;
    int r = map(ctx, socket->unread, &m, err);

    if (r == 0 && mark > m.size)
        r = crs_fail(err, CRS_DAMAGED, ERANGE, "urgent data is behind the end");
    if (r == 0)
        r = tcp_fill(sender, receiver, m.data, mark, err);
    if (r == 0)
        r = tcp_urgent_restore(socket->urgent, sender, receiver, err);
    return r == 0 ? tcp_fill(sender, receiver, (char *)m.data + mark, m.size - mark, err) : r;
}

static int fill_step(struct kobj_restore *ctx, struct tcp_sockets *s, struct tcp_made *one,
                     struct crs_error *err)
{
    struct tcp_made *other = tcp_find_made(s, one->m->other);
    int sender = one->other >= 0 ? one->other : other ? other->fd : -1;

    if (one->fd < 0 || one->m->repair)
        return 0;
    if (one->m->urgent)
        return fill_around(ctx, one->m, sender, one->fd, err);
    return one->m->unread ? tcp_fill_content(ctx, one->m->unread, sender, one->fd, err) : 0;
}

static void close_with_reset(int *fd)
{
    struct linger reset = {1, 0};

    setsockopt(*fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    cleanup_close(fd);
    *fd = -1;
}

/* What is left of a connection that has ended leaves nothing behind at the other end. */
static void end_connection(struct tcp_made *one, bool orderly, bool error)
{
    struct pollfd p = {.fd = one->fd}; /* POLLHUP and POLLERR, when the reset is there */
    int value;
    socklen_t size = sizeof(value);

    if (orderly)
        shutdown(one->other, SHUT_WR);
    tcp_settle_whole(one->other, one->fd);
    close_with_reset(&one->other);
    poll(&p, 1, RESET_WAIT_MS);
    if (!error)
        getsockopt(one->fd, SOL_SOCKET, SO_ERROR, &value, &size);
}

static int close_step(struct kobj_restore *ctx, struct tcp_sockets *s, struct tcp_made *one,
                      struct crs_error *err)
{
    const Crs__TcpSocket *m = one->m;

    if (m->shut_write)
        shutdown(one->fd, SHUT_WR);
    if (m->shut_read)
        shutdown(one->fd, SHUT_RD);
    if (one->other < 0)
        return 0;
    if (m->state == CRS__TCP_STATE__TCP_ENDED)
        end_connection(one, !m->error, m->error);
    else if (m->other_is == CRS__TCP_OTHER__TCP_OTHER_LOST)
        end_connection(one, m->end_of_data, !m->end_of_data);
    cleanup_close(&one->other);
    one->other = -1;
    return 0;
}

static int listen_step(struct kobj_restore *ctx, struct tcp_sockets *s, struct tcp_made *one,
                       struct crs_error *err)
{
    char text[INET_TEXT_SIZE];

    if (one->m->state != CRS__TCP_STATE__TCP_LISTENING ||
        listen(one->fd, one->m->backlog > INT32_MAX ? INT32_MAX : (int)one->m->backlog) == 0)
        return 0;
    int errnum = errno;
    inet_describe(one->m->socket->local, text);
    return crs_fail(err, errnum == EADDRINUSE ? CRS_BUSY : CRS_CANT_RESTART, errnum,
                    "the program can't listen at %s: %s", text, strerror(errnum));
}

static int compare_waiting(const void *a, const void *b)
{
    const struct tcp_made *x = *(struct tcp_made *const *)a, *y = *(struct tcp_made *const *)b;

    if (x->m->waiting_since_ms != y->m->waiting_since_ms)
        return x->m->waiting_since_ms < y->m->waiting_since_ms ? -1 : 1;
    return x->record->id < y->record->id ? -1 : 1;
}

/* Those that wait to be accepted, in the order in which they came. */
static int connect_waiting(struct kobj_restore *ctx, struct tcp_sockets *s, struct crs_error *err)
{
    _cleanup_free_ struct tcp_made **waiting = calloc(s->all.n + 1, sizeof(*waiting));
    size_t n = 0;
    int r = 0;

    if (!waiting)
        return out_of_memory(err);
    for (size_t i = 0; i < s->all.n; i++)
        if (is_waiting(s->all.items[i].m))
            waiting[n++] = &s->all.items[i];
    if (n > 1)
        qsort(waiting, n, sizeof(*waiting), compare_waiting);
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = tcp_make_connecting(ctx, s, waiting[i], err);
        if (r == 0)
            r = close_step(ctx, s, waiting[i], err);
    }
    return r;
}

static int connecting_step(struct kobj_restore *ctx, struct tcp_sockets *s, struct tcp_made *one,
                           struct crs_error *err)
{
    if (one->m->state == CRS__TCP_STATE__TCP_CONNECTED && one->m->repair)
        return tcp_keep_start(ctx, one, err);
    return one->m->state == CRS__TCP_STATE__TCP_CONNECTING ? tcp_make_connecting(ctx, s, one, err)
                                                           : 0;
}

static int finish_step(struct kobj_restore *ctx, struct tcp_sockets *s, struct tcp_made *one,
                       struct crs_error *err)
{
    const Crs__InetSocket *socket = one->m->socket;
    int r = one->fd < 0 ? crs_fail(err, CRS_DAMAGED, EINVAL, "a TCP socket of an unknown state")
                        : inet_filter_restore(socket, one->fd, err);

    if (r == 0)
        r = inet_options_restore(ctx, socket, one->fd, INET_AT_END, err);
    if (r == 0)
        r = inet_groups_restore(socket, one->fd, err);
    inet_set_flag(one->fd, SOL_SOCKET, SO_REUSEADDR,
                  inet_option_value(socket, SOL_SOCKET, SO_REUSEADDR, 0));
    inet_set_flag(one->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT,
                  inet_option_value(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0));
    return r;
}

/* ---- all ---- */

typedef int (*step_fn)(struct kobj_restore *ctx, struct tcp_sockets *s, struct tcp_made *one,
                       struct crs_error *err);

static int for_each(struct kobj_restore *ctx, struct tcp_sockets *s, const step_fn *steps, size_t n,
                    struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        for (size_t j = 0; r == 0 && j < s->all.n; j++) {
            r = steps[i](ctx, s, &s->all.items[j], err);
            if (r < 0)
                crs_fail_at(err, r, "%s", s->all.items[j].record->name);
        }
    return r;
}

static int make_all(struct kobj_restore *ctx, struct tcp_sockets *s, struct crs_error *err)
{
    static const step_fn before[] = {make_step, connect_step, fill_step, close_step, listen_step},
                         after[] = {connecting_step, finish_step};

    s->deadline_us = now_us() + TIME_WAIT_US;
    int r = load(ctx, s, err);
    if (r == 0)
        r = for_each(ctx, s, before, ELEMENTS(before), err);
    if (r == 0)
        r = connect_waiting(ctx, s, err);
    return r == 0 ? for_each(ctx, s, after, ELEMENTS(after), err) : r;
}

int tcp_restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                struct crs_error *err)
{
    int r = 0;

    if (!ctx->tcp) {
        ctx->tcp = calloc(1, sizeof(struct tcp_sockets));
        if (!ctx->tcp)
            return out_of_memory(err);
        r = make_all(ctx, ctx->tcp, err);
    }
    struct tcp_made *one = r == 0 ? tcp_find_made(ctx->tcp, record->id) : NULL;
    if (!one || one->fd < 0)
        return r < 0 ? r : crs_fail(err, CRS_DAMAGED, EINVAL, "a socket is there twice");
    return file_finish(TAKE_FD(one->fd), record, ret_fd, err);
}

void tcp_restore_end(struct kobj_restore *ctx)
{
    struct tcp_sockets *s = ctx->tcp;

    for (size_t i = 0; s && i < s->all.n; i++) {
        struct tcp_made *one = &s->all.items[i];
        cleanup_close(&one->fd);
        cleanup_close(&one->other);
        if (one->m)
            crs__tcp_socket__free_unpacked(one->m, NULL);
    }
    if (s) {
        free(s->all.items);
        free(s->by_id);
    }
    free(s);
    ctx->tcp = NULL;
}
