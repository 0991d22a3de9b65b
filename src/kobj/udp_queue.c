/* udp_queue.c - datagrams that have arrived and were not read yet */
#include <linux/sockios.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/shelter.h"
#include "kobj/udp.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

#define DATAGRAM_MAX 65536
#define ARRIVE_US    (1000 * 1000)

static uint32_t memory_used(int fd)
{
    uint32_t info[16] = {0};
    socklen_t size = sizeof(info);

    return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) < 0 ? 0 : info[0];
}

/* ---- read ---- */

/* A datagram in the buffer; its bytes follow. */
struct entry {
    uint32_t size;    /* of the bytes */
    uint32_t segment; /* several datagrams of that size have been joined; 0: one */
    struct inet_address from;
};

struct peek {
    int fd, offset_before, error;
    uint8_t *buffer;
    size_t room, used;
};

static uint32_t segment_of(struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof(size));
            return size > 0 ? size : 0;
        }
    return 0;
}

/* The next one. false: there is none, or no room for it. */
static bool peek_one(struct peek *p)
{
    struct entry *entry = (struct entry *)(p->buffer + p->used);
    struct iovec iov = {entry + 1, DATAGRAM_MAX};
    _Alignas(8) uint8_t control[512];
    struct msghdr msg = {.msg_name = &entry->from.v6,
                         .msg_namelen = sizeof(entry->from.v6),
                         .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};

    if (p->room - p->used < sizeof(*entry) + DATAGRAM_MAX) {
        p->error = ENOBUFS;
        return false;
    }
    ssize_t n = recvmsg(p->fd, &msg, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0) {
        p->error = errno == EAGAIN ? 0 : errno;
        return false;
    }
    entry->size = n;
    entry->segment = segment_of(&msg);
    entry->from.size = msg.msg_namelen;
    p->used += (sizeof(*entry) + n + 7) & ~7ul;
    return true;
}

static void peek_step(void *arg)
{
    struct peek *p = arg;

    if (inet_set_flag(p->fd, SOL_SOCKET, SO_PEEK_OFF, 0) < 0) {
        p->error = errno;
        return;
    }
    while (peek_one(p))
        ;
    inet_set_flag(p->fd, SOL_SOCKET, SO_PEEK_OFF, p->offset_before);
}

static int add(Crs__UdpSocket *m, const struct inet_address *from, const uint8_t *data, size_t size)
{
    Crs__UdpDatagram **all = realloc(m->unread, (m->n_unread + 1) * sizeof(*all));
    Crs__UdpDatagram *one = all ? malloc(sizeof(*one)) : NULL;
    struct bytes copy = {0};

    if (all)
        m->unread = all;
    if (!one)
        return -ENOMEM;
    crs__udp_datagram__init(one);
    all[m->n_unread++] = one;
    int r = size ? bytes_copy(&copy, data, size) : 0;
    one->data = (ProtobufCBinaryData){.data = copy.data, .len = copy.size};
    return r == 0 ? inet_address_save(from, &one->from) : r;
}

static int take_entries(const struct peek *p, Crs__UdpSocket *m)
{
    int r = 0;

    for (size_t at = 0; r == 0 && at < p->used;) {
        const struct entry *e = (const struct entry *)(p->buffer + at);
        const uint8_t *data = (const uint8_t *)(e + 1);
        size_t piece = e->segment ? e->segment : e->size;
        for (size_t done = 0; r == 0 && (done < e->size || done == 0);) {
            size_t n = e->size - done < piece ? e->size - done : piece;
            r = add(m, &e->from, data + done, n);
            done += n ? n : 1;
        }
        at += (sizeof(*e) + e->size + 7) & ~7ul;
    }
    return r;
}

/* To look would take an error away that waits for the program. */
static int check_error(const struct open_file *file, bool *ret_empty, struct crs_error *err)
{
    struct pollfd p = {.fd = file->dup_fd, .events = POLLIN};
    int n = 0;

    *ret_empty = memory_used(file->dup_fd) == 0;
    if (*ret_empty || poll(&p, 1, 0) < 1 || !(p.revents & POLLERR))
        return 0;
    /* What is counted may be the error's own message. */
    *ret_empty = ioctl(file->dup_fd, SIOCINQ, &n) == 0 && n == 0;
    return *ret_empty ? 0
                      : file_refuse(file, err, "an error and datagrams wait to be read from it",
                                    "try again when the program has read them");
}

int udp_peek(const struct open_file *file, Crs__UdpSocket *m, struct crs_error *err)
{
    struct peek p = {.fd = file->dup_fd};
    socklen_t size = sizeof(p.offset_before);
    bool empty;
    int r = check_error(file, &empty, err);

    if (r < 0 || empty)
        return r;
    if (getsockopt(p.fd, SOL_SOCKET, SO_PEEK_OFF, &p.offset_before, &size) < 0)
        return file_refuse_errno(file, err, "read its queue");
    /* The kernel counts more for a datagram than its bytes and ours. */
    p.room = memory_used(p.fd) + 2 * (sizeof(struct entry) + DATAGRAM_MAX);
    p.buffer = mmap(NULL, p.room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p.buffer == MAP_FAILED)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    r = shelter(peek_step, &p);
    if (r == 0 && p.error) {
        errno = p.error;
        r = file_refuse_errno(file, err, "read its queue");
    } else if (r < 0 || take_entries(&p, m) < 0)
        r = crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    munmap(p.buffer, p.room);
    return r;
}

/* ---- write ---- */

/* A socket that sends from that address. -EADDRNOTAVAIL: it isn't of this machine. */
static int open_sender(const struct inet_address *from, int protocol, int *ret_fd)
{
    struct inet_address address = inet_unmapped(from);
    _cleanup_close_ int fd = socket(address.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, protocol);

    if (fd < 0 || inet_set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0 ||
        inet_set_flag(fd, SOL_SOCKET, SO_BROADCAST, 1) < 0 ||
        bind(fd, &address.any, address.size) < 0)
        return -errno;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* Of several sockets with the same address the one that is connected to the sender gets it. */
static int aim(int fd, const struct inet_address *from, struct inet_address *ret_to)
{
    int family;
    socklen_t size = sizeof(family);

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) < 0)
        return -errno;
    struct inet_address peer = inet_for_family(from, family);
    if (connect(fd, &peer.any, peer.size) < 0)
        return -errno;
    return inet_get_local(fd, ret_to);
}

/* One after the other, so that none overtakes another. */
static int send_one(int sender, int fd, const struct inet_address *to,
                    const ProtobufCBinaryData *data)
{
    struct inet_address address = inet_unmapped(to);
    uint32_t before = memory_used(fd);

    if (sendto(sender, data->data, data->len, MSG_NOSIGNAL, &address.any, address.size) < 0)
        return -errno;
    for (uint64_t until = now_us() + ARRIVE_US; memory_used(fd) <= before;) {
        if (now_us() > until)
            return -ETIMEDOUT;
        usleep(100);
    }
    return 0;
}

static int put_back(const Crs__UdpSocket *m, const Crs__UdpDatagram *one, int fd,
                    struct crs_error *err)
{
    _cleanup_close_ int sender = -1;
    struct inet_address from, to;
    int r = one->from ? inet_address_load(one->from, &from, err) : -EINVAL;

    if (r == 0)
        r = open_sender(&from, m->socket->protocol, &sender);
    if (r == 0)
        r = aim(fd, &from, &to);
    return r == 0 ? send_one(sender, fd, &to, &one->data) : r;
}

static int connect_again(const Crs__UdpSocket *m, int fd, struct crs_error *err)
{
    struct inet_address peer = {.any.sa_family = AF_UNSPEC, .size = sizeof(peer.v6)};
    int r = m->socket->peer ? inet_address_load(m->socket->peer, &peer, err) : 0;

    if (r == 0 && connect(fd, &peer.any, peer.size) < 0 && m->socket->peer)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't connect a UDP socket");
    return r;
}

int udp_fill(const Crs__UdpSocket *m, int fd, size_t *ret_lost, struct crs_error *err)
{
    size_t lost = 0;

    for (size_t i = 0; i < m->n_unread; i++)
        if (put_back(m, m->unread[i], fd, NULL) < 0)
            lost++;
    *ret_lost = lost;
    return connect_again(m, fd, err);
}
