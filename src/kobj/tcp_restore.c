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

#define TIME_WAIT_US (1500 * 1000) /* until the port of an ended connection may be chosen again */

/* A socket of the snapshot that is being made. */
struct made {
    const Crs__OpenFile *record;
    Crs__TcpSocket *m;
    int fd;    /* ours until it is given out */
    int other; /* the other end of its connection: where that isn't inside, to be closed */
};

/* What ctx->tcp points to. */
struct tcp_sockets {
    ARRAY_OF(struct made) all;
    uint32_t *by_id; /* OpenFile.id: the position in `all`, from 1; 0: no TCP socket */
    size_t n_ids;
    uint64_t deadline_us;
};

int tcp_unpack(const Crs__OpenFile *record, Crs__TcpSocket **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__tcp_socket__descriptor, (ProtobufCMessage **)ret, err);
}

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

static struct made *find(struct tcp_sockets *s, uint32_t id)
{
    uint32_t at = id <= s->n_ids ? s->by_id[id] : 0;

    return at ? &s->all.items[at - 1] : NULL;
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
        struct made *one = ARRAY_ADD(&s->all);
        if (!one)
            return out_of_memory(err);
        *one = (struct made){.record = record, .fd = -1, .other = -1};
        s->by_id[record->id] = s->all.n;
        int r = tcp_unpack(record, &one->m, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- sockets without a connection ---- */

static int bind_one(struct kobj_restore *ctx, struct made *one, struct crs_error *err)
{
    const Crs__InetSocket *socket = one->m->socket;
    struct inet_address local;
    int r = inet_make(ctx, socket, SOCK_STREAM, &one->fd, err);

    if (r < 0 || !socket->local)
        return r;
    r = inet_address_load(socket->local, &local, err);
    if (r == 0) /* beside the connections that are at the same address */
        r = inet_set_flag(one->fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (r == 0)
        r = inet_bind(one->fd, &local, err);
    return r;
}

static int listen_one(struct made *one, struct crs_error *err)
{
    char text[INET_TEXT_SIZE] = "?";
    struct inet_address local;

    if (listen(one->fd, one->m->backlog > INT32_MAX ? INT32_MAX : (int)one->m->backlog) == 0)
        return 0;
    int errnum = errno;
    if (inet_get_local(one->fd, &local) == 0)
        inet_format(&local, text);
    return crs_fail(err, errnum == EADDRINUSE ? CRS_BUSY : CRS_CANT_RESTART, errnum,
                    "the program can't listen at %s: %s", text, strerror(errnum));
}

/* ---- connections ---- */

static int side_of(const Crs__InetSocket *record, struct tcp_side *ret, struct crs_error *err)
{
    ret->record = record;
    if (!record->local)
        return crs_fail(err, CRS_DAMAGED, EINVAL, "a connected socket has no address");
    return inet_address_load(record->local, &ret->local, err);
}

static int pair_inside(struct kobj_restore *ctx, struct tcp_sockets *s, struct made *one,
                       struct crs_error *err)
{
    struct made *other = find(s, one->m->other);
    struct tcp_side a, b;

    if (!other || other->fd >= 0 || other->m->other != one->record->id)
        return crs_fail(err, CRS_DAMAGED, EINVAL, "a connection has only one end");
    int r = side_of(one->m->socket, &a, err);
    if (r == 0)
        r = side_of(other->m->socket, &b, err);
    if (r == 0)
        r = one->m->accepts
                ? tcp_connect_pair(ctx, &a, &b, s->deadline_us, &one->fd, &other->fd, err)
                : tcp_connect_pair(ctx, &b, &a, s->deadline_us, &other->fd, &one->fd, err);
    return r;
}

static int connect_one(struct kobj_restore *ctx, struct tcp_sockets *s, struct made *one,
                       struct crs_error *err)
{
    if (one->fd >= 0)
        return 0; /* with its other end */
    return pair_inside(ctx, s, one, err);
}

/* ---- data ---- */

static int fill_from(struct kobj_restore *ctx, const Crs__Content *content, int sender,
                     int receiver, struct crs_error *err)
{
    _cleanup_close_ int memory = memfd_create("crs-queue", MFD_CLOEXEC);
    size_t size = content->size;

    if (size == 0)
        return 0;
    if (memory < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't make a file in memory");
    int r = store_get_content(ctx->reader, content, memory, err);
    if (r < 0)
        return r;
    void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, memory, 0);
    if (data == MAP_FAILED)
        return crs_fail_errno(err, CRS_FAILED, "can't map the data of a connection");
    r = tcp_fill(sender, receiver, data, size, err);
    munmap(data, size);
    return r;
}

static int sender_to(struct tcp_sockets *s, const struct made *one)
{
    struct made *other = find(s, one->m->other);

    return one->other >= 0 ? one->other : other ? other->fd : -1;
}

static int fill(struct kobj_restore *ctx, struct tcp_sockets *s, struct made *one,
                struct crs_error *err)
{
    int sender = sender_to(s, one);

    return one->m->unread ? fill_from(ctx, one->m->unread, sender, one->fd, err) : 0;
}

static void close_halves(struct tcp_sockets *s, struct made *one)
{
    if (one->m->shut_write)
        shutdown(one->fd, SHUT_WR);
    if (one->m->shut_read)
        shutdown(one->fd, SHUT_RD);
}

/* ---- all ---- */

typedef int (*step_fn)(struct kobj_restore *ctx, struct tcp_sockets *s, struct made *one,
                       struct crs_error *err);

static int bind_step(struct kobj_restore *ctx, struct tcp_sockets *s, struct made *one,
                     struct crs_error *err)
{
    bool connected = one->m->state == CRS__TCP_STATE__TCP_CONNECTED;

    return connected ? 0 : bind_one(ctx, one, err);
}

static int connect_step(struct kobj_restore *ctx, struct tcp_sockets *s, struct made *one,
                        struct crs_error *err)
{
    bool connected = one->m->state == CRS__TCP_STATE__TCP_CONNECTED;

    return connected ? connect_one(ctx, s, one, err) : 0;
}

static int fill_step(struct kobj_restore *ctx, struct tcp_sockets *s, struct made *one,
                     struct crs_error *err)
{
    bool connected = one->m->state == CRS__TCP_STATE__TCP_CONNECTED;

    return connected ? fill(ctx, s, one, err) : 0;
}

static int close_step(struct kobj_restore *ctx, struct tcp_sockets *s, struct made *one,
                      struct crs_error *err)
{
    if (one->m->state == CRS__TCP_STATE__TCP_CONNECTED)
        close_halves(s, one);
    return 0;
}

static int listen_step(struct kobj_restore *ctx, struct tcp_sockets *s, struct made *one,
                       struct crs_error *err)
{
    return one->m->state == CRS__TCP_STATE__TCP_LISTENING ? listen_one(one, err) : 0;
}

static int finish_step(struct kobj_restore *ctx, struct tcp_sockets *s, struct made *one,
                       struct crs_error *err)
{
    const Crs__InetSocket *socket = one->m->socket;
    int r = inet_filter_restore(socket, one->fd, err);

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

static int make_all(struct kobj_restore *ctx, struct tcp_sockets *s, struct crs_error *err)
{
    static const step_fn steps[] = {bind_step,  connect_step, fill_step,
                                    close_step, listen_step,  finish_step};
    int r = load(ctx, s, err);

    s->deadline_us = now_us() + TIME_WAIT_US;
    for (size_t i = 0; r == 0 && i < ELEMENTS(steps); i++)
        for (size_t j = 0; r == 0 && j < s->all.n; j++) {
            r = steps[i](ctx, s, &s->all.items[j], err);
            if (r < 0)
                crs_fail_at(err, r, "%s", s->all.items[j].record->name);
        }
    return r;
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
    struct made *one = r == 0 ? find(ctx->tcp, record->id) : NULL;
    if (!one || one->fd < 0)
        return r < 0 ? r : crs_fail(err, CRS_DAMAGED, EINVAL, "a socket is there twice");
    return file_finish(TAKE_FD(one->fd), record, ret_fd, err);
}

void tcp_restore_end(struct kobj_restore *ctx)
{
    struct tcp_sockets *s = ctx->tcp;

    for (size_t i = 0; s && i < s->all.n; i++) {
        struct made *one = &s->all.items[i];
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
