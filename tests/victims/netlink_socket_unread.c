/*
 * netlink_socket_unread.c - what the kernel has answered and was not read can't be saved
 *
 * refused: the kernel's answers on their way to it
 */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include "victim.h"

int main(int argc, char **argv)
{
    struct {
        struct nlmsghdr header;
        struct rtgenmsg message;
    } question = {{.nlmsg_len = sizeof(question),
                   .nlmsg_type = RTM_GETLINK,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
                  {AF_UNSPEC}};
    char c;

    victim_init(argc, argv);
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    MUST(fd >= 0 && send(fd, &question, sizeof(question), 0) == sizeof(question));

    victim_ready();
    while (victim_wait())
        CHECK_EQ(recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT), 1);
    return 0;
}
