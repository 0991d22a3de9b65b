/*
 * tcp_urgent.c - urgent data: a byte sent with MSG_OOB, and the mark where it was
 *
 * What lies behind the mark is hidden until the mark is passed. With SO_OOBINLINE the byte is a
 * part of the stream, and with SO_PEEK_OFF (for TCP since Linux 6.9) one can look past it.
 */
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kobj/shelter.h"
#include "kobj/tcp.h"

#define ARRIVE_MS 5000

/* Bytes to be read, also behind the mark. -errno: the kernel doesn't tell. */
static int count_all(int fd)
{
    struct inet_address local, peer;
    struct inet_diag d;
    int state = tcp_get_state(fd);
    int r = inet_get_local(fd, &local);

    if (r == 0)
        r = inet_get_peer(fd, &peer);
    if (r == 0)
        r = inet_diag_find(&local, &peer, &d);
    if (r < 0)
        return r;
    bool ended =
        state == TCP_STATE_CLOSE_WAIT || state == TCP_STATE_LAST_ACK || state == TCP_STATE_CLOSING;
    return (int)d.to_read - ended;
}

bool tcp_has_mark(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLPRI};
    int waiting = tcp_count(fd, SIOCINQ);

    if (tcp_get_flag(fd, SOL_SOCKET, SO_PEEK_OFF) >= 0) /* looking begins elsewhere */
        return true;
    if (poll(&p, 1, 0) == 1 && (p.revents & POLLPRI))
        return true;
    if (tcp_count(fd, SIOCATMARK) > 0)
        return true;
    return waiting > 0 &&
           (tcp_get_flag(fd, SOL_SOCKET, SO_OOBINLINE) > 0 || count_all(fd) > waiting);
}

struct look {
    int fd, inline_before, offset_before, error, total;
    uint8_t *data;
    size_t room;
    ssize_t before, behind; /* bytes up to the mark, and from it on */
};

static void look_step(void *arg)
{
    struct look *l = arg;

    inet_set_flag(l->fd, SOL_SOCKET, SO_OOBINLINE, 1);
    l->total = tcp_count(l->fd, SIOCINQ);
    if (l->total > (int)l->room)
        l->error = EAGAIN;
    else if (inet_set_flag(l->fd, SOL_SOCKET, SO_PEEK_OFF, 0) < 0)
        l->before = recv(l->fd, l->data, l->total, MSG_PEEK | MSG_DONTWAIT); /* up to a mark */
    else {
        l->before = recv(l->fd, l->data, l->total, MSG_PEEK | MSG_DONTWAIT);
        if (l->before > 0 && l->before < l->total)
            l->behind =
                recv(l->fd, l->data + l->before, l->total - l->before, MSG_PEEK | MSG_DONTWAIT);
        inet_set_flag(l->fd, SOL_SOCKET, SO_PEEK_OFF, l->offset_before);
    }
    inet_set_flag(l->fd, SOL_SOCKET, SO_OOBINLINE, l->inline_before);
}

static int take(const struct look *l, bool at_mark, bool unread, Crs__TcpSocket *m, int *ret_memory,
                struct crs_error *err)
{
    size_t mark = at_mark ? 0 : l->before, size = l->total;
    _cleanup_close_ int memory = memfd_create("crs-queue", MFD_CLOEXEC);

    if (mark < size) {
        m->urgent = malloc(sizeof(*m->urgent));
        if (!m->urgent)
            return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
        crs__tcp_urgent__init(m->urgent);
        m->urgent->position = mark;
        m->urgent->byte = l->data[mark];
        m->urgent->was_read = !unread && !l->inline_before;
        memmove(l->data + mark, l->data + mark + 1, size - mark - 1);
        size--;
    }
    if (memory < 0 || ftruncate(memory, size) < 0 ||
        pwrite(memory, l->data, size, 0) != (ssize_t)size)
        return crs_fail_errno(err, CRS_FAILED, "can't keep the queue of a socket");
    *ret_memory = TAKE_FD(memory);
    return 0;
}

int tcp_urgent_dump(const struct open_file *file, Crs__TcpSocket *m, int *ret_memory,
                    struct crs_error *err)
{
    struct look l = {.fd = file->dup_fd,
                     .inline_before = tcp_get_flag(file->dup_fd, SOL_SOCKET, SO_OOBINLINE),
                     .offset_before = tcp_get_flag(file->dup_fd, SOL_SOCKET, SO_PEEK_OFF)};
    bool at_mark = tcp_count(l.fd, SIOCATMARK) > 0;
    char byte;
    bool unread = recv(l.fd, &byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) == 1;
    int all = count_all(l.fd);

    l.room = (all > 0 ? all : tcp_count(l.fd, SIOCINQ)) + 4096;
    l.data = mmap(NULL, l.room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (l.data == MAP_FAILED)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = shelter(look_step, &l);
    if (r < 0)
        r = crs_fail(err, CRS_FAILED, -r, "can't start a process: %s", strerror(-r));
    else if (l.error || l.before + l.behind != l.total)
        r = file_refuse(file, err, "there is urgent data (MSG_OOB) in it, which can't be read here",
                        "try again when the program has read it (Linux 6.9 doesn't need that)");
    else
        r = take(&l, at_mark, unread, m, ret_memory, err);
    munmap(l.data, l.room);
    return r;
}

int tcp_urgent_restore(const Crs__TcpUrgent *m, int sender, int receiver, struct crs_error *err)
{
    struct pollfd p = {.fd = receiver, .events = POLLPRI};
    uint8_t byte = (uint8_t)m->byte;

    if (send(sender, &byte, 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't send urgent data again");
    if (poll(&p, 1, ARRIVE_MS) != 1)
        return crs_fail(err, CRS_CANT_RESTART, ETIMEDOUT, "urgent data doesn't arrive");
    if (m->was_read && recv(receiver, &byte, 1, MSG_OOB | MSG_DONTWAIT) != 1)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't read urgent data again");
    return 0;
}
