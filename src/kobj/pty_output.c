/* pty_output.c - output of a pseudoterminal that its master has not read yet, and whether it stands
 * still */
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include "kobj/pty.h"

#define WAIT_MS 5000

bool pty_is_stopped(int slave)
{
    struct pollfd p = {.fd = slave, .events = POLLOUT};

    return poll(&p, 1, 0) == 0;
}

/* The call lets go on what a call has stopped, and that only. */
enum pty_stop pty_let_go_on(int slave)
{
    if (!pty_is_stopped(slave))
        return PTY_RUNS;
    tcflow(slave, TCOON);
    if (!pty_is_stopped(slave))
        return PTY_STOPPED_BY_CALL;
    tcflow(slave, TCOOFF);
    tcflow(slave, TCOON);
    return PTY_STOPPED_BY_KEY;
}

/* There is room again when the kernel has brought a part to the other end; nothing wakes us. */
int pty_write(int end, const uint8_t *data, size_t size)
{
    int waited_ms = 0;

    for (size_t done = 0; done < size;) {
        ssize_t n = write(end, data + done, size - done);
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

void pty_drain_output(int master, struct pty_waiting *w)
{
    struct pollfd p = {.fd = master, .events = POLLIN};

    /* poll(2) lets the kernel bring what is still on its way. */
    while (w->output_size < PTY_ROOM && poll(&p, 1, 0) > 0 && (p.revents & POLLIN)) {
        ssize_t n = read(master, w->output + w->output_size, PTY_ROOM - w->output_size);
        if (n <= 0 && errno != EINTR)
            return;
        w->output_size += n > 0 ? n : 0;
    }
}
