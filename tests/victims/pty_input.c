/*
 * pty_input.c - input of pseudoterminals that was not read yet: lines, ends of input, a line that
 * is being typed, characters that would mean something; without lines, little and much of it
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
    p.slave = open(ptsname(p.master), O_RDWR | O_NOCTTY | O_NONBLOCK);
    MUST(p.slave >= 0);
    return p;
}

static bool has_input(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

/* Wait until the end of what was written there has come. */
static void expect(int slave, const char *words, size_t size)
{
    char data[5000];

    for (int ms = 0; ms < 5000 && !has_input(slave); ms++)
        victim_sleep_ms(1);
    CHECK(has_input(slave));
    memset(data, 'x', sizeof(data));
    CHECK_EQ(read(slave, data, sizeof(data)), (ssize_t)size);
    CHECK(memcmp(data, words, size) == 0);
}

#define EXPECT(slave, words) expect((slave), (words), sizeof(words) - 1)
#define TYPE(master, words)                                                                        \
    MUST(write((master), (words), sizeof(words) - 1) == (ssize_t)sizeof(words) - 1)

/* What the master has written has come: that is seen by its echo, which is read. */
static void settle(int master, const char *echo)
{
    char data[256];
    size_t n = 0;

    for (int ms = 0; ms < 20000 &&
                     (n < strlen(echo) || memcmp(data + n - strlen(echo), echo, strlen(echo)) != 0);
         ms++) {
        ssize_t got = has_input(master) ? read(master, data + n, sizeof(data) - 1 - n) : 0;
        n += got > 0 ? got : 0;
        victim_sleep_ms(1);
    }
    data[n] = 0;
    if (n < strlen(echo) || memcmp(data + n - strlen(echo), echo, strlen(echo)) != 0)
        victim_fail("the echo is \"%s\", not \"%s\"", data, echo);
}

/* ---- in canonical mode ---- */

static void type_lines(const struct pair *p)
{
    TYPE(p->master, "first\rsecond \026\003 \026\026 \026\n.\n"); /* ^V: only a character */
    TYPE(p->master, "no newline\4");                              /* ^D */
    TYPE(p->master, "\4");
    TYPE(p->master, "eol;\r\r");
    TYPE(p->master, "wrong\177\177\177\177\177being \026\4typed\026\21");
    settle(p->master, "typed^\b^Q");
}

static void check_lines(const struct pair *p)
{
    EXPECT(p->slave, "first\n");
    EXPECT(p->slave, "second \003 \026 \n.\n");
    EXPECT(p->slave, "no newline");
    EXPECT(p->slave, "");
    EXPECT(p->slave, "eol;");
    EXPECT(p->slave, "\n");
    EXPECT(p->slave, "\n");
    CHECK(!has_input(p->slave) && !has_input(p->master));
    TYPE(p->master, "\177!\n"); /* the last one is erased */
    EXPECT(p->slave, "being \4typed!\n");
    settle(p->master, "!\r\n");
    CHECK(!has_input(p->slave));
    type_lines(p);
}

/* ---- others ---- */

static void make_raw(int fd, bool plain)
{
    struct termios t;

    MUST(tcgetattr(fd, &t) == 0);
    if (plain)
        cfmakeraw(&t);
    t.c_lflag &= ~ICANON; /* as for a program that edits lines itself */
    t.c_cc[VMIN] = 3;
    MUST(tcsetattr(fd, TCSANOW, &t) == 0);
}

static void check_settings(int fd, bool plain)
{
    struct termios t;

    CHECK(tcgetattr(fd, &t) == 0 && t.c_cc[VMIN] == 3 && !(t.c_lflag & ICANON));
    CHECK_EQ(!!(t.c_lflag & ECHO), !plain);
    CHECK_EQ(!!(t.c_oflag & OPOST), !plain);
    CHECK_EQ(!!(t.c_iflag & IXON), !plain);
}

static void type_keys(const struct pair *p)
{
    TYPE(p->master, "\r\26\1x");
    settle(p->master, "x");
}

static void check_keys(const struct pair *p)
{
    EXPECT(p->slave, "\n\26\1x"); /* of which the echo was read */
    CHECK(!has_input(p->master));
    check_settings(p->slave, false);
    type_keys(p);
}

static char much[6000]; /* more than FIONREAD tells */

static void check_much(const struct pair *p)
{
    char data[sizeof(much)];
    size_t n = 0;

    for (int ms = 0; ms < 20000 && n < sizeof(data); ms++) {
        ssize_t got = read(p->slave, data + n, sizeof(data) - n);
        n += got > 0 ? got : 0;
        if (got <= 0)
            victim_sleep_ms(1);
    }
    CHECK_EQ(n, sizeof(much));
    CHECK(memcmp(data, much, sizeof(much)) == 0);
    check_settings(p->slave, true);
    CHECK_EQ(write(p->master, much, sizeof(much)), (ssize_t)sizeof(much));
}

/* Stopped by ^S, while input and output wait; ^Q lets it go on, and TCOON doesn't. */
static void type_stop(const struct pair *p)
{
    struct pollfd out = {.fd = p->slave, .events = POLLOUT};

    TYPE(p->slave, "output\n");
    TYPE(p->master, "line\n");
    settle(p->master, "line\r\n");
    TYPE(p->slave, "more\n");
    TYPE(p->master, "typed\23");
    for (int ms = 0; ms < 20000 && poll(&out, 1, 0) == 1; ms++)
        victim_sleep_ms(1);
    CHECK_EQ(poll(&out, 1, 0), 0);
}

static void check_stop(const struct pair *p)
{
    struct pollfd out = {.fd = p->slave, .events = POLLOUT};

    CHECK(tcflow(p->slave, TCOON) == 0 && poll(&out, 1, 0) == 0);
    EXPECT(p->slave, "line\n");
    TYPE(p->master, "\21\n");
    CHECK_EQ(poll(&out, 1, 20000), 1);
    EXPECT(p->slave, "typed\n");
    settle(p->master, "typed\r\n");
    type_stop(p);
}

static void check_closed(const struct pair *p, const char *name)
{
    int slave = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);

    CHECK(slave >= 0);
    EXPECT(slave, "left\n");
    TYPE(p->master, "left\n");
    settle(p->master, "left\r\n");
    close(slave);
}

int main(int argc, char **argv)
{
    int one = 1;

    victim_init(argc, argv);
    struct pair lines = make_pair(), keys = make_pair(), plain = make_pair();
    struct pair stopped = make_pair(), closed = make_pair();
    struct termios t;
    MUST(tcgetattr(lines.slave, &t) == 0);
    t.c_cc[VEOL] = ';';
    MUST(tcsetattr(lines.slave, TCSANOW, &t) == 0);
    make_raw(keys.slave, false);
    make_raw(plain.slave, true);
    for (size_t i = 0; i < sizeof(much); i++)
        much[i] = (char)(i * 7 + (i >> 8));
    type_lines(&lines);
    type_keys(&keys);
    MUST(write(plain.master, much, sizeof(much)) == sizeof(much));
    type_stop(&stopped);
    TYPE(closed.master, "left\n");
    settle(closed.master, "left\r\n");
    MUST(ioctl(plain.master, TIOCPKT, &one) == 0);
    close(closed.slave);

    victim_ready();
    while (victim_wait()) {
        check_lines(&lines);
        check_keys(&keys);
        check_much(&plain);
        check_stop(&stopped);
        check_closed(&closed, ptsname(closed.master));
    }
    return 0;
}
