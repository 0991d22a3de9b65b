/*
 * tcp_socket_options.c - options of TCP sockets: not connected, listening, accepted, connecting
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include "victim.h"

struct option {
    int level, name, value, expected; /* 0: the same */
};

static const struct option common[] = {
    {SOL_SOCKET, SO_KEEPALIVE, 1, 0},       {SOL_SOCKET, SO_OOBINLINE, 1, 0},
    {SOL_SOCKET, SO_SNDBUF, 50000, 100000}, {SOL_SOCKET, SO_RCVBUF, 60000, 120000},
    {SOL_SOCKET, SO_RCVLOWAT, 5, 0},        {IPPROTO_IP, IP_TOS, 0x08, 0},
    {IPPROTO_TCP, TCP_NODELAY, 1, 0},       {IPPROTO_TCP, TCP_CORK, 1, 0},
    {IPPROTO_TCP, TCP_KEEPIDLE, 100, 0},    {IPPROTO_TCP, TCP_KEEPINTVL, 20, 0},
    {IPPROTO_TCP, TCP_KEEPCNT, 7, 0},       {IPPROTO_TCP, TCP_USER_TIMEOUT, 12345, 0},
    {IPPROTO_TCP, TCP_LINGER2, 17, 0},      {IPPROTO_TCP, TCP_SYNCNT, 4, 0},
    {IPPROTO_IP, IP_TOS, 0x08, 0},          {IPPROTO_IP, IP_TTL, 99, 0},
};

static const struct option unconnected[] = {
    {SOL_SOCKET, SO_REUSEADDR, 1, 0},
    {SOL_SOCKET, SO_REUSEPORT, 1, 0},
    {IPPROTO_TCP, TCP_MAXSEG, 1000, 0},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, 3, 0},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void set_all(int fd, const struct option *options, size_t n)
{
    struct linger linger = {1, 5};
    struct timeval timeout = {9, 0};

    for (size_t i = 0; i < n; i++)
        MUST(setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int)) ==
             0);
    MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
    MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0);
    MUST(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) == 0);
}

static void check_all(int fd, const struct option *options, size_t n)
{
    struct linger linger = {0};
    struct timeval timeout = {0};
    char congestion[16] = "";
    socklen_t size = sizeof(linger);

    for (size_t i = 0; i < n; i++) {
        const struct option *o = &options[i];
        int value = -1, wanted = o->expected ? o->expected : o->value;
        socklen_t length = sizeof(value);
        CHECK(getsockopt(fd, o->level, o->name, &value, &length) == 0);
        if (value != wanted)
            victim_fail("fd %d: option %d of level %d is %d, expected %d", fd, o->name, o->level,
                        value, wanted);
    }
    CHECK(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size) == 0);
    CHECK(linger.l_onoff == 1 && linger.l_linger == 5);
    size = sizeof(timeout);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, &size) == 0);
    CHECK_EQ(timeout.tv_sec, 9);
    size = sizeof(congestion);
    CHECK(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, &size) == 0);
    CHECK(strcmp(congestion, "reno") == 0);
}

/* Defaults that were not touched are not made the program's own. */
static void check_plain(int fd)
{
    static const struct option defaults[] = {{SOL_SOCKET, SO_REUSEADDR, 0, 0},
                                             {SOL_SOCKET, SO_KEEPALIVE, 0, 0},
                                             {IPPROTO_TCP, TCP_NODELAY, 0, 0},
                                             {SOL_SOCKET, 72, 0, 0}, /* SO_BUF_LOCK */
                                             {IPPROTO_IP, 51, 0, 0}, /* IP_LOCAL_PORT_RANGE */
                                             {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0, 0}};

    for (size_t i = 0; i < COUNT(defaults); i++) {
        int value = -1;
        socklen_t size = sizeof(value);
        if (getsockopt(fd, defaults[i].level, defaults[i].name, &value, &size) == 0 && value != 0)
            victim_fail("fd %d: option %d of level %d is %d", fd, defaults[i].name,
                        defaults[i].level, value);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);

    victim_init(argc, argv);
    int new = socket(AF_INET, SOCK_STREAM, 0), listening = socket(AF_INET, SOCK_STREAM, 0);
    int plain_listening = socket(AF_INET, SOCK_STREAM, 0);
    int client = socket(AF_INET, SOCK_STREAM, 0), plain = socket(AF_INET, SOCK_STREAM, 0);
    MUST(bind(plain_listening, (struct sockaddr *)&address, size) == 0 &&
         getsockname(plain_listening, (struct sockaddr *)&address, &size) == 0 &&
         listen(plain_listening, 5) == 0);
    MUST(connect(client, (struct sockaddr *)&address, size) == 0);
    int server = accept(plain_listening, NULL, NULL);
    MUST(connect(plain, (struct sockaddr *)&address, size) == 0);
    int plain_server = accept(plain_listening, NULL, NULL);
    address.sin_port = 0;
    MUST(bind(listening, (struct sockaddr *)&address, size) == 0);
    set_all(new, common, COUNT(common));
    set_all(new, unconnected, COUNT(unconnected));
    set_all(listening, common, COUNT(common));
    set_all(listening, unconnected, COUNT(unconnected));
    MUST(listen(listening, 5) == 0);
    set_all(client, common, COUNT(common));
    set_all(server, common, COUNT(common));

    victim_ready();
    while (victim_wait()) {
        check_all(new, common, COUNT(common));
        check_all(new, unconnected, COUNT(unconnected));
        check_all(listening, common, COUNT(common));
        check_all(listening, unconnected, COUNT(unconnected));
        check_all(client, common, COUNT(common));
        check_all(server, common, COUNT(common));
        check_plain(plain);
        check_plain(plain_server);
        check_plain(plain_listening);
    }
    return 0;
}
