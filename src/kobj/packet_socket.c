/*
 * packet_socket.c - packet sockets
 *
 * What getsockopt(2) doesn't tell (memberships, rings) is asked for by sock_diag. As with raw
 * sockets, packets that wait to be read are lost.
 */
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/packet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kobj/inet.h"
#include "kobj/inet_diag.h"
#include "packet_socket.pb-c.h"

#define ADDRESS_MAX 32 /* MAX_ADDR_LEN */
#define COUNT_MAX   1000
#define ANSWER_SIZE 65536

static bool match(const struct open_file *file)
{
    int type = inet_question(file, SO_TYPE);

    return inet_question(file, SO_DOMAIN) == AF_PACKET && (type == SOCK_RAW || type == SOCK_DGRAM);
}

/* ---- the kernel's answer about all packet sockets, as far as one is meant ---- */

/* As of the kernel's answer. */
struct mr_entry {
    uint32_t interface, count;
    uint16_t type, size;
    uint8_t address[ADDRESS_MAX];
};

struct search {
    ino_t inode;
    Crs__PacketSocket *m;
    bool found, ring, fanout;
};

static int add_membership(Crs__PacketSocket *m, const struct mr_entry *entry)
{
    Crs__PacketMembership **all = reallocarray(m->memberships, m->n_memberships + 1, sizeof(*all));
    Crs__PacketMembership *one = all ? malloc(sizeof(*one)) : NULL;
    char name[IF_NAMESIZE] = "";
    struct bytes copy = {0};

    if (all)
        m->memberships = all;
    if (!one)
        return -ENOMEM;
    crs__packet_membership__init(one);
    all[m->n_memberships++] = one;
    if_indextoname(entry->interface, name);
    one->interface = strdup(name);
    one->type = entry->type;
    one->count = entry->count;
    if (!one->interface)
        return -ENOMEM;
    int r = entry->size ? bytes_copy(&copy, entry->address, entry->size) : 0;
    one->address = (ProtobufCBinaryData){.data = copy.data, .len = copy.size};
    return r;
}

static int take_attribute(struct search *s, const struct rtattr *a)
{
    const struct packet_diag_info *info = RTA_DATA(a);
    const uint8_t *data = RTA_DATA(a);
    size_t size = RTA_PAYLOAD(a);
    int r = 0;

    switch (a->rta_type) {
    case PACKET_DIAG_INFO:
        if (size >= sizeof(*info))
            s->m->copy_threshold = info->pdi_copy_thresh;
        break;
    case PACKET_DIAG_MCLIST:
        for (; r == 0 && size >= sizeof(struct mr_entry); size -= sizeof(struct mr_entry)) {
            struct mr_entry entry;
            memcpy(&entry, data, sizeof(entry));
            data += sizeof(entry);
            r = entry.size <= ADDRESS_MAX ? add_membership(s->m, &entry) : -EPROTO;
        }
        break;
    case PACKET_DIAG_RX_RING:
    case PACKET_DIAG_TX_RING:
        s->ring = true;
        break;
    case PACKET_DIAG_FANOUT:
        s->fanout = true;
        break;
    default:
        break;
    }
    return r;
}

/* 1: that was the last message. */
static int take_message(struct search *s, const struct nlmsghdr *header)
{
    const struct packet_diag_msg *m = NLMSG_DATA(header);
    int r = 0;

    if (header->nlmsg_type == NLMSG_DONE)
        return 1;
    if (header->nlmsg_type == NLMSG_ERROR)
        return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
    if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) || m->pdiag_ino != s->inode)
        return 0;
    s->found = true;
    int size = header->nlmsg_len - NLMSG_LENGTH(sizeof(*m));
    const struct rtattr *a = (const void *)((const uint8_t *)m + NLMSG_ALIGN(sizeof(*m)));
    for (; r == 0 && RTA_OK(a, size); a = RTA_NEXT(a, size))
        r = take_attribute(s, a);
    return r;
}

static int hear(struct search *s, int fd)
{
    _cleanup_free_ uint8_t *buffer = malloc(ANSWER_SIZE);
    int r = buffer ? 0 : -ENOMEM;

    while (r == 0) {
        ssize_t n = recv(fd, buffer, ANSWER_SIZE, 0);
        if (n <= 0)
            return n < 0 ? -errno : -EPROTO;
        size_t left = n;
        const struct nlmsghdr *header = (const struct nlmsghdr *)buffer;
        for (; r == 0 && NLMSG_OK(header, left); header = NLMSG_NEXT(header, left))
            r = take_message(s, header);
    }
    return r > 0 ? 0 : r;
}

static int ask(struct search *s)
{
    struct {
        struct nlmsghdr header;
        struct packet_diag_req request;
    } q = {
        .header = {.nlmsg_len = sizeof(q),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .request = {.sdiag_family = AF_PACKET,
                    .pdiag_show = PACKET_SHOW_INFO | PACKET_SHOW_MCLIST | PACKET_SHOW_RING_CFG |
                                  PACKET_SHOW_FANOUT},
    };
    _cleanup_close_ int fd = inet_diag_open();

    if (fd < 0 || send(fd, &q, sizeof(q), 0) < 0)
        return -errno;
    return hear(s, fd);
}

/* ---- dump ---- */

static int dump_state(const struct open_file *file, Crs__PacketSocket *m, struct crs_error *err)
{
    struct search search = {.inode = file->st.st_ino, .m = m};
    int r = ask(&search);

    if (r == -ENOMEM)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (r < 0 || !search.found)
        return file_refuse(file, err,
                           "the kernel doesn't tell what it receives (it needs CONFIG_PACKET_DIAG)",
                           "close it before the checkpoint");
    if (search.ring)
        return file_refuse(file, err, "its ring of shared memory can't be saved",
                           "close it before the checkpoint");
    if (search.fanout)
        return file_refuse(file, err, "the group that it shares packets with can't be saved",
                           "close it before the checkpoint");
    return 0;
}

static int dump_address(const struct open_file *file, Crs__PacketSocket *m, struct crs_error *err)
{
    struct sockaddr_ll address = {0};
    socklen_t size = sizeof(address);
    char name[IF_NAMESIZE] = "";

    if (getsockname(file->dup_fd, (struct sockaddr *)&address, &size) < 0)
        return file_refuse_errno(file, err, "read its address");
    m->protocol = ntohs(address.sll_protocol);
    if (address.sll_ifindex > 0 && !if_indextoname(address.sll_ifindex, name))
        return file_refuse(file, err, "its network interface is gone",
                           "close it before the checkpoint");
    m->interface = strdup(name);
    return m->interface ? 0 : crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

static int dump_socket(struct kobj_dump *ctx, const struct open_file *file, Crs__PacketSocket *m,
                       struct crs_error *err)
{
    struct pollfd p = {.fd = file->dup_fd, .events = POLLIN};
    int r = inet_check_namespace(file, err);

    m->type = inet_question(file, SO_TYPE);
    m->socket = malloc(sizeof(*m->socket));
    if (!m->socket)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__inet_socket__init(m->socket);
    m->socket->family = AF_PACKET;
    if (r == 0)
        r = dump_state(file, m, err);
    if (r == 0)
        r = dump_address(file, m, err);
    if (r == 0)
        r = inet_options_dump(file, m->socket, false, err);
    if (r == 0)
        r = inet_filter_dump(file, m->socket, err);
    m->unread = r == 0 && poll(&p, 1, 0) == 1 && p.revents & POLLIN;
    if (m->unread && ctx->terminate)
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "fd %d is a packet socket: the packets that wait to be read from it are not "
                  "saved",
                  file->fd);
    return r;
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    Crs__PacketSocket *m = malloc(sizeof(*m));

    if (!m)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__packet_socket__init(m);
    int r = dump_socket(ctx, file, m, err);
    if (r == 0)
        r = kobj_pack(&m->base, ret_payload, err);
    crs__packet_socket__free_unpacked(m, NULL);
    return r;
}

/* ---- restart ---- */

static int unpack(const Crs__OpenFile *record, Crs__PacketSocket **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__packet_socket__descriptor, (ProtobufCMessage **)ret, err);
}

static int check_interface(const char *name, struct crs_error *err)
{
    if (!name[0] || if_nametoindex(name))
        return 0;
    return crs_fail(err, CRS_CANT_RESTART, ENODEV,
                    "a packet socket receives from the network interface %s, which isn't here",
                    name);
}

static int check_record(const Crs__PacketSocket *m, struct crs_error *err)
{
    if (!m->socket || m->socket->family != AF_PACKET || m->protocol > UINT16_MAX ||
        (m->type != SOCK_RAW && m->type != SOCK_DGRAM))
        return crs_fail(err, CRS_DAMAGED, EINVAL, "a packet socket of an unknown kind");
    int r = inet_options_check(m->socket, err);
    if (r == 0)
        r = check_interface(m->interface, err);
    for (size_t i = 0; r == 0 && i < m->n_memberships; i++) {
        const Crs__PacketMembership *one = m->memberships[i];
        r = check_interface(one->interface, err);
        if (r == 0 &&
            (one->address.len > ADDRESS_MAX || one->type > UINT16_MAX || one->count > COUNT_MAX))
            r = crs_fail(err, CRS_DAMAGED, EINVAL, "a packet socket has an impossible membership");
    }
    if (r < 0)
        return r;
    _cleanup_close_ int fd = socket(AF_PACKET, (int)m->type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return crs_fail_errno(err, errno == EPERM ? CRS_NOT_PERMITTED : CRS_CANT_RESTART,
                              "can't make a packet socket%s",
                              errno == EPERM ? ": it needs CAP_NET_RAW" : "");
    return 0;
}

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    Crs__PacketSocket *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    r = check_record(m, err);
    crs__packet_socket__free_unpacked(m, NULL);
    return r < 0 ? crs_fail_at(err, r, "%s", record->name) : 0;
}

/* struct packet_mreq has room for shorter addresses only. */
struct membership {
    int interface;
    uint16_t type, size;
    uint8_t address[ADDRESS_MAX];
};

static int join(int fd, const Crs__PacketMembership *one, struct crs_error *err)
{
    struct membership membership = {.interface =
                                        one->interface[0] ? (int)if_nametoindex(one->interface) : 0,
                                    .type = one->type,
                                    .size = one->address.len};

    if (one->address.len > 0)
        memcpy(membership.address, one->address.data, one->address.len);
    for (uint32_t i = 0; i < one->count; i++)
        if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof(membership)) < 0)
            return crs_fail_errno(err, CRS_CANT_RESTART,
                                  "can't let a packet socket receive what it did from %s",
                                  one->interface);
    return 0;
}

static int bind_socket(const Crs__PacketSocket *m, int fd, struct crs_error *err)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(m->protocol),
        .sll_ifindex = m->interface[0] ? (int)if_nametoindex(m->interface) : 0,
    };

    if ((m->protocol == 0 && !m->interface[0]) ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return 0;
    return crs_fail_errno(err, CRS_CANT_RESTART, "can't bind a packet socket to %s",
                          m->interface[0] ? m->interface : "all interfaces");
}

/* It receives nothing before it is bound. */
static int make(struct kobj_restore *ctx, const Crs__OpenFile *record, const Crs__PacketSocket *m,
                int *ret_fd, struct crs_error *err)
{
    _cleanup_close_ int fd = -1;
    int r = inet_make(ctx, m->socket, (int)m->type, &fd, err);

    if (r == 0)
        r = inet_filter_restore(m->socket, fd, err);
    if (r == 0)
        r = inet_options_restore(ctx, m->socket, fd, INET_AT_END, err);
    if (r == 0 && m->copy_threshold &&
        inet_set_flag(fd, SOL_PACKET, PACKET_COPY_THRESH, (int)m->copy_threshold) < 0)
        r = crs_fail_errno(err, CRS_CANT_RESTART, "can't set the threshold of a packet socket");
    for (size_t i = 0; r == 0 && i < m->n_memberships; i++)
        r = join(fd, m->memberships[i], err);
    if (r == 0)
        r = bind_socket(m, fd, err);
    return r < 0 ? r : file_finish(TAKE_FD(fd), record, ret_fd, err);
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    Crs__PacketSocket *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    if (m->unread)
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "%s: the packets that waited to be read are lost", record->name);
    r = make(ctx, record, m, ret_fd, err);
    crs__packet_socket__free_unpacked(m, NULL);
    return r;
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    Crs__PacketSocket *m;
    int r = unpack(record, &m, NULL);

    if (r < 0)
        return r;
    snprintf(text, size, "protocol 0x%04x of %s%s", m->protocol,
             m->interface[0] ? m->interface : "all interfaces",
             m->socket && m->socket->n_filter ? ", with a filter" : "");
    crs__packet_socket__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_packet_socket = {
    .name = "packet-socket",
    .title = "packet socket",
    .saved = "with conditions",
    .conditions = "without a ring of shared memory and not in a fanout group; packets that wait to "
                  "be read are lost",
    .privilege = "CAP_NET_RAW",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = restore,
    .describe = describe,
};
