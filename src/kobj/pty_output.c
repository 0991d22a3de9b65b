/*
 * pty_output.c - output of a pseudoterminal that its master has not read yet
 *
 * The kernel has no way to look at it: it is read from the master and written to the slave again.
 * A process of its own does both, which has nothing to do with the tool's session or parent: when
 * the tool is killed in the middle, it goes on and puts the data back. It starts only when it
 * holds all that it needs for that.
 *
 * The way from the master to the slave has no such remedy: what canonical mode made of the
 * characters can't be written again.
 */
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "kobj/file.h"
#include "kobj/pty.h"

#define ROOM    (1u << 20) /* a pseudoterminal holds some ten KiB */
#define WAIT_MS 5000

/* What the two processes share. */
struct handover {
    int result;
    bool stopped;
    size_t size;
    uint8_t data[ROOM];
};

/* ---- put it back ---- */

/* There is room again when the kernel has brought a part to the master; nothing wakes us then. */
static int write_all(int slave, const uint8_t *data, size_t size)
{
    int waited_ms = 0;

    for (size_t done = 0; done < size;) {
        ssize_t n = write(slave, data + done, size - done);
        if (n > 0)
            done += n;
        else if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        else if (waited_ms++ == WAIT_MS)
            return -ETIMEDOUT;
        else
            usleep(1000);
    }
    return 0;
}

bool pty_is_stopped(int slave)
{
    struct pollfd p = {.fd = slave, .events = POLLOUT};

    return poll(&p, 1, 0) == 0;
}

static int put(int slave, const uint8_t *data, size_t size, bool stopped)
{
    struct termios settings, plain;

    if (tcgetattr(slave, &settings) < 0)
        return -errno;
    plain = settings;
    plain.c_oflag &= ~OPOST; /* it was processed when it was first written */
    plain.c_lflag &= ~TOSTOP;
    if (tcsetattr(slave, TCSANOW, &plain) < 0)
        return -errno;
    if (stopped)
        tcflow(slave, TCOON);
    int r = write_all(slave, data, size);
    if (stopped)
        tcflow(slave, TCOOFF);
    return tcsetattr(slave, TCSANOW, &settings) < 0 ? -errno : r;
}

static int open_slave(int master)
{
    return ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK);
}

int pty_put_output(int master, const uint8_t *data, size_t size, bool stopped)
{
    _cleanup_close_ int slave = open_slave(master);

    return slave < 0 ? -errno : put(slave, data, size, stopped);
}

/* ---- take it ---- */

static void drain(int master, struct handover *h)
{
    struct pollfd p = {.fd = master, .events = POLLIN};

    /* poll(2) lets the kernel bring what is still on its way. */
    while (h->size < ROOM && poll(&p, 1, 0) > 0 && (p.revents & POLLIN)) {
        ssize_t n = read(master, h->data + h->size, ROOM - h->size);
        if (n <= 0 && errno != EINTR)
            return;
        h->size += n > 0 ? n : 0;
    }
}

/* In the process of its own. */
static int take_and_put(int master, struct handover *h)
{
    int slave = open_slave(master), flags = fcntl(master, F_GETFL), packets = 0, off = 0;

    if (slave < 0 || flags < 0 || ioctl(master, TIOCGPKT, &packets) < 0)
        return -errno;
    if (fcntl(master, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    if (packets)
        ioctl(master, TIOCPKT, &off);
    drain(master, h);
    h->stopped = pty_is_stopped(slave); /* there is room now */
    int r = put(slave, h->data, h->size, h->stopped);
    if (packets)
        ioctl(master, TIOCPKT, &packets);
    fcntl(master, F_SETFL, flags);
    return r;
}

static void run(int master, struct handover *h)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    setsid();
    h->result = take_and_put(master, h);
    _exit(0);
}

static int run_apart(int master, struct handover *h)
{
    struct clone_args args = {0}; /* no signal at its end: it isn't one of the caller's children */
    pid_t pid = syscall(SYS_clone3, &args, sizeof(args));

    if (pid < 0)
        return -errno;
    if (pid == 0)
        run(master, h);
    while (waitpid(pid, NULL, __WALL) < 0)
        if (errno != EINTR)
            return -errno;
    return h->result;
}

int pty_read_output(int master, struct bytes *ret, bool *ret_stopped)
{
    struct handover *h =
        mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (h == MAP_FAILED)
        return -ENOMEM;
    h->result = -EIO; /* if it is killed */
    int r = run_apart(master, h);
    if (r == 0)
        r = bytes_copy(ret, h->data, h->size);
    if (r == 0)
        *ret_stopped = h->stopped;
    munmap(h, sizeof(*h));
    return r;
}
