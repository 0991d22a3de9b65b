/*
 * tcp_ends.c - which TCP sockets of a snapshot are the two ends of one connection
 *
 * They are known by their addresses: what is local to one is the other's peer. Of an end that
 * isn't in the snapshot the kernel tells whether anybody holds it.
 */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/io.h"
#include "kobj/tcp.h"

struct listener {
    size_t file;
    struct inet_key local;
    bool everywhere; /* at all addresses of the machine */
};

/* What ctx->tcp points to. */
struct tcp_survey {
    ARRAY_OF(struct tcp_end) ends; /* sorted by their addresses */
    ARRAY_OF(struct listener) listeners;
    ARRAY_OF(int) kept; /* of a program that will be ended: the connections inside */
    ARRAY_OF(struct tcp_silence) silenced;
    size_t n_files; /* of ctx when it was made */
};

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

int tcp_get_state(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 ? -errno : info.tcpi_state;
}

/* ---- find ---- */

static int compare(const void *a, const void *b)
{
    const struct tcp_end *x = a, *y = b;
    int order = memcmp(&x->local, &y->local, sizeof(x->local));

    return order ? order : memcmp(&x->peer, &y->peer, sizeof(x->peer));
}

static struct tcp_end *find(const struct tcp_survey *s, const struct inet_key *local,
                            const struct inet_key *peer)
{
    struct tcp_end key = {.local = *local, .peer = *peer};

    return s->ends.n ? bsearch(&key, s->ends.items, s->ends.n, sizeof(*s->ends.items), compare)
                     : NULL;
}

static const struct listener *find_listener(const struct tcp_survey *s, const struct inet_key *key)
{
    const struct listener *found = NULL;

    for (size_t i = 0; i < s->listeners.n; i++) {
        const struct listener *l = &s->listeners.items[i];
        if (memcmp(&l->local, key, sizeof(*key)) == 0)
            return l;
        if (l->everywhere && l->local.port == key->port)
            found = l;
    }
    return found;
}

/* ---- collect ---- */

static int add_listener(struct tcp_survey *s, size_t i, const struct inet_address *local,
                        struct crs_error *err)
{
    struct listener *l = ARRAY_ADD(&s->listeners);

    if (!l)
        return out_of_memory(err);
    *l = (struct listener){i, inet_make_key(local), inet_is_wildcard(local)};
    return 0;
}

static int add(struct kobj_dump *ctx, struct tcp_survey *s, size_t i, struct crs_error *err)
{
    const struct open_file *file = &ctx->files.items[i];
    struct inet_address local, peer;

    if (file->kind != &kobj_tcp_socket || file->dup_fd < 0 ||
        inet_get_local(file->dup_fd, &local) < 0)
        return 0;
    if (tcp_get_state(file->dup_fd) == TCP_STATE_LISTEN)
        return add_listener(s, i, &local, err);
    if (inet_get_peer(file->dup_fd, &peer) < 0)
        return 0;
    struct tcp_end *end = ARRAY_ADD(&s->ends);
    if (!end)
        return out_of_memory(err);
    *end =
        (struct tcp_end){.file = i, .local = inet_make_key(&local), .peer = inet_make_key(&peer)};
    return 0;
}

/* ---- where the other end is ---- */

static bool is_waiting(const struct inet_diag *d)
{
    return d->inode == 0 &&
           (d->state == TCP_STATE_ESTABLISHED || d->state == TCP_STATE_CLOSE_WAIT ||
            d->state == TCP_STATE_SYN_RECEIVED);
}

/* Has this end been told that no more will come? */
static bool has_ended(int fd)
{
    int state = tcp_get_state(fd);

    return state == TCP_STATE_CLOSE_WAIT || state == TCP_STATE_LAST_ACK ||
           state == TCP_STATE_CLOSING || state == TCP_STATE_CLOSE;
}

/* When it was connected, by our clock: the kernel counts from then until the first data comes.
 * Measured again where something came in between; the order of several depends on it. */
static uint64_t connected_at_ms(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    uint64_t before, after;

    for (int tries = 0; tries < 100; tries++) {
        before = now_us();
        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
            return 0;
        after = now_us();
        if (after - before < 1000)
            break;
    }
    return before / 1000 - info.tcpi_last_data_recv;
}

static void set_waiting(const struct tcp_survey *s, struct tcp_end *end, int fd,
                        const struct inet_diag *d)
{
    const struct listener *l = find_listener(s, &end->peer);

    if (!l)
        return;
    end->where = TCP_WAITING;
    end->other = l->file;
    end->unread = d->to_read - (d->state == TCP_STATE_CLOSE_WAIT);
    end->since_ms = connected_at_ms(fd);
}

static bool may_write(int fd)
{
    int state = tcp_get_state(fd);

    return state == TCP_STATE_ESTABLISHED || state == TCP_STATE_CLOSE_WAIT;
}

/* What a full window holds back is left to tcp_read_stream(), but for one who can't write it again:
 * it has sent the end behind it. */
static bool settle_one(int sender, int receiver)
{
    if (!may_write(sender))
        return tcp_settle_whole(sender, receiver);
    tcp_settle(sender, receiver);
    return true;
}

/* Both directions: what is looked at later doesn't change any more. */
static bool settle(int own, int other)
{
    settle_one(own, other);
    return settle_one(other, own);
}

static void locate(const struct kobj_dump *ctx, const struct tcp_survey *s, struct tcp_end *end)
{
    const struct tcp_end *other = find(s, &end->peer, &end->local);
    int fd = ctx->files.items[end->file].dup_fd;
    struct inet_address local, peer;
    struct inet_diag d;

    end->where = TCP_OUTSIDE;
    end->arrived = true;
    if (other) {
        end->where = TCP_INSIDE;
        end->other = other->file;
        end->arrived = settle(fd, ctx->files.items[other->file].dup_fd);
        return;
    }
    if (inet_get_local(fd, &local) < 0 || inet_get_peer(fd, &peer) < 0 || !inet_is_here(&peer))
        return;
    int r = inet_diag_find(&peer, &local, &d);
    if (r == 0 && is_waiting(&d))
        set_waiting(s, end, fd, &d);
    else if (r == 0 && d.inode == 0) {
        end->arrived = tcp_settle_closed(fd);
        end->where = TCP_CLOSED;
    } else if (r == -ENOENT && has_ended(fd))
        end->where = TCP_CLOSED;
}

/*
 * When the program ends, the kernel reserves the addresses of its connections for a minute. A reset
 * prevents that; but the request for it may not be on the socket of a program that may yet go on.
 * As long as we hold both ends, nothing is closed, and then whichever is closed first resets the
 * other. Were it one end only, the other's orderly end could still be on its way when the reset
 * comes, and outlive it.
 */
static int keep(const struct kobj_dump *ctx, struct tcp_survey *s, const struct tcp_end *end,
                struct crs_error *err)
{
    if (end->where != TCP_INSIDE)
        return 0;
    int *kept = ARRAY_ADD(&s->kept);
    if (!kept)
        return out_of_memory(err);
    *kept = fcntl(ctx->files.items[end->file].dup_fd, F_DUPFD_CLOEXEC, 3);
    return 0;
}

int tcp_survey(struct kobj_dump *ctx, struct crs_error *err)
{
    struct tcp_survey *s = ctx->tcp;
    int r = 0;

    if (s && s->n_files == ctx->files.n)
        return 0;
    tcp_survey_end(ctx);
    s = calloc(1, sizeof(*s));
    if (!s)
        return out_of_memory(err);
    ctx->tcp = s;
    s->n_files = ctx->files.n;
    for (size_t i = 0; r == 0 && i < ctx->files.n; i++)
        r = add(ctx, s, i, err);
    if (r < 0)
        return r;
    if (s->ends.n > 1)
        qsort(s->ends.items, s->ends.n, sizeof(*s->ends.items), compare);
    for (size_t i = 0; r == 0 && i < s->ends.n; i++) {
        locate(ctx, s, &s->ends.items[i]);
        if (ctx->terminate)
            r = keep(ctx, s, &s->ends.items[i], err);
    }
    return r;
}

int tcp_survey_silence(struct kobj_dump *ctx, const struct open_file *file, struct crs_error *err)
{
    struct tcp_survey *s = ctx->tcp;
    struct tcp_silence *silence = ARRAY_ADD(&s->silenced);

    if (!silence)
        return out_of_memory(err);
    *silence = (struct tcp_silence){-1, WATCHER_NONE};
    return tcp_silence_begin(file, silence, err);
}

void tcp_survey_ended(struct kobj_dump *ctx)
{
    struct tcp_survey *s = ctx->tcp;
    struct linger reset = {1, 0};

    for (size_t i = 0; s && i < s->kept.n; i++)
        setsockopt(s->kept.items[i], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    for (size_t i = 0; s && i < s->silenced.n; i++)
        tcp_silence_give_up(&s->silenced.items[i]);
}

void tcp_survey_end(struct kobj_dump *ctx)
{
    struct tcp_survey *s = ctx->tcp;

    if (s) {
        for (size_t i = 0; i < s->kept.n; i++)
            cleanup_close(&s->kept.items[i]);
        for (size_t i = 0; i < s->silenced.n; i++)
            tcp_silence_end(&s->silenced.items[i]);
        free(s->kept.items);
        free(s->silenced.items);
        free(s->ends.items);
        free(s->listeners.items);
    }
    free(s);
    ctx->tcp = NULL;
}

/* ---- questions ---- */

const struct tcp_end *tcp_find_end(const struct kobj_dump *ctx, const struct open_file *file)
{
    struct inet_address local, peer;

    if (inet_get_local(file->dup_fd, &local) < 0 || inet_get_peer(file->dup_fd, &peer) < 0)
        return NULL;
    struct inet_key a = inet_make_key(&local), b = inet_make_key(&peer);
    return find(ctx->tcp, &a, &b);
}

bool tcp_is_served(const struct kobj_dump *ctx, const struct inet_key *address)
{
    return find_listener(ctx->tcp, address) != NULL;
}

static size_t count_queue(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);

    /* Of a listening socket this is the number of connections that are not accepted yet. */
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 ? 0 : info.tcpi_unacked;
}

size_t tcp_count_strangers(const struct kobj_dump *ctx, const struct open_file *file)
{
    const struct tcp_survey *s = ctx->tcp;
    struct inet_address local;
    size_t known = 0, all = 0;

    if (inet_get_local(file->dup_fd, &local) < 0)
        return 0;
    struct inet_key key = inet_make_key(&local);
    for (size_t i = 0; i < s->listeners.n; i++)
        if (memcmp(&s->listeners.items[i].local, &key, sizeof(key)) == 0)
            all += count_queue(ctx->files.items[s->listeners.items[i].file].dup_fd);
    for (size_t i = 0; i < s->ends.n; i++) {
        const struct tcp_end *end = &s->ends.items[i];
        const struct listener *l = end->where == TCP_WAITING ? find_listener(s, &end->peer) : NULL;
        known += l && memcmp(&l->local, &key, sizeof(key)) == 0;
    }
    return all > known ? all - known : 0;
}
