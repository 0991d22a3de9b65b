/*
 * udp_socket_options.c - options of UDP and UDP-Lite sockets, multicast groups with their sources,
 * filters; several sockets at one address, each with datagrams of its own
 */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <sys/socket.h>
#include "victim.h"

#define GROUP       "239.1.2.3"
#define OTHER_GROUP "239.3.2.1"
#define SOURCE      "127.0.0.9"
#define GROUP6      "ff02::1234"

static void set(int fd, int level, int name, int value)
{
    MUST(setsockopt(fd, level, name, &value, sizeof(value)) == 0);
}

static int get(int fd, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);

    CHECK(getsockopt(fd, level, name, &value, &size) == 0);
    return value;
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* ---- options ---- */

static int plain, six, lite;

static void make_options(void)
{
    struct timeval timeout = {3, 500000};

    plain = socket(AF_INET, SOCK_DGRAM, 0);
    six = socket(AF_INET6, SOCK_DGRAM, 0);
    lite = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
    MUST(plain >= 0 && six >= 0);
    set(plain, SOL_SOCKET, SO_BROADCAST, 1);
    set(plain, SOL_SOCKET, SO_RCVBUF, 100000);
    set(plain, IPPROTO_IP, IP_TOS, 0x10);
    set(plain, IPPROTO_IP, IP_TTL, 77);
    set(plain, IPPROTO_IP, IP_PKTINFO, 1);
    set(plain, IPPROTO_IP, IP_MULTICAST_TTL, 9);
    set(plain, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
    MUST(setsockopt(plain, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0);
    set(six, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    set(six, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    set(six, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)if_nametoindex("lo"));
    set(six, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 33);
    if (lite >= 0)
        set(lite, IPPROTO_UDPLITE, 10, 20); /* UDPLITE_SEND_CSCOV */
}

static void check_options(void)
{
    struct timeval timeout = {0};
    socklen_t size = sizeof(timeout);

    CHECK_EQ(get(plain, SOL_SOCKET, SO_BROADCAST), 1);
    CHECK_EQ(get(plain, SOL_SOCKET, SO_RCVBUF), 200000);
    CHECK_EQ(get(plain, IPPROTO_IP, IP_TOS), 0x10);
    CHECK_EQ(get(plain, IPPROTO_IP, IP_TTL), 77);
    CHECK_EQ(get(plain, IPPROTO_IP, IP_PKTINFO), 1);
    CHECK_EQ(get(plain, IPPROTO_IP, IP_MULTICAST_TTL), 9);
    CHECK_EQ(get(plain, IPPROTO_IP, IP_MULTICAST_LOOP), 0);
    CHECK(getsockopt(plain, SOL_SOCKET, SO_RCVTIMEO, &timeout, &size) == 0);
    CHECK_EQ(timeout.tv_sec, 3);
    CHECK_EQ(timeout.tv_usec, 500000);
    CHECK_EQ(get(six, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    CHECK_EQ(get(six, IPPROTO_IPV6, IPV6_RECVPKTINFO), 1);
    CHECK_EQ(get(six, IPPROTO_IPV6, IPV6_MULTICAST_IF), if_nametoindex("lo"));
    CHECK_EQ(get(six, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 33);
    if (lite >= 0)
        CHECK_EQ(get(lite, IPPROTO_UDPLITE, 10), 20);
}

/* ---- groups ---- */

static int member, member6;
static struct sockaddr_in member_name;

static void make_member(void)
{
    struct ip_mreqn group = {.imr_ifindex = (int)if_nametoindex("lo")};
    struct ip_mreq_source only = {.imr_interface.s_addr = htonl(INADDR_LOOPBACK)};
    struct ipv6_mreq group6 = {.ipv6mr_interface = if_nametoindex("lo")};
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t size = sizeof(member_name);

    member = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    inet_pton(AF_INET, GROUP, &group.imr_multiaddr);
    inet_pton(AF_INET, OTHER_GROUP, &only.imr_multiaddr);
    inet_pton(AF_INET, SOURCE, &only.imr_sourceaddr);
    MUST(bind(member, (struct sockaddr *)&any, sizeof(any)) == 0 &&
         getsockname(member, (struct sockaddr *)&member_name, &size) == 0);
    MUST(setsockopt(member, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)) == 0);
    MUST(setsockopt(member, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &only, sizeof(only)) == 0);
    set(member, IPPROTO_IP, IP_MULTICAST_ALL, 0);
    member6 = socket(AF_INET6, SOCK_DGRAM, 0);
    inet_pton(AF_INET6, GROUP6, &group6.ipv6mr_multiaddr);
    MUST(setsockopt(member6, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group6, sizeof(group6)) == 0);
}

static bool reaches(const char *source, const char *group)
{
    struct sockaddr_in from = loopback(0), to = member_name;
    struct ip_mreqn way = {.imr_ifindex = (int)if_nametoindex("lo")};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    char c;

    inet_pton(AF_INET, source, &from.sin_addr);
    inet_pton(AF_INET, group, &to.sin_addr);
    MUST(bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0);
    MUST(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &way, sizeof(way)) == 0);
    MUST(sendto(fd, "m", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1);
    /* What must not come is known not to when something later has come. */
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    MUST(sendto(fd, "e", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1);
    close(fd);
    bool reached = false;
    for (;;) {
        ssize_t n = recv(member, &c, 1, 0);
        if (n < 0)
            victim_sleep_ms(1);
        else if (c == 'e')
            return reached;
        else
            reached = true;
    }
}

static void check_member(void)
{
    struct ipv6_mreq group6 = {.ipv6mr_interface = if_nametoindex("lo")};

    CHECK(reaches("127.0.0.1", GROUP));
    CHECK(reaches(SOURCE, OTHER_GROUP));
    CHECK(!reaches("127.0.0.1", OTHER_GROUP));
    inet_pton(AF_INET6, GROUP6, &group6.ipv6mr_multiaddr);
    errno = 0;
    CHECK(setsockopt(member6, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group6, sizeof(group6)) < 0 &&
          errno == EADDRINUSE);
}

/* ---- one address, several sockets ---- */

#define N 3
static int sharing[N], sender;
static char expected[N][64];

static size_t look_at(int i)
{
    int off = 0;
    char c;

    expected[i][0] = 0;
    MUST(setsockopt(sharing[i], SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) == 0);
    while (recv(sharing[i], &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1)
        strncat(expected[i], &c, 1);
    off = -1;
    MUST(setsockopt(sharing[i], SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) == 0);
    return strlen(expected[i]);
}

static void fill_sharing(void)
{
    struct sockaddr_in to;
    socklen_t size = sizeof(to);

    MUST(getsockname(sharing[0], (struct sockaddr *)&to, &size) == 0);
    /* The kernel chooses by the sender's port: who got it is seen by looking. */
    for (char c = 'a'; c <= 'l'; c++) {
        if (sender > 0)
            close(sender);
        sender = socket(AF_INET, SOCK_DGRAM, 0);
        MUST(sendto(sender, &c, 1, 0, (struct sockaddr *)&to, size) == 1);
    }
    for (size_t n = 0; n < 12; victim_sleep_ms(1)) { /* until all have arrived */
        n = 0;
        for (int i = 0; i < N; i++)
            n += look_at(i);
    }
}

static void make_sharing(void)
{
    struct sockaddr_in own = loopback(0);
    socklen_t size = sizeof(own);

    for (int i = 0; i < N; i++) {
        sharing[i] = socket(AF_INET, SOCK_DGRAM, 0);
        set(sharing[i], SOL_SOCKET, SO_REUSEPORT, 1);
        MUST(bind(sharing[i], (struct sockaddr *)&own, sizeof(own)) == 0 &&
             getsockname(sharing[i], (struct sockaddr *)&own, &size) == 0);
    }
    fill_sharing();
}

static void check_sharing(void)
{
    for (int i = 0; i < N; i++) {
        char found[64] = "", c;
        while (recv(sharing[i], &c, 1, MSG_DONTWAIT) == 1)
            strncat(found, &c, 1);
        if (strcmp(found, expected[i]) != 0)
            victim_fail("socket %d has '%s', expected '%s'", i, found, expected[i]);
        CHECK_EQ(get(sharing[i], SOL_SOCKET, SO_REUSEPORT), 1);
        CHECK_EQ(get(sharing[i], SOL_SOCKET, SO_REUSEADDR), 0);
        CHECK_EQ(get(sharing[i], SOL_SOCKET, SO_PEEK_OFF), -1);
    }
    fill_sharing();
}

/* ---- a filter ---- */

static int filtered;

static void make_filtered(void)
{
    /* Only datagrams that begin with 'y'; the header of UDP has eight bytes. */
    struct sock_filter program[] = {
        {BPF_LD | BPF_B | BPF_ABS, 0, 0, 8},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 'y'},
        {BPF_RET | BPF_K, 0, 0, 0xffff},
        {BPF_RET | BPF_K, 0, 0, 0},
    };
    struct sock_fprog filter = {4, program};
    struct sockaddr_in own = loopback(0);

    filtered = socket(AF_INET, SOCK_DGRAM, 0);
    MUST(bind(filtered, (struct sockaddr *)&own, sizeof(own)) == 0);
    MUST(setsockopt(filtered, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) == 0);
}

static void check_filtered(void)
{
    struct sockaddr_in to;
    socklen_t size = sizeof(to);
    char data[10];

    CHECK(getsockname(filtered, (struct sockaddr *)&to, &size) == 0);
    CHECK(sendto(sender, "no", 2, 0, (struct sockaddr *)&to, size) == 2);
    CHECK(sendto(sender, "yes", 3, 0, (struct sockaddr *)&to, size) == 3);
    CHECK_EQ(recv(filtered, data, sizeof(data), 0), 3);
}

int main(int argc, char **argv)
{
    cpu_set_t one;

    victim_init(argc, argv);
    /* On one processor no datagram overtakes another. */
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    MUST(sched_setaffinity(0, sizeof(one), &one) == 0);
    make_options();
    make_member();
    make_sharing();
    make_filtered();

    victim_ready();
    while (victim_wait()) {
        check_options();
        check_member();
        check_sharing();
        check_filtered();
    }
    return 0;
}
