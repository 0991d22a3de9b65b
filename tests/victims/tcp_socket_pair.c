/*
 * tcp_socket_pair.c - connections with both ends inside: addresses, data in both directions; with
 * and without the socket that accepted them; IPv4, IPv6, IPv4 in IPv6
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "victim.h"

struct connection {
    int client, server;
    struct sockaddr_in6 names[4]; /* client's own and peer, server's own and peer */
};

static void get_names(const struct connection *c, struct sockaddr_in6 names[4])
{
    memset(names, 0, 4 * sizeof(names[0]));
    for (int i = 0; i < 4; i++) {
        socklen_t size = sizeof(names[i]);
        int fd = i < 2 ? c->client : c->server;
        MUST((i % 2 ? getpeername : getsockname)(fd, (struct sockaddr *)&names[i], &size) == 0);
    }
}

static int listener(int family, const char *host, struct sockaddr_in6 *ret, socklen_t *ret_size)
{
    int fd = socket(family, SOCK_STREAM, 0);
    struct sockaddr_in6 a = {.sin6_family = family};

    MUST(inet_pton(family, host,
                   family == AF_INET ? (void *)&((struct sockaddr_in *)&a)->sin_addr
                                     : (void *)&a.sin6_addr) == 1);
    *ret_size = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(a);
    MUST(bind(fd, (struct sockaddr *)&a, *ret_size) == 0 && listen(fd, 10) == 0);
    MUST(getsockname(fd, (struct sockaddr *)&a, ret_size) == 0);
    *ret = a;
    return fd;
}

static struct connection join(int listening, int family, const struct sockaddr_in6 *to,
                              socklen_t size)
{
    struct connection c;
    struct sockaddr_in6 address = *to;

    c.client = socket(family, SOCK_STREAM, 0);
    if (family == AF_INET && to->sin6_family == AF_INET6) { /* by IPv4 to a socket of IPv6 */
        struct sockaddr_in v4 = {.sin_family = AF_INET,
                                 .sin_port = to->sin6_port,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        memcpy(&address, &v4, sizeof(v4));
        size = sizeof(v4);
    }
    MUST(c.client >= 0 && connect(c.client, (struct sockaddr *)&address, size) == 0);
    c.server = accept(listening, NULL, NULL);
    MUST(c.server >= 0);
    get_names(&c, c.names);
    return c;
}

static void check_data(int fd, const char *wanted)
{
    char data[100] = "";
    int waiting = -1;

    CHECK(ioctl(fd, FIONREAD, &waiting) == 0);
    CHECK_EQ(waiting, (int)strlen(wanted));
    ssize_t n = recv(fd, data, sizeof(data) - 1, MSG_DONTWAIT);
    CHECK_EQ(n, (ssize_t)strlen(wanted));
    CHECK(strcmp(data, wanted) == 0);
}

static void say(const struct connection *c)
{
    MUST(send(c->client, "to the ", 7, 0) == 7 && send(c->client, "server", 6, 0) == 6);
    MUST(send(c->server, "to the client", 13, 0) == 13);
    for (int n = 0, m = 0; n + m < 26; victim_sleep_ms(1))
        MUST(ioctl(c->client, FIONREAD, &n) == 0 && ioctl(c->server, FIONREAD, &m) == 0);
}

static void check(const struct connection *c)
{
    struct sockaddr_in6 now[4];

    get_names(c, now);
    CHECK(memcmp(now, c->names, sizeof(now)) == 0);
    check_data(c->server, "to the server");
    check_data(c->client, "to the client");
    say(c);
}

int main(int argc, char **argv)
{
    struct sockaddr_in6 to;
    socklen_t size;
    struct connection c[8];
    int n = 0;

    victim_init(argc, argv);
    int kept = listener(AF_INET, "127.0.0.1", &to, &size);
    for (int i = 0; i < 3; i++)
        c[n++] = join(kept, AF_INET, &to, size);
    int gone = listener(AF_INET, "0.0.0.0", &to, &size);
    c[n++] = join(gone, AF_INET, &to, size);
    close(gone);
    gone = listener(AF_INET6, "::1", &to, &size);
    c[n++] = join(gone, AF_INET6, &to, size);
    close(gone);
    gone = listener(AF_INET6, "::", &to, &size); /* both kinds of addresses */
    c[n++] = join(gone, AF_INET, &to, size);
    c[n++] = join(gone, AF_INET6, &to, size);
    for (int i = 0; i < n; i++)
        say(&c[i]);

    victim_ready();
    while (victim_wait()) {
        for (int i = 0; i < n; i++)
            check(&c[i]);
        /* New ones at the addresses of the old. */
        getsockname(kept, (struct sockaddr *)&to, &size);
        struct connection more = join(kept, AF_INET, &to, sizeof(struct sockaddr_in));
        struct linger reset = {1, 0};
        MUST(setsockopt(more.client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) == 0);
        close(more.client);
        close(more.server);
    }
    return 0;
}
