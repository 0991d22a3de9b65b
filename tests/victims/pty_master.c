/*
 * pty_master.c - a pseudoterminal with both ends: settings, window, packet mode, lock, descriptors
 */
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include "victim.h"

/* Bytes, or -errno; waits until they are there. */
static int get(int fd, char *data, size_t size)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    memset(data, 0, size);
    if (poll(&p, 1, 5000) != 1)
        return -ETIMEDOUT;
    ssize_t n = read(fd, data, size);
    return n < 0 ? -errno : n;
}

static int open_master(void)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

    MUST(fd >= 0);
    return fd;
}

static int open_slave(int master)
{
    MUST(grantpt(master) == 0 && unlockpt(master) == 0);
    int fd = open(ptsname(master), O_RDWR | O_NOCTTY);
    MUST(fd >= 0);
    return fd;
}

static void check_canonical(int master, int slave)
{
    char data[100];

    CHECK_EQ(write(slave, "out\n", 4), 4);
    CHECK_EQ(get(master, data, sizeof(data)), 5);
    CHECK(strcmp(data, "out\r\n") == 0);
    CHECK_EQ(write(master, "in\n", 3), 3);
    CHECK_EQ(get(slave, data, sizeof(data)), 3);
    CHECK(strcmp(data, "in\n") == 0);
    CHECK_EQ(get(master, data, sizeof(data)), 4);
    CHECK(strcmp(data, "in\r\n") == 0);
}

static void check_packets(int master, int slave)
{
    int packets = 0;
    char data[100];

    CHECK(ioctl(master, TIOCGPKT, &packets) == 0 && packets == 1);
    CHECK_EQ(write(slave, "x\n", 2), 2);
    CHECK_EQ(get(master, data, sizeof(data)), 3);
    CHECK(memcmp(data, "\0x\n", 3) == 0);
    CHECK_EQ(write(master, "\3", 1), 1); /* no signal */
    CHECK_EQ(get(slave, data, sizeof(data)), 1);
    CHECK(data[0] == 3);
}

static short events(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};

    poll(&p, 1, 0);
    return p.revents;
}

int main(int argc, char **argv)
{
    struct winsize size = {33, 99, 660, 990}, got;
    struct termios settings;
    struct stat st;
    char data[100], name[64];
    int locked;

    victim_init(argc, argv);
    int plain = open_master(), plain_slave = open_slave(plain);
    int raw = open_master(), raw_slave = open_slave(raw), one = 1;
    int fresh = open_master(), left = open_master(), dead = open_master();
    int stopped = open_master(), stopped_slave = open_slave(stopped);
    MUST(tcflow(stopped_slave, TCOOFF) == 0);
    int dead_slave = open_slave(dead),
        peer = ioctl(plain, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    MUST(peer >= 0 && fcntl(peer, F_SETFD, 0) == 0);
    MUST(close(open_slave(left)) == 0 && close(dead) == 0 && dup2(raw_slave, 60) == 60);
    MUST(ioctl(plain, TIOCSWINSZ, &size) == 0 && fchmod(plain_slave, 0622) == 0);
    MUST(tcgetattr(raw_slave, &settings) == 0);
    cfmakeraw(&settings);
    settings.c_cc[VQUIT] = 'q';
    cfsetspeed(&settings, B9600);
    MUST(tcsetattr(raw_slave, TCSANOW, &settings) == 0 && ioctl(raw, TIOCPKT, &one) == 0);
    snprintf(name, sizeof(name), "%s", ptsname(plain));

    victim_ready();
    while (victim_wait()) {
        check_canonical(plain, plain_slave);
        check_packets(raw, 60);
        CHECK(ioctl(plain_slave, TIOCGWINSZ, &got) == 0 && memcmp(&got, &size, sizeof(got)) == 0);
        CHECK(fstat(plain_slave, &st) == 0 && (st.st_mode & 0777) == 0622);
        memset(&settings, 0, sizeof(settings));
        CHECK(tcgetattr(60, &settings) == 0 && settings.c_cc[VQUIT] == 'q');
        CHECK(!(settings.c_lflag & (ICANON | ECHO | ISIG)) && !(settings.c_oflag & OPOST));
        CHECK_EQ(cfgetospeed(&settings), B9600);
        CHECK(fcntl(plain, F_GETFD) == FD_CLOEXEC && fcntl(plain_slave, F_GETFD) == 0);
        CHECK_EQ(fcntl(peer, F_GETFD), 0);
        CHECK(isatty(plain_slave) && stat(ptsname(plain), &st) == 0);
        if (strcmp(victim_situation(), "namespace") == 0 ||
            strcmp(victim_situation(), "continue") == 0)
            CHECK(strcmp(ptsname(plain), name) == 0);
        snprintf(name, sizeof(name), "%s", ptsname(plain));

        CHECK_EQ(events(stopped_slave), 0); /* not even for writing */
        CHECK_EQ(events(fresh), POLLOUT);   /* never opened, and locked */
        CHECK(ioctl(fresh, TIOCGPTLCK, &locked) == 0 && locked == 1);
        CHECK(events(left) & POLLHUP); /* opened and closed again */
        errno = 0;
        CHECK(read(left, data, 1) < 0 && errno == EIO);
        CHECK_EQ(read(dead_slave, data, 1), 0); /* hung up */
        CHECK(write(dead_slave, "x", 1) < 0 && errno == EIO);
    }
    return 0;
}
