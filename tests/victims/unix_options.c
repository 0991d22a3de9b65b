/*
 * unix_options.c - options of sockets, MSG_OOB, the program's own SO_PEEK_OFF, credentials with
 * messages
 *
 * kinds: unix-socket
 */
#include <sys/time.h>

#include "unix_sockets.h"

static int get(int fd, int name)
{
    int value = -2;
    socklen_t size = sizeof(value);

    getsockopt(fd, SOL_SOCKET, name, &value, &size);
    return value;
}

static void set(int fd, int name, int value)
{
    MUST(setsockopt(fd, SOL_SOCKET, name, &value, sizeof(value)) == 0);
}

static bool comes_as(int fd, const char *text, pid_t pid)
{
    union {
        char space[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control;
    char buffer[100];
    struct ucred from;
    struct iovec iov = {buffer, sizeof(buffer)};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.space,
                            .msg_controllen = sizeof(control.space)};
    ssize_t n = recvmsg(fd, &header, MSG_DONTWAIT);
    struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&header);

    if (n != (ssize_t)strlen(text) || memcmp(buffer, text, n) != 0 || !c ||
        c->cmsg_type != SCM_CREDENTIALS)
        return false;
    memcpy(&from, CMSG_DATA(c), sizeof(from));
    return from.pid == pid && from.uid == getuid() && from.gid == getgid();
}

/* MSG_OOB of unix sockets can be left out of a kernel. */
static bool urgent(int fd)
{
    return goes(fd, "ab", 2) && send(fd, "X", 1, MSG_OOB | MSG_DONTWAIT) == 1 && goes(fd, "cd", 2);
}

/* What one reads where urgent() was sent. Kernels differ in what follows the urgent byte. */
static void read_urgent(int fd, char text[32])
{
    memset(text, 0, 32);
    ssize_t n = recv(fd, text, 1, MSG_OOB | MSG_DONTWAIT);
    text[1] = n == 1 ? '!' : '-';
    for (int i = 0; i < 4; i++) {
        n = recv(fd, text + 4 * i + 4, 3, MSG_DONTWAIT);
        text[4 * i + 7] = n < 0 ? '-' : (char)('0' + n);
    }
}

static void check_urgent(int sender, int receiver)
{
    int own[2];
    char expected[32], text[32];

    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, own) == 0 && urgent(own[0]));
    read_urgent(own[1], expected);
    read_urgent(receiver, text);
    CHECK(memcmp(text, expected, sizeof(text)) == 0 && text[0] == 'X');
    while (recv(receiver, text, sizeof(text), MSG_DONTWAIT) > 0)
        ;
    CHECK(urgent(sender));
    close(own[0]);
    close(own[1]);
}

int main(int argc, char **argv)
{
    int plain[2], peeking[2], records[2], signed_by[2], packets[2], late[2];
    struct timeval time = {3, 500000}, read_back = {0};
    socklen_t size = sizeof(time);
    char buffer[10];

    victim_init(argc, argv);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, plain) == 0);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, peeking) == 0);
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, records) == 0);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, signed_by) == 0);
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, packets) == 0);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, late) == 0);
    set(plain[0], SO_SNDBUF, 50000);
    set(plain[0], SO_RCVBUF, 40000);
    set(plain[1], SO_RCVLOWAT, 3);
    set(plain[1], SO_KEEPALIVE, 1);
    set(plain[1], SO_PRIORITY, 2);
    MUST(setsockopt(plain[1], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) == 0);
    int usual = get(plain[1], SO_SNDBUF);
    set(peeking[1], SO_PEEK_OFF, 2);
    set(records[1], SO_PEEK_OFF, 0);
    MUST(goes(peeking[0], "peeked", 6) && goes(records[0], "1", 1) && goes(records[0], "22", 2));
    set(signed_by[1], SO_PASSCRED, 1);
    set(packets[1], SO_PASSCRED, 1);
    MUST(goes(signed_by[0], "I", 1) && goes(packets[0], "me", 2) && goes(packets[0], "too", 3));
    bool has_urgent = urgent(late[0]);

    victim_ready();
    while (victim_wait()) {
        bool same = strcmp(victim_situation(), "new") != 0;
        CHECK_EQ(get(plain[0], SO_SNDBUF), 100000);
        CHECK_EQ(get(plain[0], SO_RCVBUF), 80000);
        CHECK_EQ(get(plain[1], SO_SNDBUF), usual);
        CHECK_EQ(get(plain[1], SO_RCVLOWAT), 3);
        CHECK_EQ(get(plain[1], SO_KEEPALIVE), 1);
        CHECK_EQ(get(plain[1], SO_PRIORITY), 2);
        CHECK(getsockopt(plain[1], SOL_SOCKET, SO_RCVTIMEO, &read_back, &size) == 0);
        CHECK(read_back.tv_sec == time.tv_sec && read_back.tv_usec == time.tv_usec);

        CHECK_EQ(get(peeking[1], SO_PEEK_OFF), 2);
        CHECK_EQ(recv(peeking[1], buffer, 2, MSG_PEEK | MSG_DONTWAIT), 2);
        CHECK(memcmp(buffer, "ek", 2) == 0 && get(peeking[1], SO_PEEK_OFF) == 4);
        set(peeking[1], SO_PEEK_OFF, 2);
        CHECK_EQ(get(records[1], SO_PEEK_OFF), 0);
        CHECK(comes(records[1], "1", 1) && comes(records[1], "22", 2) && is_empty(records[1]));
        CHECK(goes(records[0], "1", 1) && goes(records[0], "22", 2));

        CHECK_EQ(get(signed_by[1], SO_PASSCRED), 1);
        if (same) {
            CHECK(comes_as(signed_by[1], "I", getpid()) && comes_as(packets[1], "me", getpid()));
            CHECK(comes_as(packets[1], "too", getpid()));
        } else {
            CHECK(comes(signed_by[1], "I", 1) && comes(packets[1], "me", 2));
            CHECK(comes(packets[1], "too", 3));
        }
        CHECK(goes(signed_by[0], "I", 1) && goes(packets[0], "me", 2) &&
              goes(packets[0], "too", 3));

        if (has_urgent)
            check_urgent(late[0], late[1]);
    }
    return 0;
}
