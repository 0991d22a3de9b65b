/*
 * tcp_ends.c - which TCP sockets of a snapshot are the two ends of one connection
 *
 * They are known by their addresses: what is local to one is the other's peer.
 */
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "kobj/tcp.h"

/* What ctx->tcp points to. */
struct tcp_survey {
    ARRAY_OF(struct tcp_end) ends; /* sorted by their addresses */
    size_t n_files;                /* of ctx when it was made */
};

int tcp_get_state(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 ? -errno : info.tcpi_state;
}

static int compare(const void *a, const void *b)
{
    const struct tcp_end *x = a, *y = b;
    int order = memcmp(&x->local, &y->local, sizeof(x->local));

    return order ? order : memcmp(&x->peer, &y->peer, sizeof(x->peer));
}

static const struct tcp_end *find(const struct tcp_survey *s, const struct inet_key *local,
                                  const struct inet_key *peer)
{
    struct tcp_end key = {.local = *local, .peer = *peer};

    return s->ends.n ? bsearch(&key, s->ends.items, s->ends.n, sizeof(*s->ends.items), compare)
                     : NULL;
}

static int add(struct kobj_dump *ctx, struct tcp_survey *s, size_t i, struct crs_error *err)
{
    const struct open_file *file = &ctx->files.items[i];
    struct inet_address local, peer;

    if (file->kind != &kobj_tcp_socket || file->dup_fd < 0)
        return 0;
    int state = tcp_get_state(file->dup_fd);
    if (state == TCP_STATE_LISTEN || state == TCP_STATE_CLOSE ||
        inet_get_local(file->dup_fd, &local) < 0 || inet_get_peer(file->dup_fd, &peer) < 0)
        return 0;
    struct tcp_end *end = ARRAY_ADD(&s->ends);
    if (!end)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    *end =
        (struct tcp_end){.file = i, .local = inet_make_key(&local), .peer = inet_make_key(&peer)};
    return 0;
}

/* What both have written arrives, so that nothing changes any more while they are dumped. */
static void settle_all(struct kobj_dump *ctx, const struct tcp_survey *s)
{
    for (size_t i = 0; i < s->ends.n; i++) {
        const struct tcp_end *a = &s->ends.items[i], *b = find(s, &a->peer, &a->local);
        if (b)
            tcp_settle(ctx->files.items[a->file].dup_fd, ctx->files.items[b->file].dup_fd);
    }
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
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    ctx->tcp = s;
    s->n_files = ctx->files.n;
    for (size_t i = 0; r == 0 && i < ctx->files.n; i++)
        r = add(ctx, s, i, err);
    if (r < 0)
        return r;
    if (s->ends.n > 1)
        qsort(s->ends.items, s->ends.n, sizeof(*s->ends.items), compare);
    settle_all(ctx, s);
    return 0;
}

void tcp_survey_end(struct kobj_dump *ctx)
{
    struct tcp_survey *s = ctx->tcp;

    if (s)
        free(s->ends.items);
    free(s);
    ctx->tcp = NULL;
}

const struct open_file *tcp_find_other(const struct kobj_dump *ctx, const struct open_file *file)
{
    const struct tcp_survey *s = ctx->tcp;
    struct inet_address local, peer;

    if (inet_get_local(file->dup_fd, &local) < 0 || inet_get_peer(file->dup_fd, &peer) < 0)
        return NULL;
    struct inet_key a = inet_make_key(&local), b = inet_make_key(&peer);
    const struct tcp_end *end = find(s, &b, &a);
    return end ? &ctx->files.items[end->file] : NULL;
}

static bool listens_to(const struct open_file *file, const struct inet_address *address)
{
    struct inet_address own;

    if (file->kind != &kobj_tcp_socket || file->dup_fd < 0 ||
        inet_get_local(file->dup_fd, &own) < 0 || inet_port(&own) != inet_port(address) ||
        tcp_get_state(file->dup_fd) != TCP_STATE_LISTEN)
        return false;
    struct inet_key a = inet_make_key(&own), b = inet_make_key(address);
    return inet_is_wildcard(&own) || memcmp(&a, &b, sizeof(a)) == 0;
}

const struct open_file *tcp_find_listener(const struct kobj_dump *ctx,
                                          const struct inet_address *address)
{
    for (size_t i = 0; i < ctx->files.n; i++)
        if (listens_to(&ctx->files.items[i], address))
            return &ctx->files.items[i];
    return NULL;
}
