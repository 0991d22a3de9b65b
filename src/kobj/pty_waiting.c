/*
 * pty_waiting.c - what waits in a pseudoterminal: taken out, and put back
 *
 * The kernel has no way to look at it: output is read from the master and written to the slave
 * again, input the other way. A process of its own does both, which has nothing to do with the
 * tool's session or parent: when the tool is killed in the middle, it goes on and puts all back. It
 * starts only when it holds all that it needs for that.
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

#include "kobj/pty.h"

static int open_slave(int master)
{
    return ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK);
}

struct pty_waiting *pty_waiting_new(void)
{
    struct pty_waiting *w =
        mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return w == MAP_FAILED ? NULL : w;
}

void pty_waiting_free(struct pty_waiting *w)
{
    munmap(w, sizeof(*w));
}

/* ---- put ---- */

static int put_all(int master, int slave, const struct pty_settings *s, const struct pty_waiting *w,
                   size_t *ret_put)
{
    int r = pty_put_input(master, slave, s, &w->input, ret_put);

    if (r == 0)
        r = pty_write(slave, w->output, w->output_size);
    if (r == 0 && w->stop == PTY_STOPPED_BY_KEY)
        r = pty_stop_by_key(master, slave, s);
    if (w->stop == PTY_STOPPED_BY_CALL)
        tcflow(slave, TCOOFF);
    return r;
}

static int put(int master, int slave, const struct pty_settings *s, const struct pty_waiting *w)
{
    size_t n_put = w->input.size;
    int r = pty_begin_put(slave, s);

    if (r == 0)
        r = put_all(master, slave, s, w, &n_put);
    if (ioctl(slave, PTY_SET_SETTINGS, s) < 0)
        return -errno;
    if (r == 0 && n_put < w->input.size)
        r = pty_put_late(master, &w->input, n_put);
    return r == 0 && n_put < w->input.size ? -EOVERFLOW : r;
}

int pty_put_waiting(int master, const struct pty_waiting *w)
{
    _cleanup_close_ int slave = open_slave(master);
    struct pty_settings s;
    int flags = fcntl(master, F_GETFL);

    if (slave < 0 || flags < 0 || ioctl(slave, PTY_GET_SETTINGS, &s) < 0 ||
        fcntl(master, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    int r = put(master, slave, &s, w);
    fcntl(master, F_SETFL, flags);
    return r;
}

/* ---- take ---- */

static int take(int slave, const struct pty_settings *s, int master, struct pty_waiting *w)
{
    pty_drain_output(master, w);
    w->stop = pty_let_go_on(slave); /* there is room now */
    int r = w->wants_input ? pty_take_input(slave, s, &w->input) : 0;
    /* Echoes that had no room, or were stopped, come with the next that is written: nothing. They
     * belong before what is put back. */
    if (write(slave, "", 0) == 0)
        pty_drain_output(master, w);
    return r;
}

static int take_and_put(int master, int slave, const struct pty_settings *s, struct pty_waiting *w)
{
    int r = take(slave, s, master, w), put_back = put(master, slave, s, w);

    return r < 0 ? r : put_back;
}

/* In the process of its own. */
static int take_apart(int master, struct pty_waiting *w)
{
    int slave = open_slave(master), flags = fcntl(master, F_GETFL), packets = 0, off = 0;
    struct pollfd p = {.fd = master, .events = POLLOUT};
    struct pty_settings s;

    if (slave < 0 || flags < 0 || ioctl(master, TIOCGPKT, &packets) < 0 ||
        ioctl(slave, PTY_GET_SETTINGS, &s) < 0)
        return -errno;
    if (w->wants_input && poll(&p, 1, 0) == 0) /* nothing could be put back */
        return -EAGAIN;
    if (fcntl(master, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    if (packets)
        ioctl(master, TIOCPKT, &off);
    int r = take_and_put(master, slave, &s, w);
    if (packets)
        ioctl(master, TIOCPKT, &packets);
    fcntl(master, F_SETFL, flags);
    return r;
}

static void run(int master, struct pty_waiting *w)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    setsid();
    w->result = take_apart(master, w);
    _exit(0);
}

int pty_read_waiting(int master, struct pty_waiting *w)
{
    w->result = -EIO; /* if it is killed */
    /* No signal at its end: it isn't one of the caller's children. */
    pid_t pid = syscall(SYS_clone, 0, NULL, NULL, NULL, 0);
    if (pid < 0)
        return -errno;
    if (pid == 0)
        run(master, w);
    while (waitpid(pid, NULL, __WALL) < 0)
        if (errno != EINTR)
            return -errno;
    return w->result;
}
