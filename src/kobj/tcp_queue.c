/*
 * tcp_queue.c - data on its way between two TCP sockets
 *
 * Only what has arrived can be read (MSG_PEEK), so what the sender still holds is made to arrive.
 * It may hold it because the receiver's window is full, because an acknowledgement is delayed, or
 * because a part of a segment waits for more (Nagle, TCP_CORK). None of it changes what either
 * program reads or writes.
 */
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/shelter.h"
#include "kobj/tcp.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

#define LOCK_RECEIVE   2
#define IDLE_US        (300 * 1000) /* no progress for that long: no more will arrive */
#define FILL_IDLE_US   (5 * 1000000)
#define PIECE_SIZE     (1u << 20)
#define ENLARGE_MARGIN 65536

static int count(int fd, unsigned long request)
{
    int value = 0;

    return ioctl(fd, request, &value) < 0 ? -errno : value;
}

static int get_flag(int fd, int level, int name)
{
    int value = 0;
    socklen_t size = sizeof(value);

    return getsockopt(fd, level, name, &value, &size) < 0 ? -errno : value;
}

/* ---- a larger queue ---- */

struct enlarge {
    int fd, wanted, low_water, lock;
};

/*
 * To be able to promise that many bytes the kernel makes the buffer as large; and it stays so when
 * the promise is taken back. A size that the program chose hinders that.
 */
static void enlarge_step(void *arg)
{
    const struct enlarge *e = arg;

    if (e->lock & LOCK_RECEIVE)
        inet_set_flag(e->fd, SOL_SOCKET, SO_BUF_LOCK, e->lock & ~LOCK_RECEIVE);
    inet_set_flag(e->fd, SOL_SOCKET, SO_RCVLOWAT, e->wanted);
    inet_set_flag(e->fd, SOL_SOCKET, SO_RCVLOWAT, e->low_water);
}

static void enlarge(int fd, int wanted)
{
    struct enlarge e = {.fd = fd,
                        .wanted = wanted,
                        .low_water = get_flag(fd, SOL_SOCKET, SO_RCVLOWAT),
                        .lock = get_flag(fd, SOL_SOCKET, SO_BUF_LOCK)};

    if (e.lock < 0)
        e.lock = 0;
    if (e.low_water > 0)
        shelter(enlarge_step, &e);
}

/* Set the size that the program chose again; the queue may be longer than that. */
static void put_size_back(int fd, int size, int lock)
{
    if (lock > 0 && (lock & LOCK_RECEIVE))
        inet_set_flag(fd, SOL_SOCKET, SO_RCVBUF, size / 2);
}

/* ---- settle ---- */

/* A reader who looks makes the kernel tell the sender of the new window. */
static void look(int fd)
{
    char byte;

    /* An empty queue would give, and so take away, an error that waits for the program. */
    if (count(fd, SIOCINQ) > 0)
        recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
}

/* Send what waits to become a whole segment; the option goes back to what it was. */
static void push(int fd)
{
    int before = get_flag(fd, IPPROTO_TCP, TCP_NODELAY);

    inet_set_flag(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (before == 0)
        inet_set_flag(fd, IPPROTO_TCP, TCP_NODELAY, 0);
}

static void hurry(int sender, int receiver, bool *enlarged)
{
    int unsent = count(sender, SIOCOUTQNSD);

    inet_set_flag(receiver, IPPROTO_TCP, TCP_QUICKACK, 1);
    if (unsent <= 0)
        return;
    push(sender);
    if (count(sender, SIOCOUTQNSD) <= 0)
        return;
    if (!*enlarged)
        enlarge(receiver, count(receiver, SIOCINQ) + count(sender, SIOCOUTQ) + ENLARGE_MARGIN);
    *enlarged = true;
    look(receiver);
}

int tcp_settle(int sender, int receiver)
{
    int left = count(sender, SIOCOUTQ), before = left;

    if (left <= 0)
        return left;
    int quick = get_flag(receiver, IPPROTO_TCP, TCP_QUICKACK);
    int size = get_flag(receiver, SOL_SOCKET, SO_RCVBUF);
    int lock = get_flag(receiver, SOL_SOCKET, SO_BUF_LOCK);
    uint64_t moved_us = now_us();
    bool enlarged = false;
    for (unsigned pause_us = 0; left > 0 && now_us() < moved_us + IDLE_US;) {
        hurry(sender, receiver, &enlarged);
        left = count(sender, SIOCOUTQ);
        if (left != before) {
            moved_us = now_us();
            pause_us = 0;
        }
        before = left;
        if (left > 0 && pause_us)
            usleep(pause_us);
        pause_us = pause_us < 2000 ? pause_us + 50 : pause_us;
    }
    if (enlarged)
        put_size_back(receiver, size, lock);
    if (quick == 0)
        inet_set_flag(receiver, IPPROTO_TCP, TCP_QUICKACK, 0);
    return left > 0 ? -EAGAIN : left;
}

/* Bytes that a sender without a descriptor still has. */
static int count_at_closed(int receiver)
{
    struct inet_address local, peer;
    struct inet_diag sender;

    if (inet_get_local(receiver, &local) < 0 || inet_get_peer(receiver, &peer) < 0 ||
        inet_diag_find(&peer, &local, &sender) < 0)
        return 0;
    return (int)sender.to_be_sent;
}

int tcp_settle_closed(int receiver)
{
    int left = count_at_closed(receiver), before = left;

    if (left <= 0)
        return 0;
    int size = get_flag(receiver, SOL_SOCKET, SO_RCVBUF);
    int lock = get_flag(receiver, SOL_SOCKET, SO_BUF_LOCK);
    enlarge(receiver, count(receiver, SIOCINQ) + left + ENLARGE_MARGIN);
    for (uint64_t moved_us = now_us(); left > 0 && now_us() < moved_us + IDLE_US; usleep(500)) {
        look(receiver);
        left = count_at_closed(receiver);
        if (left != before)
            moved_us = now_us();
        before = left;
    }
    put_size_back(receiver, size, lock);
    return left > 0 ? -EAGAIN : 0;
}

/* ---- peek ---- */

int tcp_peek(int fd, int *ret_memory, struct crs_error *err)
{
    int waiting = count(fd, SIOCINQ);
    _cleanup_close_ int memory = memfd_create("crs-queue", MFD_CLOEXEC);

    if (waiting < 0 || memory < 0 || ftruncate(memory, waiting) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't read the queue of a socket");
    if (waiting > 0) {
        void *data = mmap(NULL, waiting, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
        if (data == MAP_FAILED)
            return crs_fail_errno(err, CRS_FAILED, "can't read the queue of a socket");
        ssize_t n = recv(fd, data, waiting, MSG_PEEK | MSG_DONTWAIT);
        munmap(data, waiting);
        if (n != waiting)
            return crs_fail(err, CRS_CANT_CHECKPOINT, n < 0 ? errno : EIO,
                            "only %zd of %d bytes that it has to read can be read", n, waiting);
    }
    *ret_memory = TAKE_FD(memory);
    return 0;
}

/* ---- fill ---- */

int tcp_fill(int sender, int receiver, const void *data, size_t size, struct crs_error *err)
{
    uint64_t moved_us = now_us();

    for (size_t done = 0; done < size;) {
        size_t n = size - done < PIECE_SIZE ? size - done : PIECE_SIZE;
        ssize_t sent = send(sender, (const char *)data + done, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            done += sent;
            moved_us = now_us();
            continue;
        }
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return crs_fail_errno(err, CRS_CANT_RESTART, "can't fill the queue of a connection");
        if (now_us() > moved_us + FILL_IDLE_US)
            return crs_fail(err, CRS_CANT_RESTART, ENOBUFS,
                            "only %zu of the %zu bytes on their way in a connection fit: raise the "
                            "last number of /proc/sys/net/ipv4/tcp_rmem",
                            done, size);
        tcp_settle(sender, receiver);
    }
    /* What doesn't fit into the receiver's queue waits at the sender. */
    tcp_settle(sender, receiver);
    return 0;
}
