/* tcp_socket.c - TCP sockets */
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "kobj/tcp.h"

static bool match(const struct open_file *file)
{
    return inet_is(file, SOCK_STREAM, IPPROTO_TCP);
}

/* ---- dump ---- */

static bool was_connected(const struct open_file *file)
{
    struct pollfd p = {.fd = file->dup_fd, .events = POLLRDHUP};

    return poll(&p, 1, 0) == 1 && (p.revents & POLLRDHUP);
}

static int dump_listening(struct kobj_dump *ctx, struct open_file *file, Crs__TcpSocket *m,
                          struct crs_error *err)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);

    if (getsockopt(file->dup_fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return file_refuse_errno(file, err, "read its state");
    m->state = CRS__TCP_STATE__TCP_LISTENING;
    m->backlog = info.tcpi_sacked;
    return 0;
}

/* One of two ends accepts: where a program listens; else any rule that gives one. */
static bool accepts(const struct kobj_dump *ctx, const struct open_file *file,
                    const struct open_file *other)
{
    struct inet_address own, peer;

    if (inet_get_local(file->dup_fd, &own) < 0 || inet_get_local(other->dup_fd, &peer) < 0)
        return false;
    bool here = tcp_find_listener(ctx, &own), there = tcp_find_listener(ctx, &peer);
    struct inet_key a = inet_make_key(&own), b = inet_make_key(&peer);
    if (here != there)
        return here;
    return ntohs(a.port) != ntohs(b.port) ? ntohs(a.port) < ntohs(b.port)
                                          : memcmp(&a, &b, sizeof(a)) < 0;
}

static int save_queue(struct kobj_dump *ctx, struct open_file *file, Crs__Content **ret,
                      struct crs_error *err)
{
    _cleanup_close_ int memory = -1;
    struct stat st;
    int r = tcp_peek(file->dup_fd, &memory, err);

    if (r < 0)
        return crs_fail_at(err, r, "fd %d (%s)", file->fd, file->link);
    if (fstat(memory, &st) < 0 || st.st_size == 0)
        return 0;
    return store_put_content(ctx->writer, memory, st.st_size, ret, err);
}

static bool is_one_of(int state, unsigned states)
{
    return states >> state & 1;
}

#define STATE(name) (1u << TCP_STATE_##name)

static int dump_connected(struct kobj_dump *ctx, struct open_file *file, int state,
                          Crs__TcpSocket *m, struct crs_error *err)
{
    const struct open_file *other = tcp_find_other(ctx, file);

    m->state = CRS__TCP_STATE__TCP_CONNECTED;
    if (!other)
        return file_refuse(file, err, "its other end isn't part of the checkpoint", "close it");
    m->other = other->id;
    m->accepts = accepts(ctx, file, other);
    m->end_of_data = is_one_of(state, STATE(CLOSE_WAIT) | STATE(LAST_ACK) | STATE(CLOSING));
    m->shut_write =
        is_one_of(state, STATE(FIN_WAIT1) | STATE(FIN_WAIT2) | STATE(CLOSING) | STATE(LAST_ACK));
    m->shut_read = !m->end_of_data && was_connected(file);
    return save_queue(ctx, file, &m->unread, err);
}

static int dump_state(struct kobj_dump *ctx, struct open_file *file, Crs__TcpSocket *m,
                      struct crs_error *err)
{
    int state = tcp_get_state(file->dup_fd);

    switch (state) {
    case TCP_STATE_LISTEN:
        return dump_listening(ctx, file, m, err);
    case TCP_STATE_CLOSE:
        m->state = CRS__TCP_STATE__TCP_UNCONNECTED;
        return 0;
    }
    return state < 0 ? file_refuse_errno(file, err, "read its state")
                     : dump_connected(ctx, file, state, m, err);
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    Crs__TcpSocket *m = malloc(sizeof(*m));

    if (!m)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__tcp_socket__init(m);
    int r = tcp_survey(ctx, err);
    if (r == 0)
        r = dump_state(ctx, file, m, err);
    if (r == 0)
        r = inet_dump(file, m->state == CRS__TCP_STATE__TCP_CONNECTED, &m->socket, err);
    if (r == 0)
        r = kobj_pack(&m->base, ret_payload, err);
    crs__tcp_socket__free_unpacked(m, NULL);
    return r;
}

/* ---- restart ---- */

static int check_record(const Crs__TcpSocket *m, struct crs_error *err)
{
    struct inet_address local;
    int r = inet_check(m->socket, err);

    if (r == 0 && m->socket->protocol != IPPROTO_TCP)
        r = crs_fail(err, CRS_DAMAGED, EINVAL, "a TCP socket of protocol %u", m->socket->protocol);
    if (r < 0 || !m->socket->local)
        return r;
    r = inet_address_load(m->socket->local, &local, err);
    if (r == 0 && (m->state != CRS__TCP_STATE__TCP_CONNECTED || m->accepts))
        r = inet_check_bind(m->socket, SOCK_STREAM, &local, err);
    return r;
}

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    Crs__TcpSocket *m;
    int r = tcp_unpack(record, &m, err);

    if (r < 0)
        return r;
    r = check_record(m, err);
    crs__tcp_socket__free_unpacked(m, NULL);
    return r < 0 ? crs_fail_at(err, r, "%s", record->name) : 0;
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    static const char *const states[] = {"", ", listening", "", ", connecting", ", ended"};
    char local[INET_TEXT_SIZE], peer[INET_TEXT_SIZE];
    Crs__TcpSocket *m;
    int r = tcp_unpack(record, &m, NULL);

    if (r < 0)
        return r;
    inet_describe(m->socket ? m->socket->local : NULL, local);
    inet_describe(m->socket ? m->socket->peer : NULL, peer);
    int n = snprintf(text, size, "%s%s%s%s", local, m->socket && m->socket->peer ? " to " : "",
                     m->socket && m->socket->peer ? peer : "",
                     m->state < ELEMENTS(states) ? states[m->state] : "");
    if (m->unread && n >= 0 && (size_t)n < size)
        snprintf(text + n, size - n, ", %" PRIu64 " bytes to read", m->unread->size);
    crs__tcp_socket__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_tcp_socket = {
    .name = "tcp-socket",
    .title = "TCP socket",
    .saved = "with conditions",
    .conditions = "both ends are inside the program",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = tcp_restore,
    .describe = describe,
};
