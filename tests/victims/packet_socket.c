/*
 * packet_socket.c - packet sockets: bound to an interface, with a filter, options and memberships
 *
 * situations: -user
 */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "victim.h"

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);

    return getsockopt(fd, level, name, &value, &size) < 0 ? -errno : value;
}

static bool is_up(const char *interface)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
    bool up = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0 && request.ifr_flags & IFF_UP;
    close(fd);
    return up;
}

/* Does the loopback interface receive what is sent to that address? */
static bool is_member(const uint8_t address[ETH_ALEN])
{
    char line[256], wanted[32];
    bool found = false;
    FILE *file = fopen("/proc/net/dev_mcast", "re");

    MUST(file);
    for (int i = 0; i < ETH_ALEN; i++)
        sprintf(wanted + 2 * i, "%02x", address[i]);
    while (fgets(line, sizeof(line), file))
        found |= strstr(line, " lo ") && strstr(line, wanted);
    fclose(file);
    return found;
}

/* A frame of the test's own protocol, to itself. Others' frames are not of this protocol. */
static bool frame_comes_back(int fd, int number)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(0x88b5),
                             .sll_ifindex = if_nametoindex("lo"),
                             .sll_halen = ETH_ALEN};
    int seen = -1;

    CHECK(sendto(fd, &number, sizeof(number), 0, (void *)&to, sizeof(to)) == sizeof(number));
    while (recv(fd, &seen, sizeof(seen), 0) > 0)
        if (seen == number)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    const struct timeval patience = {.tv_sec = 10};
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 0xffff)};
    struct sock_fprog program = {1, code};
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5)}, got;
    struct packet_mreq group = {
        .mr_type = PACKET_MR_MULTICAST, .mr_alen = ETH_ALEN, .mr_address = {1, 0, 0x5e}};
    int one = 1;
    socklen_t size;

    victim_init(argc, argv);
    int fd = socket(AF_PACKET, SOCK_DGRAM, 0);
    int raw = socket(AF_PACKET, SOCK_RAW, 0);
    if (fd < 0) {
        perror("packet socket");
        return 77;
    }
    MUST(raw >= 0);
    for (int i = 0; i < 3; i++) /* nobody else's */
        group.mr_address[3 + i] = getpid() >> (8 * i);
    address.sll_ifindex = group.mr_ifindex = if_nametoindex("lo");
    if (address.sll_ifindex == 0 || !is_up("lo")) {
        fprintf(stderr, "the loopback interface is down\n");
        return 77;
    }
    MUST(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0);
    MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
    MUST(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)) == 0);
    MUST(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &group, sizeof(group)) == 0);
    MUST(bind(fd, (void *)&address, sizeof(address)) == 0);

    victim_ready();
    while (victim_wait()) {
        CHECK(frame_comes_back(fd, victim_round));
        CHECK_EQ(option(fd, SOL_PACKET, PACKET_AUXDATA), 1);
        CHECK_EQ(option(raw, SOL_PACKET, PACKET_AUXDATA), 0);
        CHECK_EQ(option(raw, SOL_SOCKET, SO_TYPE), SOCK_RAW);
        struct sock_filter seen[4];
        size = 4;
        CHECK(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, seen, &size) == 0 && size == 1);
        size = sizeof(got);
        CHECK(getsockname(fd, (void *)&got, &size) == 0 && got.sll_ifindex == address.sll_ifindex &&
              got.sll_protocol == address.sll_protocol);
        size = sizeof(got);
        CHECK(getsockname(raw, (void *)&got, &size) == 0 && got.sll_protocol == 0);
        CHECK(is_member(group.mr_address));
    }
    return 0;
}
