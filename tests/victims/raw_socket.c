/*
 * raw_socket.c - raw sockets: with filters, connected, for IPv6, that write headers themselves
 *
 * situations: -user
 */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <sys/socket.h>
#include "victim.h"

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);

    return getsockopt(fd, level, name, &value, &size) < 0 ? -errno : value;
}

/* Packets that others send come, too: what is looked for has this sequence number. */
static bool echo_comes_back(int fd, uint16_t sequence)
{
    struct {
        struct icmphdr head;
        char data[4];
    } packet = {.head = {.type = ICMP_ECHO, .un.echo = {htons(4711), htons(sequence)}}};
    struct {
        struct iphdr ip;
        struct icmphdr head;
        char data[1000];
    } answer;
    uint32_t sum = 0;

    memcpy(packet.data, "abcd", 4);
    for (size_t i = 0; i < sizeof(packet) / 2; i++)
        sum += ((uint16_t *)&packet)[i];
    sum = (sum >> 16) + (sum & 0xffff);
    packet.head.checksum = ~(sum + (sum >> 16));
    if (send(fd, &packet, sizeof(packet), 0) != sizeof(packet))
        return false;
    while (recv(fd, &answer, sizeof(answer), 0) > 0)
        if (answer.head.type == ICMP_ECHOREPLY && answer.head.un.echo.id == htons(4711) &&
            answer.head.un.echo.sequence == htons(sequence))
            return true;
    return false;
}

int main(int argc, char **argv)
{
    const struct timeval patience = {.tv_sec = 10};
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
                       address;
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 0xffff)};
    struct sock_fprog program = {1, code};
    struct icmp_filter filter = {~(1u << ICMP_ECHOREPLY)};
    struct icmp6_filter filter6;
    socklen_t size;
    int v6 = 1;

    victim_init(argc, argv);
    int icmp = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    int headers = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    int icmp6 = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
    if (icmp < 0) {
        perror("raw socket");
        return 77;
    }
    MUST(headers >= 0);
    MUST(setsockopt(icmp, SOL_RAW, ICMP_FILTER, &filter, sizeof(filter)) == 0);
    MUST(setsockopt(icmp, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0);
    MUST(setsockopt(icmp, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
    MUST(connect(icmp, (void *)&here, sizeof(here)) == 0); /* without a port */
    MUST(bind(headers, (void *)&here, sizeof(here)) == 0);
    if (icmp6 >= 0) {
        ICMP6_FILTER_SETBLOCKALL(&filter6);
        ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter6);
        MUST(setsockopt(icmp6, IPPROTO_ICMPV6, ICMP6_FILTER, &filter6, sizeof(filter6)) == 0);
        MUST(setsockopt(icmp6, IPPROTO_IPV6, IPV6_RECVPKTINFO, &v6, sizeof(v6)) == 0);
    }

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(option(icmp, SOL_SOCKET, SO_TYPE), SOCK_RAW);
        CHECK_EQ(option(icmp, SOL_SOCKET, SO_PROTOCOL), IPPROTO_ICMP);
        CHECK_EQ(option(icmp, SOL_RAW, ICMP_FILTER), (int)filter.data);
        struct sock_filter seen[4];
        size = 4;
        CHECK(getsockopt(icmp, SOL_SOCKET, SO_GET_FILTER, seen, &size) == 0 && size == 1 &&
              seen[0].k == 0xffff);
        CHECK(echo_comes_back(icmp, victim_round)); /* sent without an address */
        CHECK_EQ(option(headers, IPPROTO_IP, IP_HDRINCL), 1);
        size = sizeof(address);
        CHECK(getsockname(headers, (void *)&address, &size) == 0 &&
              address.sin_addr.s_addr == here.sin_addr.s_addr);
        struct icmp6_filter now = {0};
        size = sizeof(now);
        if (icmp6 >= 0) {
            CHECK(getsockopt(icmp6, IPPROTO_ICMPV6, ICMP6_FILTER, &now, &size) == 0 &&
                  memcmp(&now, &filter6, sizeof(now)) == 0);
            CHECK_EQ(option(icmp6, IPPROTO_IPV6, IPV6_RECVPKTINFO), 1);
        }
    }
    return 0;
}
