/* unix_table.c - all unix sockets of our network namespace */
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "kobj/inet_diag.h"
#include "kobj/unix_table.h"
#include "proc/net_unix.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define ANSWER_SIZE (1u << 16) /* the kernel fills messages of up to half of that */
#define TRIES       5

static void clear_entries(struct unix_table *table)
{
    for (size_t i = 0; i < table->entries.n; i++) {
        bytes_clear(&table->entries.items[i].name);
        free(table->entries.items[i].queued);
    }
    table->entries.n = 0;
}

void unix_table_free(struct unix_table *table)
{
    if (!table)
        return;
    clear_entries(table);
    free(table->entries.items);
    free(table);
}
DEFINE_CLEANUP(struct unix_table, unix_table)

/* ---- by sock_diag ---- */

static int ask(int fd)
{
    struct {
        struct nlmsghdr header;
        struct unix_diag_req request;
    } message = {
        .header = {.nlmsg_len = sizeof(message),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .request = {.sdiag_family = AF_UNIX,
                    .udiag_states = UINT32_MAX,
                    .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER |
                                  UDIAG_SHOW_ICONS | UDIAG_SHOW_RQLEN},
    };
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

    ssize_t n =
        sendto(fd, &message, sizeof(message), 0, (struct sockaddr *)&kernel, sizeof(kernel));
    return n < 0 ? -errno : 0;
}

static int take_queued(struct unix_entry *e, const void *data, size_t size)
{
    free(e->queued);
    e->n_queued = 0;
    e->queued = malloc(size + 1);
    if (!e->queued)
        return -ENOMEM;
    memcpy(e->queued, data, size);
    e->n_queued = size / sizeof(*e->queued);
    return 0;
}

static int take_attribute(struct unix_entry *e, const struct rtattr *a)
{
    const void *data = RTA_DATA(a);
    size_t size = RTA_PAYLOAD(a);
    struct unix_diag_vfs vfs;
    struct unix_diag_rqlen lengths;
    uint32_t peer;

    switch (a->rta_type) {
    case UNIX_DIAG_NAME:
        return bytes_copy(&e->name, data, size);
    case UNIX_DIAG_VFS:
        if (size < sizeof(vfs))
            return -EINVAL;
        memcpy(&vfs, data, sizeof(vfs));
        e->has_file = true;
        e->file_inode = vfs.udiag_vfs_ino;
        /* The kernel's own form of the number: 12 and 20 bits. */
        e->file_dev = makedev(vfs.udiag_vfs_dev >> 20, vfs.udiag_vfs_dev & 0xfffff);
        return 0;
    case UNIX_DIAG_PEER:
        if (size < sizeof(peer))
            return -EINVAL;
        memcpy(&peer, data, sizeof(peer));
        e->has_peer = true;
        e->peer = peer;
        return 0;
    case UNIX_DIAG_ICONS:
        return take_queued(e, data, size);
    case UNIX_DIAG_RQLEN:
        if (size < sizeof(lengths))
            return -EINVAL;
        memcpy(&lengths, data, sizeof(lengths));
        e->waiting = lengths.udiag_rqueue;
        e->backlog = lengths.udiag_wqueue;
        return 0;
    case UNIX_DIAG_SHUTDOWN:
        if (size < 1)
            return -EINVAL;
        e->shutdown = *(const uint8_t *)data & 3;
        return 0;
    }
    return 0;
}

static int take_message(struct unix_table *table, const struct nlmsghdr *h)
{
    const struct unix_diag_msg *m = NLMSG_DATA(h);
    ssize_t left = (ssize_t)h->nlmsg_len - (ssize_t)NLMSG_LENGTH(sizeof(*m));
    int r = 0;

    if (left < 0)
        return -EINVAL;
    struct unix_entry *e = ARRAY_ADD(&table->entries);
    if (!e)
        return -ENOMEM;
    e->inode = m->udiag_ino;
    e->type = m->udiag_type;
    e->listening = m->udiag_state == TCP_LISTEN;
    e->connected = m->udiag_state == TCP_ESTABLISHED;
    for (const struct rtattr *a = (const struct rtattr *)(m + 1); r == 0 && RTA_OK(a, left);
         a = RTA_NEXT(a, left))
        r = take_attribute(e, a);
    return r;
}

/* 1: that was the last. -EAGAIN: the list changed meanwhile. */
static int take_answer(struct unix_table *table, const void *data, size_t size)
{
    int r = 0;

    for (const struct nlmsghdr *h = data; r == 0 && NLMSG_OK(h, size); h = NLMSG_NEXT(h, size)) {
        const struct nlmsgerr *error = NLMSG_DATA(h);
        if (h->nlmsg_flags & NLM_F_DUMP_INTR)
            return -EAGAIN;
        if (h->nlmsg_type == NLMSG_DONE)
            return 1;
        if (h->nlmsg_type == NLMSG_ERROR)
            return error->error < 0 ? error->error : -EPROTO;
        r = take_message(table, h);
    }
    return r;
}

static int read_answers(struct unix_table *table, int fd)
{
    _cleanup_free_ void *data = malloc(ANSWER_SIZE);
    int r = data ? ask(fd) : -ENOMEM;

    while (r == 0) {
        ssize_t n = recv(fd, data, ANSWER_SIZE, MSG_TRUNC);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || n > (ssize_t)ANSWER_SIZE)
            return n < 0 ? -errno : -EPROTO;
        r = take_answer(table, data, n);
    }
    return r < 0 ? r : 0;
}

static int read_by_diag(struct unix_table *table)
{
    int r = -EAGAIN;

    for (int i = 0; r == -EAGAIN && i < TRIES; i++) {
        _cleanup_close_ int fd = inet_diag_open();
        clear_entries(table);
        r = fd < 0 ? -errno : read_answers(table, fd);
    }
    table->exact = r == 0;
    return r;
}

/* ---- by /proc ---- */

static int take_row(struct unix_table *table, const struct net_unix_socket *row)
{
    struct unix_entry *e = ARRAY_ADD(&table->entries);

    if (!e)
        return -ENOMEM;
    e->inode = row->inode;
    e->type = row->type;
    e->listening = row->listening;
    e->connected = row->connected;
    return row->name ? bytes_copy(&e->name, row->name, strlen(row->name)) : 0;
}

static int read_by_proc(struct unix_table *table)
{
    _cleanup_bytes_ struct bytes text = {0};
    struct net_unix_socket *rows = NULL;
    size_t n = 0;

    clear_entries(table);
    int r = read_file(AT_FDCWD, "/proc/self/net/unix", 1u << 30, &text);
    if (r == 0)
        r = net_unix_parse((const char *)text.data, &rows, &n);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = take_row(table, &rows[i]);
    net_unix_free(rows, n);
    return r;
}

/* ---- both ---- */

static int compare_entries(const void *a, const void *b)
{
    const struct unix_entry *x = a, *y = b;

    return (x->inode > y->inode) - (x->inode < y->inode);
}

uint64_t unix_network_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t size = sizeof(cookie);

    return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

int unix_table_read(struct unix_table **ret, struct crs_error *err)
{
    _cleanup_(cleanup_unix_table) struct unix_table *table = calloc(1, sizeof(*table));
    _cleanup_close_ int own =
        inet_diag_is_inside() ? inet_diag_open() : socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (!table)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = read_by_diag(table);
    if (r < 0 && r != -ENOMEM && !inet_diag_is_inside())
        r = read_by_proc(table);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't list the unix sockets: %s", strerror(-r));
    if (table->entries.n > 1)
        qsort(table->entries.items, table->entries.n, sizeof(struct unix_entry), compare_entries);
    table->network = unix_network_of(own);
    *ret = TAKE_PTR(table);
    return 0;
}

struct unix_entry *unix_table_find(const struct unix_table *table, uint64_t inode)
{
    size_t low = 0, high = table->entries.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table->entries.items[middle].inode < inode)
            low = middle + 1;
        else
            high = middle;
    }
    return inode && low < table->entries.n && table->entries.items[low].inode == inode
               ? &table->entries.items[low]
               : NULL;
}
