/*
 * pty_input.c - input of a pseudoterminal that its slave has not read yet
 *
 * In canonical mode there are lines, and a line that is still being typed, which can be read only
 * when the mode is left. All is taken as the program would read it: what the keys did (CR to NL,
 * erase, echo) is done. So it is put back in a mode where the keys do nothing, but for some that
 * are chosen here: one that says that the next character is only a character, and one for the end
 * of input. What the master writes gets to the slave a little later, and nothing tells when; but a
 * key that stops the output (^S), and one that lets it go on, can be seen to have worked, so they
 * are the last to be written.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "kobj/pty.h"

#define WAIT_MS    5000
#define PIECE_SIZE 1024

/* The kernel's buffer, of which one place stays free; behind it, what the master has written waits
 * unprocessed. */
#define BUFFER_SIZE 4095

static bool has(const struct pty_settings *s, unsigned flag)
{
    return s->local & flag;
}

bool pty_is_canonical(const struct pty_settings *s)
{
    return has(s, ICANON) && !has(s, EXTPROC);
}

/* What it is given is what is read, without any effects. */
static bool is_plain(const struct pty_settings *s)
{
    return !(s->input & (ISTRIP | INLCR | IGNCR | ICRNL | IUCLC | IXON | PARMRK)) &&
           !(s->local & (ICANON | ECHO | ISIG | IEXTEN | EXTPROC));
}

int pty_check_input(const struct pty_settings *s, int waiting)
{
    return is_plain(s) || (waiting < BUFFER_SIZE - 256 && !has(s, EXTPROC)) ? 0 : -EOVERFLOW;
}

/* ---- take it ---- */

static int add_line(struct pty_input *in, const struct pty_settings *s, size_t size)
{
    const uint8_t last = size > 0 ? in->data[in->size + size - 1] : 0;

    if (in->n_lines == PTY_LINES)
        return -EOVERFLOW;
    in->lines[in->n_lines++] = (struct pty_line){
        .size = size,
        .delimited = size > 0 && (last == '\n' || (last && (last == s->characters[VEOL] ||
                                                            last == s->characters[VEOL2])))};
    in->size += size;
    return 0;
}

/* A read gets one line; nothing where the end of input was typed. */
static int take_lines(int slave, const struct pty_settings *s, struct pty_input *in)
{
    struct pollfd p = {.fd = slave, .events = POLLIN};

    /* poll(2) lets the kernel process what is still on its way. */
    while (poll(&p, 1, 0) > 0 && (p.revents & POLLIN) && !(p.revents & POLLHUP)) {
        ssize_t n = read(slave, in->data + in->size, PTY_ROOM - in->size);
        if (n < 0 && errno != EINTR)
            return errno == EAGAIN ? 0 : -errno;
        int r = n < 0 ? 0 : add_line(in, s, n);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Outside of canonical mode; a read doesn't wait for a number of characters. */
static int take_rest(int slave, const struct pty_settings *s, struct pty_input *in)
{
    struct pty_settings now = *s;

    now.local &= ~ICANON;
    now.characters[VMIN] = 0;
    now.characters[VTIME] = 0;
    if (ioctl(slave, PTY_SET_SETTINGS, &now) < 0)
        return -errno;
    for (;;) {
        ssize_t n = read(slave, in->data + in->size, PTY_ROOM - in->size);
        if (n == 0 || (n < 0 && errno == EAGAIN))
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        in->size += n > 0 ? n : 0;
    }
}

int pty_take_input(int slave, const struct pty_settings *s, struct pty_input *in)
{
    int r = pty_is_canonical(s) ? take_lines(slave, s, in) : 0;

    return r == 0 ? take_rest(slave, s, in) : r;
}

/* ---- put it back ---- */

struct keys {
    uint8_t literal, end, stop, start;
};

/* Characters that end no line by themselves. */
static struct keys choose_keys(const struct pty_settings *s)
{
    uint8_t found[4];
    size_t n = 0;

    for (uint8_t c = 1; n < sizeof(found); c++)
        if (c != '\n' && c != s->characters[VEOL] && c != s->characters[VEOL2])
            found[n++] = c;
    return (struct keys){found[0], found[1], found[2], found[3]};
}

/* No key does anything but these, and those that end lines; what is written to the slave comes out
 * as it is. */
static struct pty_settings quiet(const struct pty_settings *s, const struct keys *keys)
{
    struct pty_settings q = *s;

    memset(q.characters, 0, sizeof(q.characters));
    q.output &= ~OPOST;
    q.input = IXON;
    q.local = IEXTEN | (s->local & ICANON);
    q.characters[VSTOP] = keys->stop;
    q.characters[VSTART] = keys->start;
    if (pty_is_canonical(s)) {
        q.characters[VLNEXT] = keys->literal;
        q.characters[VEOF] = keys->end;
        q.characters[VEOL] = s->characters[VEOL];
        q.characters[VEOL2] = s->characters[VEOL2];
    } else {
        q.input = 0;
        q.local = s->local & EXTPROC;
        q.characters[VMIN] = 1;
    }
    return q;
}

static bool is_special(const struct pty_settings *q, uint8_t c)
{
    return c == '\n' || (c && memchr(q->characters, c, sizeof(q->characters)));
}

/* With `literal` before each that would be more than a character. */
static int write_plainly(int master, const struct pty_settings *q, uint8_t literal,
                         const uint8_t *data, size_t size)
{
    uint8_t piece[2 * PIECE_SIZE];
    int r = 0;

    for (size_t at = 0; r == 0 && at < size; at += PIECE_SIZE) {
        size_t n = 0;
        for (size_t i = at; i < size && i < at + PIECE_SIZE; i++) {
            if (is_special(q, data[i]))
                piece[n++] = literal;
            piece[n++] = data[i];
        }
        r = pty_write(master, piece, n);
    }
    return r;
}

static int wait_stopped(int slave, bool stopped)
{
    for (int ms = 0; pty_is_stopped(slave) != stopped; ms++, usleep(1000))
        if (ms == WAIT_MS)
            return -ETIMEDOUT;
    return 0;
}

/* The output is not stopped, and there is room for it. */
static int pass_keys(int master, int slave, const struct keys *keys)
{
    int r = pty_write(master, &keys->stop, 1);

    if (r == 0)
        r = wait_stopped(slave, true);
    if (r == 0)
        r = pty_write(master, &keys->start, 1);
    return r == 0 ? wait_stopped(slave, false) : r;
}

/* As many lines as fit; then what isn't a line yet. */
static int put_canonical(int master, int slave, const struct pty_settings *q,
                         const struct keys *keys, const struct pty_input *in, size_t *ret_put)
{
    const uint8_t *data = in->data;
    size_t i = 0, taken = 0;
    int r = 0;

    for (; r == 0 && i < in->n_lines; i++) {
        const struct pty_line *line = &in->lines[i];
        taken += line->size + !line->delimited;
        if (taken >= BUFFER_SIZE)
            break;
        r = write_plainly(master, q, keys->literal, data, line->size - line->delimited);
        if (r == 0)
            r = pty_write(master, line->delimited ? data + line->size - 1 : &keys->end, 1);
        data += line->size;
    }
    size_t rest = in->data + in->size - data;
    if (r == 0 && i == in->n_lines && taken + rest < BUFFER_SIZE) {
        r = write_plainly(master, q, keys->literal, data, rest);
        data += rest;
    }
    *ret_put = data - in->data;
    return r == 0 ? pass_keys(master, slave, keys) : r;
}

/* Here all that was processed is counted. */
static int put_plain(int master, int slave, const uint8_t *data, size_t size)
{
    size_t wanted = size < BUFFER_SIZE ? size : BUFFER_SIZE;
    int n = 0, r = pty_write(master, data, size);

    for (int ms = 0; r == 0; ms++) {
        struct pollfd p = {.fd = slave, .events = POLLIN};
        if (poll(&p, 1, 0) < 0 || ioctl(slave, FIONREAD, &n) < 0)
            return -errno;
        if ((size_t)n >= wanted)
            break;
        if (ms == WAIT_MS)
            return -ETIMEDOUT;
        usleep(1000);
    }
    return r;
}

int pty_begin_put(int slave, const struct pty_settings *s)
{
    const struct keys keys = choose_keys(s);
    const struct pty_settings q = quiet(s, &keys);

    return ioctl(slave, PTY_SET_SETTINGS, &q) < 0 ? -errno : 0;
}

int pty_put_input(int master, int slave, const struct pty_settings *s, const struct pty_input *in,
                  size_t *ret_put)
{
    const struct keys keys = choose_keys(s);
    const struct pty_settings q = quiet(s, &keys);

    *ret_put = in->size;
    if (in->size == 0 && in->n_lines == 0)
        return 0;
    if (pty_is_canonical(s))
        return put_canonical(master, slave, &q, &keys, in, ret_put);
    if (in->size >= BUFFER_SIZE && !is_plain(s))
        *ret_put = BUFFER_SIZE - 1;
    return put_plain(master, slave, in->data, *ret_put);
}

/* It has been processed once, and will be so again: there is no other way, and no loss. */
int pty_put_late(int master, const struct pty_input *in, size_t from)
{
    return from < in->size ? pty_write(master, in->data + from, in->size - from) : 0;
}

/* As if the user had done it. It lasts as long as there are such keys (IXON). */
int pty_stop_by_key(int master, int slave, const struct pty_settings *s)
{
    const struct keys keys = choose_keys(s);
    struct pty_settings q = quiet(s, &keys);

    q.input |= IXON;
    q.characters[VSTOP] = keys.stop;
    if (ioctl(slave, PTY_SET_SETTINGS, &q) < 0)
        return -errno;
    int r = pty_write(master, &keys.stop, 1);
    return r == 0 ? wait_stopped(slave, true) : r;
}
