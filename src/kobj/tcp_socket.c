/* tcp_socket.c - TCP sockets */
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

#include "kobj/tcp.h"

static bool match(const struct open_file *file)
{
    return inet_is(file, SOCK_STREAM, IPPROTO_TCP);
}

/* ---- restart ---- */

#define QUEUE_MAX (1ull << 30) /* no queue of the kernel is as long */

static int check_record(const Crs__TcpSocket *m, bool own_net, struct crs_error *err)
{
    struct inet_address local;
    int r = inet_check(m->socket, err);

    if (r == 0 && m->socket->protocol != IPPROTO_TCP)
        r = crs_fail(err, CRS_DAMAGED, EINVAL, "a TCP socket of protocol %u", m->socket->protocol);
    if (r == 0 && m->unread && m->unread->size > QUEUE_MAX)
        r = crs_fail(err, CRS_DAMAGED, ERANGE, "a TCP socket with too much data");
    if (r == 0 && m->other_is == CRS__TCP_OTHER__TCP_OTHER_KEPT)
        return tcp_keep_check(m, err);
    if (r < 0 || !m->socket->local)
        return r;
    r = inet_address_load(m->socket->local, &local, err);
    if (r == 0 && !own_net && (m->state != CRS__TCP_STATE__TCP_CONNECTED || m->accepts))
        r = inet_check_bind(m->socket, SOCK_STREAM, &local, err);
    return r;
}

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    Crs__TcpSocket *m;
    int r = tcp_unpack(record, &m, err);

    if (r < 0)
        return r;
    r = check_record(m, ctx->own_net, err);
    crs__tcp_socket__free_unpacked(m, NULL);
    return r < 0 ? crs_fail_at(err, r, "%s", record->name) : 0;
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    static const char *const states[] = {"",        ", listening", "", ", connecting",
                                         ", ended", ", failed"};
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
    .conditions = "a connection to another program only with --tcp=close or --tcp=keep; one that "
                  "waits to be accepted only while nothing was sent on it",
    .privilege = "CAP_NET_ADMIN for --tcp=keep",
    .match = match,
    .dump = tcp_dump,
    .check = check,
    .restore = tcp_restore,
    .describe = describe,
};
