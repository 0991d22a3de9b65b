/*
 * tcp_queue.c - data on its way between two TCP sockets: made to arrive
 *
 * The sender may hold data back because the receiver's window is full, because an acknowledgement
 * is delayed, or because a part of a segment waits for more (Nagle, TCP_CORK). To help with that
 * doesn't change what either program reads or writes.
 */
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/shelter.h"
#include "kobj/tcp.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

#define LOCK_RECEIVE   2
#define ACK_US         (60 * 1000)  /* longer than an acknowledgement is delayed */
#define HURRY_US       (300 * 1000) /* no progress for that long: no more will arrive */
#define FILL_IDLE_US   (10 * 1000000)
#define PIECE_SIZE     (1u << 20)
#define STEP_SIZE      (256 * 1024)
#define ENLARGE_MARGIN (128 * 1024)
#define ENLARGE_MAX    (1 << 30)

int tcp_count(int fd, unsigned long request)
{
    int value = 0;

    return ioctl(fd, request, &value) < 0 ? -errno : value;
}

int tcp_get_flag(int fd, int level, int name)
{
    int value = 0;
    socklen_t size = sizeof(value);

    return getsockopt(fd, level, name, &value, &size) < 0 ? -errno : value;
}

/* ---- a larger queue ---- */

struct tcp_room tcp_room_of(int receiver)
{
    struct tcp_room room = {.fd = receiver,
                            .size = tcp_get_flag(receiver, SOL_SOCKET, SO_RCVBUF),
                            .low_water = tcp_get_flag(receiver, SOL_SOCKET, SO_RCVLOWAT),
                            .lock = tcp_get_flag(receiver, SOL_SOCKET, SO_BUF_LOCK)};

    return room;
}

/*
 * To be able to promise that many bytes the kernel makes the buffer as large; and it stays so when
 * the promise is taken back. A size that the program chose hinders that.
 */
static void enlarge_step(void *arg)
{
    const struct tcp_room *room = arg;

    if (room->lock >= 0)
        inet_set_flag(room->fd, SOL_SOCKET, SO_BUF_LOCK, room->lock & ~LOCK_RECEIVE);
    inet_set_flag(room->fd, SOL_SOCKET, SO_RCVLOWAT, room->wanted);
    inet_set_flag(room->fd, SOL_SOCKET, SO_RCVLOWAT, room->low_water);
}

/* The kernel closes the window when less than a sixteenth of the buffer is free. */
void tcp_enlarge(struct tcp_room *room, size_t bytes)
{
    room->wanted = bytes < ENLARGE_MAX ? (int)(bytes + bytes / 4 + ENLARGE_MARGIN) : INT32_MAX;
    if (room->low_water > 0)
        shelter(enlarge_step, room);
}

/*
 * Setting the size makes it the program's own choice; that is taken back, too. A queue that is much
 * longer than its size isn't left like that: the socket would lose acknowledgements that come while
 * it is sending, when the queue is longer than its size and half of the other buffer's.
 */
static void put_back_step(void *arg)
{
    const struct tcp_room *room = arg;

    if (tcp_count(room->fd, SIOCINQ) <=
        room->size + tcp_get_flag(room->fd, SOL_SOCKET, SO_SNDBUF) / 4)
        inet_set_flag(room->fd, SOL_SOCKET, SO_RCVBUF, room->size / 2);
    if (room->lock >= 0)
        inet_set_flag(room->fd, SOL_SOCKET, SO_BUF_LOCK, room->lock);
}

void tcp_put_size_back(struct tcp_room *room)
{
    if (room->wanted > 0)
        shelter(put_back_step, room);
}

/* ---- settle ---- */

/* A reader who looks makes the kernel tell the sender of the new window. */
static void look(int fd)
{
    char byte;

    /* An empty queue would give, and so take away, an error that waits for the program. And the
     * program's own looks may begin where the last ended. */
    if (tcp_count(fd, SIOCINQ) > 0 && tcp_get_flag(fd, SOL_SOCKET, SO_PEEK_OFF) < 0)
        recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
}

/* Send what waits to become a whole segment; the option goes back to what it was. */
static void push(int fd)
{
    int before = tcp_get_flag(fd, IPPROTO_TCP, TCP_NODELAY);

    inet_set_flag(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (before == 0)
        inet_set_flag(fd, IPPROTO_TCP, TCP_NODELAY, 0);
}

void tcp_hurry(int sender, int receiver)
{
    inet_set_flag(receiver, IPPROTO_TCP, TCP_QUICKACK, 1);
    if (tcp_count(sender, SIOCOUTQNSD) > 0)
        push(sender);
    look(receiver);
}

/* What count() still tells when it hasn't changed for idle_us. */
static int settle(int sender, int receiver, uint64_t idle_us,
                  int (*count)(int sender, int receiver))
{
    int left = count(sender, receiver), before = left;
    unsigned pause_us = 0;

    for (uint64_t moved_us = now_us(); left > 0 && now_us() < moved_us + idle_us;) {
        tcp_hurry(sender, receiver);
        left = count(sender, receiver);
        if (left != before) {
            moved_us = now_us();
            pause_us = 0;
        } else if (left > 0 && pause_us)
            usleep(pause_us);
        before = left;
        pause_us = pause_us < 2000 ? pause_us + 50 : pause_us;
    }
    return left;
}

static int count_unacknowledged(int sender, int receiver)
{
    int all = tcp_count(sender, SIOCOUTQ), unsent = tcp_count(sender, SIOCOUTQNSD);

    /* What is not sent stays, when the window is full. */
    return all < 0 || unsent < 0 ? 0 : all - unsent;
}

static int count_all(int sender, int receiver)
{
    int all = tcp_count(sender, SIOCOUTQ);

    return all < 0 ? 0 : all;
}

/* Of a sender that nobody holds any more. */
static int count_at_closed(int sender, int receiver)
{
    struct inet_address local, peer;
    struct inet_diag d;

    if (inet_get_local(receiver, &local) < 0 || inet_get_peer(receiver, &peer) < 0 ||
        inet_diag_find(&peer, &local, &d) < 0)
        return 0;
    return (int)d.to_be_sent;
}

static int settle_restoring_quickack(int sender, int receiver, uint64_t idle_us,
                                     int (*count)(int, int))
{
    int quick = tcp_get_flag(receiver, IPPROTO_TCP, TCP_QUICKACK);
    int left = settle(sender, receiver, idle_us, count);

    if (quick == 0)
        inet_set_flag(receiver, IPPROTO_TCP, TCP_QUICKACK, 0);
    return left;
}

void tcp_settle(int sender, int receiver)
{
    if (count_all(sender, receiver) == 0)
        return;
    tcp_hurry(sender, receiver);
    settle_restoring_quickack(sender, receiver, ACK_US, count_unacknowledged);
}

bool tcp_settle_whole(int sender, int receiver)
{
    struct tcp_room room = tcp_room_of(receiver);
    int left = count_all(sender, receiver);

    if (left == 0)
        return true;
    tcp_hurry(sender, receiver);
    if (tcp_count(sender, SIOCOUTQNSD) > 0)
        tcp_enlarge(&room, tcp_count(receiver, SIOCINQ) + left);
    left = settle_restoring_quickack(sender, receiver, HURRY_US, count_all);
    tcp_put_size_back(&room);
    return left == 0;
}

bool tcp_settle_closed(int receiver)
{
    struct tcp_room room = tcp_room_of(receiver);
    int left = count_at_closed(-1, receiver);

    if (left == 0)
        return true;
    tcp_enlarge(&room, tcp_count(receiver, SIOCINQ) + left);
    left = settle_restoring_quickack(-1, receiver, HURRY_US, count_at_closed);
    tcp_put_size_back(&room);
    return left == 0;
}

/* ---- fill ---- */

/* Little by little: what the sender can hold stays with it. */
size_t tcp_step(size_t left)
{
    return left < STEP_SIZE ? left : STEP_SIZE;
}

int tcp_fill(int sender, int receiver, const void *data, size_t size, struct crs_error *err)
{
    struct tcp_room room = tcp_room_of(receiver);
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
        if (receiver >= 0)
            tcp_enlarge(&room, tcp_count(receiver, SIOCINQ) + tcp_step(size - done));
        tcp_settle(sender, receiver);
    }
    if (receiver >= 0)
        tcp_settle(sender, receiver);
    tcp_put_size_back(&room);
    return 0;
}
