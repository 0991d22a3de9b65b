/*
 * udp_socket.c - UDP sockets: unbound, bound, connected; datagrams not read yet, also empty ones,
 * with their boundaries and senders
 *
 * increments: no
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include "victim.h"

static struct sockaddr_in6 name_of(int fd)
{
    struct sockaddr_in6 name = {0};
    socklen_t size = sizeof(name);

    MUST(getsockname(fd, (struct sockaddr *)&name, &size) == 0);
    return name;
}

static int bound(int family)
{
    int fd = socket(family, SOCK_DGRAM, 0);
    struct sockaddr_in6 a = {.sin6_family = family, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

    if (family == AF_INET) {
        struct sockaddr_in v4 = {.sin_family = family, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        memcpy(&a, &v4, sizeof(v4));
    }
    MUST(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    return fd;
}

static void send_to(int from, int to, const void *data, size_t size)
{
    struct sockaddr_in6 name = name_of(to);

    MUST(sendto(from, data, size, 0, (struct sockaddr *)&name, sizeof(name)) == (ssize_t)size);
}

static void check_datagram(int fd, int sender, const void *wanted, size_t size)
{
    static char data[70000];
    struct sockaddr_in6 from = {0}, name = name_of(sender);
    socklen_t from_size = sizeof(from);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CHECK_EQ(poll(&p, 1, 5000), 1); /* what was just sent may still be on its way */
    ssize_t n =
        recvfrom(fd, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr *)&from, &from_size);

    CHECK_EQ(n, (ssize_t)size);
    CHECK(n < 0 || memcmp(data, wanted, n) == 0);
    CHECK(memcmp(&from, &name, from_size) == 0);
}

static char large[60000];

static void say(int a, int b, int c6, int d6)
{
    send_to(a, b, "one", 3);
    send_to(a, b, "", 0);
    send_to(b, b, "from itself", 11);
    send_to(a, b, large, sizeof(large));
    send_to(b, a, "back", 4);
    send_to(c6, d6, "six", 3);
}

/* Empty datagrams are seen by one checkpoint only (the kernel marks them as seen). */
static void listen_to(int a, int b, int c6, int d6, bool *first)
{
    check_datagram(b, a, "one", 3);
    if (*first)
        check_datagram(b, a, "", 0);
    check_datagram(b, b, "from itself", 11);
    check_datagram(b, a, large, sizeof(large));
    check_datagram(a, b, "back", 4);
    check_datagram(d6, c6, "six", 3);
    char c;
    errno = 0;
    CHECK(recv(b, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

int main(int argc, char **argv)
{
    bool first = true;
    cpu_set_t one;

    victim_init(argc, argv);
    /* On one processor no datagram overtakes another. */
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    MUST(sched_setaffinity(0, sizeof(one), &one) == 0);
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (char)(i * 7);
    int unbound = socket(AF_INET6, SOCK_DGRAM, 0);
    int a = bound(AF_INET), b = bound(AF_INET), c6 = bound(AF_INET6), d6 = bound(AF_INET6);
    int connected = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in6 to = name_of(a), peer;
    MUST(unbound >= 0 && connect(connected, (struct sockaddr *)&to, sizeof(to)) == 0);
    struct sockaddr_in6 names[] = {name_of(a),  name_of(b),         name_of(c6),
                                   name_of(d6), name_of(connected), name_of(unbound)};
    say(a, b, c6, d6);
    send_to(a, connected, "to the connected", 16);

    victim_ready();
    while (victim_wait()) {
        struct sockaddr_in6 now[] = {name_of(a),  name_of(b),         name_of(c6),
                                     name_of(d6), name_of(connected), name_of(unbound)};
        CHECK(memcmp(now, names, sizeof(now)) == 0);
        listen_to(a, b, c6, d6, &first);
        check_datagram(connected, a, "to the connected", 16);
        socklen_t size = sizeof(peer);
        CHECK(getpeername(connected, (struct sockaddr *)&peer, &size) == 0);
        CHECK(memcmp(&peer, &names[0], size) == 0);
        send_to(b, connected, "not from the peer", 17);
        CHECK(send(connected, "to the peer", 11, 0) == 11);
        check_datagram(a, connected, "to the peer", 11);
        say(a, b, c6, d6);
        send_to(a, connected, "to the connected", 16);
    }
    return 0;
}
