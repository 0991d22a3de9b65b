/*
 * tcp_socket_listening.c - TCP sockets without a connection: new, bound, listening; IPv4 and IPv6
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include "victim.h"

static struct sockaddr_in6 addresses[16];
static socklen_t sizes[16];

static int make(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);

    MUST(fd >= 0);
    return fd;
}

static void bind_to(int fd, const char *host)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
        MUST(bind(fd, (struct sockaddr *)&v4, sizeof(v4)) == 0);
    else
        MUST(inet_pton(AF_INET6, host, &v6.sin6_addr) == 1 &&
             bind(fd, (struct sockaddr *)&v6, sizeof(v6)) == 0);
    sizes[fd] = sizeof(addresses[fd]);
    MUST(getsockname(fd, (struct sockaddr *)&addresses[fd], &sizes[fd]) == 0);
}

static void check_name(int fd)
{
    struct sockaddr_in6 now;
    socklen_t size = sizeof(now);

    CHECK(getsockname(fd, (struct sockaddr *)&now, &size) == 0);
    CHECK_EQ(size, sizes[fd]);
    CHECK(memcmp(&now, &addresses[fd], size) == 0);
}

/* A client gets through, and the next one as well. */
static void check_listens(int fd, const char *host, int backlog)
{
    struct sockaddr_in6 to = addresses[fd];
    struct tcp_info info;
    socklen_t size = sizeof(info);

    check_name(fd);
    CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
    CHECK_EQ(info.tcpi_sacked, backlog);
    errno = 0;
    CHECK(accept(fd, NULL, NULL) < 0 && errno == EAGAIN);
    if (to.sin6_family == AF_INET)
        inet_pton(AF_INET, host, &((struct sockaddr_in *)&to)->sin_addr);
    else
        inet_pton(AF_INET6, host, &to.sin6_addr);
    int client = socket(to.sin6_family, SOCK_STREAM, 0);
    struct linger reset = {1, 0};
    MUST(setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) == 0);
    CHECK(connect(client, (struct sockaddr *)&to, sizes[fd]) == 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CHECK_EQ(poll(&p, 1, 5000), 1);
    int server = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
    CHECK(server >= 0);
    close(client);
    close(server);
}

static void check_number(int fd, int level, int name, int wanted)
{
    int value = -1;
    socklen_t size = sizeof(value);

    CHECK(getsockopt(fd, level, name, &value, &size) == 0);
    CHECK_EQ(value, wanted);
}

static void check_new(int fd)
{
    struct sockaddr_in6 name;
    socklen_t size = sizeof(name);

    CHECK(getsockname(fd, (struct sockaddr *)&name, &size) == 0);
    CHECK_EQ(ntohs(name.sin6_port), 0);
    errno = 0;
    CHECK(getpeername(fd, (struct sockaddr *)&name, &size) < 0 && errno == ENOTCONN);
    check_number(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

int main(int argc, char **argv)
{
    int one = 1;

    victim_init(argc, argv);
    int new = make(AF_INET), bound = make(AF_INET), any = make(AF_INET), v4 = make(AF_INET);
    int v6 = make(AF_INET6), dual = make(AF_INET6), only = make(AF_INET6);
    MUST(setsockopt(new, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
    MUST(setsockopt(only, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0);
    MUST(setsockopt(v4, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
    bind_to(bound, "127.0.0.1");
    bind_to(any, "0.0.0.0");
    bind_to(v4, "127.0.0.1");
    bind_to(v6, "::1");
    bind_to(dual, "::");
    bind_to(only, "::");
    MUST(listen(any, 5) == 0 && listen(v4, 77) == 0 && listen(v6, 1) == 0 && listen(dual, 6) == 0 &&
         listen(only, 7) == 0);

    victim_ready();
    while (victim_wait()) {
        check_new(new);
        check_name(bound);
        errno = 0;
        CHECK(accept(bound, NULL, NULL) < 0 && errno == EINVAL);
        check_listens(any, "127.0.0.1", 5);
        check_listens(v4, "127.0.0.1", 77);
        check_listens(v6, "::1", 1);
        check_listens(dual, "::ffff:127.0.0.1", 6);
        check_listens(only, "::1", 7);
        check_number(any, SOL_SOCKET, SO_REUSEADDR, 0);
        check_number(v4, SOL_SOCKET, SO_REUSEADDR, 1);
        check_number(dual, IPPROTO_IPV6, IPV6_V6ONLY, 0);
        check_number(only, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    }
    return 0;
}
