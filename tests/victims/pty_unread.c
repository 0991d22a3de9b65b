/*
 * pty_unread.c - output of pseudoterminals that was not read yet: processed as it was written, in
 * packet mode, stopped by the user, much of it, and of a slave that is closed
 */
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include "victim.h"

struct pair {
    int master, slave;
};

static struct pair make_pair(void)
{
    struct pair p = {.master = posix_openpt(O_RDWR | O_NOCTTY)};

    MUST(p.master >= 0 && grantpt(p.master) == 0 && unlockpt(p.master) == 0);
    p.slave = open(ptsname(p.master), O_RDWR | O_NOCTTY);
    MUST(p.slave >= 0);
    return p;
}

/* Read exactly that, in one or more pieces; in packet mode each begins with a 0. */
static void expect(int master, const char *words, size_t size, bool packets)
{
    struct pollfd p = {.fd = master, .events = POLLIN};
    char data[70000];

    for (size_t got = 0; got < size;) {
        if (poll(&p, 1, 5000) != 1) {
            victim_fail("only %zu of %zu bytes of output", got, size);
            return;
        }
        ssize_t n = read(master, data, size - got + packets);
        if (n <= packets || (packets && data[0] != 0) ||
            memcmp(data + packets, words + got, n - packets) != 0) {
            victim_fail("other output than expected at %zu of %zu (%zd)", got, size, n);
            return;
        }
        got += n - packets;
    }
    CHECK_EQ(poll(&p, 1, 0) && (p.revents & POLLIN), 0);
}

int main(int argc, char **argv)
{
    static char many[6000]; /* more than FIONREAD tells */
    int one = 1;

    victim_init(argc, argv);
    struct pair plain = make_pair(), packets = make_pair(), stopped = make_pair();
    struct pair full = make_pair(), left = make_pair();
    for (size_t i = 0; i < sizeof(many); i++)
        many[i] = 'a' + i % 23;
    MUST(ioctl(packets.master, TIOCPKT, &one) == 0);
    MUST(fcntl(full.master, F_SETFL, O_RDWR | O_NONBLOCK) == 0);
    MUST(write(plain.slave, "a\tb\n", 4) == 4 && write(plain.slave, "c\r", 2) == 2);
    MUST(write(packets.slave, "packet\n", 7) == 7 && write(stopped.slave, "stop\n", 5) == 5);
    MUST(tcflow(stopped.slave, TCOOFF) == 0);
    MUST(write(full.slave, many, sizeof(many)) == sizeof(many));
    MUST(write(left.slave, "the end\n", 8) == 8 && close(left.slave) == 0);

    victim_ready();
    while (victim_wait()) {
        struct pollfd p = {.fd = stopped.slave, .events = POLLOUT};
        expect(plain.master, "a\tb\r\nc\r", 7, false);
        expect(packets.master, "packet\r\n", 8, true);
        CHECK(ioctl(packets.master, TIOCGPKT, &one) == 0 && one == 1);
        expect(stopped.master, "stop\r\n", 6, false);
        CHECK_EQ(poll(&p, 1, 0), 0); /* stopped still */
        CHECK(tcflow(stopped.slave, TCOON) == 0);
        expect(full.master, many, sizeof(many), false);
        CHECK_EQ(fcntl(full.master, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
        CHECK_EQ(fcntl(plain.master, F_GETFL) & O_NONBLOCK, 0);
        expect(left.master, "the end\r\n", 9, false);
        p = (struct pollfd){.fd = left.master, .events = POLLIN};
        CHECK(poll(&p, 1, 0) == 1 && (p.revents & POLLHUP));

        left.slave = open(ptsname(left.master), O_RDWR | O_NOCTTY);
        CHECK(left.slave >= 0);
        CHECK(write(left.slave, "the end\n", 8) == 8 && close(left.slave) == 0);
        CHECK(write(plain.slave, "a\tb\n", 4) == 4 && write(plain.slave, "c\r", 2) == 2);
        CHECK(write(packets.slave, "packet\n", 7) == 7);
        CHECK(write(stopped.slave, "stop\n", 5) == 5 && tcflow(stopped.slave, TCOOFF) == 0);
        CHECK(write(full.slave, many, sizeof(many)) == sizeof(many));
    }
    return 0;
}
