/* tcp_dump.c - the state of a TCP socket, and what it has to read */
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "kobj/tcp.h"

#define STATE(name)       (1u << TCP_STATE_##name)
#define AGE_TOLERANCE_MS  5000
#define OUTSIDE_TEXT_SIZE (2 * INET_TEXT_SIZE + 200)

static bool is_one_of(int state, unsigned states)
{
    return states >> state & 1;
}

static short poll_for(const struct open_file *file, short events)
{
    struct pollfd p = {.fd = file->dup_fd, .events = events};

    return poll(&p, 1, 0) == 1 ? p.revents : 0;
}

/* ---- not connected ---- */

static int dump_listening(struct kobj_dump *ctx, struct open_file *file, Crs__TcpSocket *m,
                          struct crs_error *err)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    size_t strangers = tcp_count_strangers(ctx, file);

    if (getsockopt(file->dup_fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return file_refuse_errno(file, err, "read its state");
    if (strangers && ctx->tcp_policy == CRS_TCP_REFUSE) {
        char reason[200];
        snprintf(reason, sizeof(reason),
                 "%zu connection%s that %s from outside of the checkpoint wait%s to be accepted",
                 strangers, strangers == 1 ? "" : "s", strangers == 1 ? "is" : "are",
                 strangers == 1 ? "s" : "");
        return file_refuse(file, err, reason,
                           "try again when the program has accepted them, or use --tcp=close");
    }
    m->state = CRS__TCP_STATE__TCP_LISTENING;
    m->backlog = info.tcpi_sacked; /* what the state of a listening socket has there */
    return 0;
}

/* Was it never more than on the way to be connected? It then has no measure of any answer. */
static bool was_established(const struct open_file *file)
{
    struct tcp_info info = {0}, new = {0};
    socklen_t size = sizeof(info);
    _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (getsockopt(file->dup_fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 || info.tcpi_rtt)
        return true;
    size = sizeof(new);
    if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &new, &size) < 0)
        return true;
    /* A socket that never got anything counts from the start of the machine. */
    return new.tcpi_last_ack_recv - info.tcpi_last_ack_recv > AGE_TOLERANCE_MS;
}

/* sender: -1, or our duplicate of the other end. */
static int read_queue(struct kobj_dump *ctx, struct open_file *file, int sender, Crs__TcpSocket *m,
                      int *ret_memory, struct crs_error *err)
{
    if (!tcp_has_mark(file->dup_fd)) {
        int r = tcp_read_stream(ctx, sender, file->dup_fd, ret_memory, err);
        return r < 0 ? crs_fail_at(err, r, "fd %d (%s)", file->fd, file->link) : 0;
    }
    if (sender >= 0 && tcp_count(sender, SIOCOUTQ) > 0)
        return file_refuse(
            file, err,
            "there is urgent data (MSG_OOB) in it, or it has SO_PEEK_OFF, and more is on "
            "the way than it takes",
            "try again when the program has read it");
    return tcp_urgent_dump(file, m, ret_memory, err);
}

static int save_queue(struct kobj_dump *ctx, struct open_file *file, int sender, Crs__TcpSocket *m,
                      struct crs_error *err)
{
    _cleanup_close_ int memory = -1;
    struct stat st;
    int r = read_queue(ctx, file, sender, m, &memory, err);

    if (r < 0)
        return r;
    if (fstat(memory, &st) < 0 || st.st_size == 0)
        return 0;
    return store_put_content(ctx->writer, memory, st.st_size, &m->unread, err);
}

/* New, or at its end. */
static int dump_closed(struct kobj_dump *ctx, struct open_file *file, Crs__TcpSocket *m,
                       struct crs_error *err)
{
    short events = poll_for(file, POLLRDHUP);

    m->state = CRS__TCP_STATE__TCP_UNCONNECTED;
    if (!(events & POLLRDHUP))
        return 0;
    m->error = events & POLLERR;
    m->state = CRS__TCP_STATE__TCP_FAILED;
    if (!was_established(file))
        return 0;
    m->state = CRS__TCP_STATE__TCP_ENDED;
    return save_queue(ctx, file, -1, m, err);
}

static int dump_connecting(struct open_file *file, Crs__TcpSocket *m, struct inet_address *ret_peer,
                           struct crs_error *err)
{
    int r = inet_diag_connecting(inet_question(file, SO_DOMAIN), file->st.st_ino, ret_peer);

    m->state = CRS__TCP_STATE__TCP_CONNECTING;
    if (r < 0)
        return file_refuse(file, err, "it is being connected and the kernel doesn't tell to what",
                           "try again when it is connected");
    return 0;
}

/* ---- connected ---- */

/* One of two ends accepts: where a program listens; else any rule that gives one. */
static bool accepts(const struct kobj_dump *ctx, const struct tcp_end *end)
{
    bool here = tcp_is_served(ctx, &end->local), there = tcp_is_served(ctx, &end->peer);
    unsigned own = ntohs(end->local.port), other = ntohs(end->peer.port);

    if (here != there)
        return here;
    return own != other ? own < other : memcmp(&end->local, &end->peer, sizeof(end->local)) < 0;
}

static int refuse_outside(const struct open_file *file, struct crs_error *err)
{
    char local_text[INET_TEXT_SIZE], peer_text[INET_TEXT_SIZE], reason[OUTSIDE_TEXT_SIZE];
    struct inet_address local, peer;

    if (inet_get_local(file->dup_fd, &local) < 0 || inet_get_peer(file->dup_fd, &peer) < 0)
        return file_refuse_errno(file, err, "read its addresses");
    snprintf(reason, sizeof(reason),
             "it is connected from %s to %s, which isn't part of the checkpoint",
             inet_format(&local, local_text), inet_format(&peer, peer_text));
    return file_refuse(file, err, reason, "choose what becomes of it: --tcp=close or --tcp=keep");
}

static void tell_closed(struct kobj_dump *ctx, const struct open_file *file)
{
    char local_text[INET_TEXT_SIZE], peer_text[INET_TEXT_SIZE];
    struct inet_address local, peer;

    if (inet_get_local(file->dup_fd, &local) < 0 || inet_get_peer(file->dup_fd, &peer) < 0)
        return;
    kobj_warn(ctx->progress, ctx->progress_arg,
              "fd %d is connected from %s to %s, which isn't part of the checkpoint: after a "
              "restart it is closed",
              file->fd, inet_format(&local, local_text), inet_format(&peer, peer_text));
}

static int dump_outside(struct kobj_dump *ctx, struct open_file *file, Crs__TcpSocket *m,
                        struct crs_error *err)
{
    if (ctx->tcp_policy == CRS_TCP_REFUSE)
        return refuse_outside(file, err);
    m->other_is = ctx->tcp_policy == CRS_TCP_KEEP ? CRS__TCP_OTHER__TCP_OTHER_KEPT
                                                  : CRS__TCP_OTHER__TCP_OTHER_LOST;
    if (ctx->tell_closed && ctx->tcp_policy == CRS_TCP_CLOSE)
        tell_closed(ctx, file);
    return 0;
}

/* When everything else is known, its own filter among it. */
static int dump_kept(struct kobj_dump *ctx, struct open_file *file, Crs__TcpSocket *m,
                     struct crs_error *err)
{
    int r = 0;

    if (ctx->terminate && m->socket->n_filter)
        return file_refuse(file, err,
                           "it has a filter, and its connection to the outside can't be kept while "
                           "the program is ended",
                           "use --tcp=close");
    if (ctx->terminate)
        r = tcp_survey_silence(ctx, file, err);
    return r == 0 ? tcp_keep_dump(ctx, file, m, err) : r;
}

static int dump_waiting(struct open_file *file, const struct tcp_end *end, Crs__TcpSocket *m,
                        struct crs_error *err)
{
    if (end->unread)
        return file_refuse_for_now(file, err,
                                   "what it has sent can't be read, because the connection isn't "
                                   "accepted yet",
                                   "try again when the program has accepted it");
    m->other_is = CRS__TCP_OTHER__TCP_OTHER_WAITING;
    m->waiting_since_ms = end->since_ms;
    return 0;
}

static int dump_other(struct kobj_dump *ctx, struct open_file *file, const struct tcp_end *end,
                      Crs__TcpSocket *m, struct crs_error *err)
{
    switch (end->where) {
    case TCP_INSIDE:
        m->other_is = CRS__TCP_OTHER__TCP_OTHER_INSIDE;
        m->other = ctx->files.items[end->other].id;
        m->accepts = accepts(ctx, end);
        return 0;
    case TCP_CLOSED:
        m->other_is = CRS__TCP_OTHER__TCP_OTHER_CLOSED;
        return 0;
    case TCP_WAITING:
        m->other = ctx->files.items[end->other].id;
        return dump_waiting(file, end, m, err);
    case TCP_OUTSIDE:
        break;
    }
    return dump_outside(ctx, file, m, err);
}

/* Encryption by the kernel, and the like. */
static int check_upper_layer(const struct open_file *file, struct crs_error *err)
{
    char name[16] = "", reason[100];
    socklen_t size = sizeof(name);

    if (getsockopt(file->dup_fd, IPPROTO_TCP, TCP_ULP, name, &size) < 0 || size == 0 || !name[0])
        return 0;
    snprintf(reason, sizeof(reason), "the state of its upper layer protocol (%.*s) can't be read",
             (int)sizeof(name), name);
    return file_refuse(file, err, reason, "close it before the checkpoint");
}

static int dump_connected(struct kobj_dump *ctx, struct open_file *file, int state,
                          Crs__TcpSocket *m, struct crs_error *err)
{
    const struct tcp_end *end = tcp_find_end(ctx, file);

    m->state = CRS__TCP_STATE__TCP_CONNECTED;
    m->end_of_data = is_one_of(state, STATE(CLOSE_WAIT) | STATE(LAST_ACK) | STATE(CLOSING));
    m->shut_write =
        is_one_of(state, STATE(FIN_WAIT1) | STATE(FIN_WAIT2) | STATE(CLOSING) | STATE(LAST_ACK));
    m->shut_read = !m->end_of_data && (poll_for(file, POLLRDHUP) & POLLRDHUP);
    if (!end || state == TCP_STATE_SYN_RECEIVED)
        return file_refuse_for_now(file, err, "it is just being connected", "try again");
    if (!end->arrived)
        return file_refuse(file, err,
                           "there are more data on their way to it than its queue can be made to "
                           "take",
                           "raise the last number of /proc/sys/net/ipv4/tcp_rmem");
    int r = check_upper_layer(file, err);
    if (r == 0)
        r = dump_other(ctx, file, end, m, err);
    int sender = end->where == TCP_INSIDE ? ctx->files.items[end->other].dup_fd : -1;
    if (m->other_is == CRS__TCP_OTHER__TCP_OTHER_KEPT)
        return r;
    return r == 0 ? save_queue(ctx, file, sender, m, err) : r;
}

/* ---- all ---- */

/* The kernel doesn't tell by getpeername(2) where a connect(2) is going to. */
static int add_peer(Crs__TcpSocket *m, const struct inet_address *peer, struct crs_error *err)
{
    if (m->state != CRS__TCP_STATE__TCP_CONNECTING)
        return 0;
    return inet_address_save(peer, &m->socket->peer) < 0
               ? crs_fail(err, CRS_FAILED, ENOMEM, "out of memory")
               : 0;
}

static int dump_state(struct kobj_dump *ctx, struct open_file *file, Crs__TcpSocket *m,
                      struct crs_error *err)
{
    int state = tcp_get_state(file->dup_fd), r;
    struct inet_address peer;

    if (state < 0)
        return file_refuse_errno(file, err, "read its state");
    if (state == TCP_STATE_LISTEN)
        r = dump_listening(ctx, file, m, err);
    else if (state == TCP_STATE_CLOSE)
        r = dump_closed(ctx, file, m, err);
    else if (state == TCP_STATE_SYN_SENT)
        r = dump_connecting(file, m, &peer, err);
    else
        r = dump_connected(ctx, file, state, m, err);
    bool plain =
        m->state == CRS__TCP_STATE__TCP_UNCONNECTED || m->state == CRS__TCP_STATE__TCP_LISTENING;
    if (r == 0)
        r = inet_dump(file, !plain, &m->socket, err);
    if (r == 0 && m->other_is == CRS__TCP_OTHER__TCP_OTHER_KEPT)
        r = dump_kept(ctx, file, m, err);
    return r == 0 ? add_peer(m, &peer, err) : r;
}

int tcp_dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
             struct crs_error *err)
{
    Crs__TcpSocket *m = malloc(sizeof(*m));

    if (!m)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__tcp_socket__init(m);
    int r = inet_check_namespace(file, err);
    if (r == 0)
        r = tcp_survey(ctx, err);
    if (r == 0)
        r = dump_state(ctx, file, m, err);
    if (r == 0)
        r = kobj_pack(&m->base, ret_payload, err);
    crs__tcp_socket__free_unpacked(m, NULL);
    return r;
}
