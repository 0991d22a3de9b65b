/*
 * tcp_stream.c - what a TCP socket has to read, and what is on its way to it
 *
 * What has arrived can be read without being taken (MSG_PEEK). What the sender holds because the
 * receiver's window is full can be seen only when it arrives. To make the receiver's queue large
 * enough would be one way; but then the sender could write as much again, and the next checkpoint
 * would find more, and the one after it too much. So everything is read and then written again,
 * with the same buffers, in a shelter: a stream has no memory of what it was divided into.
 */
#include <fcntl.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/shelter.h"
#include "kobj/standstill.h"
#include "kobj/tcp.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

#define LOCK_BOTH   3
#define ROOM_MARGIN 65536
#define ROOM_SPARE  (512 * 1024)
#define STUCK_US    (10 * 1000)

/* ---- memory for it ---- */

struct memory {
    int fd;
    uint8_t *data;
    size_t size;
};

static void memory_clear(struct memory *m)
{
    if (m->data)
        munmap(m->data, m->size);
    cleanup_close(&m->fd);
}

static int memory_make(struct memory *m, size_t size)
{
    m->fd = memfd_create("crs-queue", MFD_CLOEXEC);
    if (m->fd < 0 || size == 0)
        return m->fd < 0 ? -errno : 0;
    if (ftruncate(m->fd, size) < 0)
        return -errno;
    /* All of it is there before anything is taken out of a queue. */
    m->data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, m->fd, 0);
    if (m->data == MAP_FAILED) {
        m->data = NULL;
        return -errno;
    }
    m->size = size;
    return 0;
}

/* ---- arrived ---- */

static int peek(int fd, struct memory *m, struct crs_error *err)
{
    int waiting = tcp_count(fd, SIOCINQ);
    int r = waiting < 0 ? waiting : memory_make(m, waiting);

    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't read the queue of a socket: %s", strerror(-r));
    if (waiting == 0)
        return 0;
    ssize_t n = recv(fd, m->data, waiting, MSG_PEEK | MSG_DONTWAIT);
    if (n != waiting)
        return crs_fail(err, CRS_CANT_CHECKPOINT, n < 0 ? errno : EIO,
                        "only %zd of %d bytes that it has to read can be read", n, waiting);
    return 0;
}

/* ---- on the way ---- */

struct pass {
    int sender, receiver, send_lock, receive_lock;
    struct memory *memory;
    size_t read, written;
    bool broken;
};

/* Without a limit of time: half of it may not be left in one place and half in the other. */
static void read_all(struct pass *p)
{
    while (tcp_count(p->receiver, SIOCINQ) > 0 || tcp_count(p->sender, SIOCOUTQ) > 0) {
        ssize_t n =
            recv(p->receiver, p->memory->data + p->read, p->memory->size - p->read, MSG_DONTWAIT);
        if (n > 0)
            p->read += n;
        else if (n == 0 || errno != EAGAIN) {
            p->broken = true;
            return;
        } else {
            tcp_hurry(p->sender, p->receiver);
            usleep(50);
        }
    }
}

/* It fitted before; where the kernel now divides it less well, the receiver gets more room. */
static void write_all(struct pass *p)
{
    struct tcp_room room = tcp_room_of(p->receiver);
    uint64_t moved_us = now_us();

    room.lock = p->receive_lock;
    while (p->written < p->read) {
        ssize_t n = send(p->sender, p->memory->data + p->written, p->read - p->written,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            p->written += n;
            moved_us = now_us();
        } else if (errno != EAGAIN) {
            p->broken = true;
            return;
        } else if (now_us() > moved_us + STUCK_US) {
            tcp_enlarge(&room, tcp_count(p->receiver, SIOCINQ) + tcp_step(p->read - p->written));
            moved_us = now_us();
        } else {
            tcp_hurry(p->sender, p->receiver);
            usleep(200);
        }
    }
    tcp_put_size_back(&room);
}

static void pass_step(void *arg)
{
    struct pass *p = arg;

    /* A fast reader would make the kernel enlarge the buffers. */
    inet_set_flag(p->sender, SOL_SOCKET, SO_BUF_LOCK, p->send_lock | LOCK_BOTH);
    inet_set_flag(p->receiver, SOL_SOCKET, SO_BUF_LOCK, p->receive_lock | LOCK_BOTH);
    read_all(p);
    write_all(p);
    inet_set_flag(p->sender, SOL_SOCKET, SO_BUF_LOCK, p->send_lock);
    inet_set_flag(p->receiver, SOL_SOCKET, SO_BUF_LOCK, p->receive_lock);
}

/*
 * When the kernel is short of memory for TCP, what was read might not be taken again. Below the
 * lowest of its three limits it isn't.
 */
static int check_memory(struct crs_error *err)
{
    _cleanup_bytes_ struct bytes used = {0}, limits = {0};
    unsigned long long pages = 0, low = 0;

    if (read_file(AT_FDCWD, "/proc/net/sockstat", 1 << 16, &used) < 0 ||
        read_file(AT_FDCWD, "/proc/sys/net/ipv4/tcp_mem", 1 << 12, &limits) < 0)
        return 0;
    const char *tcp = strstr((const char *)used.data, "TCP:");
    const char *memory = tcp ? strstr(tcp, " mem ") : NULL;
    if (!memory || sscanf(memory, " mem %llu", &pages) != 1 ||
        sscanf((const char *)limits.data, "%llu", &low) != 1 || pages < low)
        return 0;
    return crs_fail(
        err, CRS_CANT_CHECKPOINT, ENOBUFS,
        "more data is on its way to it than its queue takes, and can't be read while the "
        "kernel is short of memory for TCP (%llu pages); try again, or raise "
        "/proc/sys/net/ipv4/tcp_mem",
        pages);
}

/* It needn't fit exactly as before: the receiver's queue must be allowed to become longer. */
static int check_room(const struct pass *p, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes limits = {0};
    int size = tcp_get_flag(p->receiver, SOL_SOCKET, SO_RCVBUF), limit = 0;

    if (read_file(AT_FDCWD, "/proc/sys/net/ipv4/tcp_rmem", 1 << 12, &limits) < 0 ||
        sscanf((const char *)limits.data, "%*d %*d %d", &limit) != 1)
        return crs_fail_errno(err, CRS_FAILED, "can't read /proc/sys/net/ipv4/tcp_rmem");
    if (size >= 0 && limit - size >= size / 8 + ROOM_SPARE)
        return 0;
    return crs_fail(
        err, CRS_CANT_CHECKPOINT, ENOBUFS,
        "more data is on its way to it than its queue takes, which has the largest size "
        "that is allowed (%d); try again when the program has read some, or raise the "
        "last number of /proc/sys/net/ipv4/tcp_rmem",
        limit);
}

static int prepare(struct pass *p, struct crs_error *err)
{
    int r = check_memory(err);

    if (r == 0)
        r = check_room(p, err);

    if (r < 0)
        return r;
    p->send_lock = tcp_get_flag(p->sender, SOL_SOCKET, SO_BUF_LOCK);
    p->receive_lock = tcp_get_flag(p->receiver, SOL_SOCKET, SO_BUF_LOCK);
    r = memory_make(p->memory,
                    tcp_count(p->receiver, SIOCINQ) + tcp_count(p->sender, SIOCOUTQ) + ROOM_MARGIN);
    if (r == 0)
        r = p->send_lock < 0 ? p->send_lock : p->receive_lock < 0 ? p->receive_lock : 0;
    if (r < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, -r, "can't read what is on its way to it: %s",
                        strerror(-r));
    return 0;
}

/* If the tool is killed meanwhile, the program may not write before it is done. */
static int pass(struct kobj_dump *ctx, struct pass *p, struct crs_error *err)
{
    struct standstill standstill;
    int r = prepare(p, err);

    if (r == 0)
        r = standstill_begin(ctx, (const int[]){p->sender, p->receiver}, 2, &standstill, err);
    if (r < 0)
        return r;
    r = shelter(pass_step, p);
    if (r < 0)
        crs_fail(err, CRS_FAILED, -r, "can't start a process: %s", strerror(-r));
    int ended = standstill_end(&standstill, r == 0 ? err : NULL);
    if (r == 0)
        r = ended;
    if (r == 0 && p->broken)
        r = crs_fail(err, CRS_CANT_CHECKPOINT, EIO, "the connection broke while it was read");
    return r;
}

/* ---- both ---- */

int tcp_read_stream(struct kobj_dump *ctx, int sender, int receiver, int *ret_memory,
                    struct crs_error *err)
{
    __attribute__((cleanup(memory_clear))) struct memory m = {.fd = -1};
    struct pass p = {.sender = sender, .receiver = receiver, .memory = &m};
    bool arrived = sender < 0 || tcp_count(sender, SIOCOUTQ) <= 0;
    int r = arrived ? peek(receiver, &m, err) : pass(ctx, &p, err);

    if (r < 0)
        return r;
    if (ftruncate(m.fd, arrived ? m.size : p.read) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't keep the queue of a socket");
    *ret_memory = TAKE_FD(m.fd);
    return 0;
}
