/*
 * tcp_socket_urgent.c - urgent data (MSG_OOB): not read, read already, in the stream; the mark
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include "victim.h"

enum kind { UNREAD, READ, INLINE, AT_MARK, KINDS };

static int clients[KINDS], servers[KINDS];

static void say(int kind)
{
    struct pollfd p = {.fd = servers[kind], .events = POLLPRI};
    char c;

    if (kind != AT_MARK)
        MUST(send(clients[kind], "abc", 3, 0) == 3);
    MUST(send(clients[kind], "X", 1, MSG_OOB) == 1);
    MUST(poll(&p, 1, 5000) == 1);
    MUST(send(clients[kind], "def", 3, 0) == 3);
    for (int left = 1; left > 0; victim_sleep_ms(1)) /* until it has arrived */
        MUST(ioctl(clients[kind], TIOCOUTQ, &left) == 0);
    if (kind == READ)
        MUST(recv(servers[kind], &c, 1, MSG_OOB) == 1 && c == 'X');
}

static void hear(int fd, const char *wanted)
{
    char data[100] = "";

    CHECK_EQ(recv(fd, data, sizeof(data) - 1, MSG_DONTWAIT), (ssize_t)strlen(wanted));
    CHECK(strcmp(data, wanted) == 0);
}

static bool at_mark(int fd)
{
    int answer = -1;

    CHECK(ioctl(fd, SIOCATMARK, &answer) == 0);
    return answer == 1;
}

static void check(int kind)
{
    int fd = servers[kind];
    struct pollfd p = {.fd = fd, .events = POLLPRI};
    char c = 0;

    CHECK_EQ(poll(&p, 1, 0), kind != READ);
    CHECK_EQ(at_mark(fd), kind == AT_MARK);
    if (kind != AT_MARK) {
        hear(fd, "abc");
        CHECK(at_mark(fd));
    }
    errno = 0;
    ssize_t n = recv(fd, &c, 1, MSG_OOB | MSG_DONTWAIT);
    if (kind == UNREAD || kind == AT_MARK)
        CHECK(n == 1 && c == 'X');
    else
        CHECK(n < 0 && errno == EINVAL);
    hear(fd, kind == INLINE ? "Xdef" : "def");
    CHECK(!at_mark(fd));
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    struct utsname name;
    int major = 0, minor = 0, one = 1;

    victim_init(argc, argv);
    MUST(uname(&name) == 0 && sscanf(name.release, "%d.%d", &major, &minor) == 2);
    if (major < 6 || (major == 6 && minor < 9)) {
        fprintf(stderr, "this kernel lets nobody look past urgent data\n");
        return 77;
    }
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    MUST(bind(listening, (struct sockaddr *)&address, size) == 0 &&
         getsockname(listening, (struct sockaddr *)&address, &size) == 0 &&
         listen(listening, 10) == 0);
    for (int i = 0; i < KINDS; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        MUST(connect(clients[i], (struct sockaddr *)&address, size) == 0);
        servers[i] = accept(listening, NULL, NULL);
        MUST(servers[i] >= 0);
        if (i == INLINE)
            MUST(setsockopt(servers[i], SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one)) == 0);
        say(i);
    }

    victim_ready();
    while (victim_wait())
        for (int i = 0; i < KINDS; i++) {
            check(i);
            say(i);
        }
    return 0;
}
