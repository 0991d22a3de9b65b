/*
 * netlink_socket.c - netlink sockets: new, bound, listening to groups; with options
 */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include "victim.h"

static uint32_t port_of(int fd, uint32_t *ret_groups)
{
    struct sockaddr_nl name = {0};
    socklen_t size = sizeof(name);

    CHECK(getsockname(fd, (struct sockaddr *)&name, &size) == 0);
    *ret_groups = name.nl_groups;
    return name.nl_pid;
}

/* The kernel lists at least the loopback interface. */
static void check_answers(int fd)
{
    struct {
        struct nlmsghdr header;
        struct rtgenmsg message;
    } question = {{.nlmsg_len = sizeof(question),
                   .nlmsg_type = RTM_GETLINK,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
                  {AF_UNSPEC}};
    static char answer[65536];
    int links = 0;

    CHECK_EQ(send(fd, &question, sizeof(question), 0), sizeof(question));
    for (bool done = false; !done;) {
        ssize_t got = recv(fd, answer, sizeof(answer), 0);
        CHECK(got > 0);
        if (got <= 0)
            return;
        size_t n = got;
        for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            done |= h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR;
            links += h->nlmsg_type == RTM_NEWLINK;
        }
    }
    CHECK(links >= 1);
}

int main(int argc, char **argv)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    int one = 1, group = RTNLGRP_MDB, value = 0;
    socklen_t size = sizeof(value);
    uint32_t groups, ports[2];

    victim_init(argc, argv);
    int new = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    int bound = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    int second = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE);
    MUST(new >= 0 && bound >= 0 && second >= 0);
    MUST(bind(bound, (struct sockaddr *)&address, sizeof(address)) == 0 &&
         bind(second, (struct sockaddr *)&address, sizeof(address)) == 0);
    MUST(setsockopt(second, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) == 0);
    MUST(setsockopt(second, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one)) == 0);
    ports[0] = port_of(bound, &groups);
    ports[1] = port_of(second, &groups);

    victim_ready();
    while (victim_wait()) {
        uint32_t words[8] = {0};
        CHECK_EQ(port_of(bound, &groups), ports[0]);
        CHECK_EQ(port_of(second, &groups), ports[1]);
        CHECK(getsockopt(second, SOL_NETLINK, NETLINK_EXT_ACK, &value, &size) == 0 && value == 1);
        socklen_t length = sizeof(words);
        CHECK(getsockopt(second, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, words, &length) == 0);
        CHECK_EQ(words[0], 1u << (RTNLGRP_MDB - 1));
        check_answers(bound);
        CHECK_EQ(port_of(new, &groups), 0);
    }
    return 0;
}
