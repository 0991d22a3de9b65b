/*
 * netlink_socket.c - netlink sockets of protocols that keep no state for one: questions about
 * network interfaces, routes and sockets, and news of devices
 */
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kobj/file.h"
#include "kobj/inet.h"
#include "netlink_socket.pb-c.h"

#define GROUPS_MAX 1024

static const int protocols[] = {NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_KOBJECT_UEVENT,
                                NETLINK_GENERIC};

static const struct {
    int level, name;
} options[] = {
    {SOL_SOCKET, SO_PASSCRED},
    {SOL_SOCKET, SO_RXQ_OVFL},
    {SOL_SOCKET, SO_TIMESTAMP},
    {SOL_NETLINK, NETLINK_PKTINFO},
    {SOL_NETLINK, NETLINK_EXT_ACK},
    {SOL_NETLINK, NETLINK_BROADCAST_ERROR},
    {SOL_NETLINK, NETLINK_CAP_ACK},
    {SOL_NETLINK, NETLINK_NO_ENOBUFS},
    {SOL_NETLINK, NETLINK_GET_STRICT_CHK},
    {SOL_NETLINK, NETLINK_LISTEN_ALL_NSID},
};

static bool match(const struct open_file *file)
{
    int protocol = inet_question(file, SO_PROTOCOL);

    if (inet_question(file, SO_DOMAIN) != AF_NETLINK)
        return false;
    for (size_t i = 0; i < ELEMENTS(protocols); i++)
        if (protocols[i] == protocol)
            return true;
    return false;
}

/* ---- dump ---- */

static int get(int fd, int level, int name)
{
    int value = 0;
    socklen_t size = sizeof(value);

    return getsockopt(fd, level, name, &value, &size) < 0 ? 0 : value;
}

static int dump_addresses(const struct open_file *file, Crs__NetlinkSocket *m,
                          struct crs_error *err)
{
    struct sockaddr_nl own = {0}, peer = {0};
    socklen_t size = sizeof(own);

    if (getsockname(file->dup_fd, (struct sockaddr *)&own, &size) < 0)
        return file_refuse_errno(file, err, "read its address");
    m->bound = own.nl_pid != 0;
    m->port = own.nl_pid;
    size = sizeof(peer);
    if (getpeername(file->dup_fd, (struct sockaddr *)&peer, &size) == 0) {
        m->connected = peer.nl_pid || peer.nl_groups;
        m->peer_port = peer.nl_pid;
        m->peer_groups = peer.nl_groups;
    }
    return 0;
}

static int dump_groups(const struct open_file *file, Crs__NetlinkSocket *m, struct crs_error *err)
{
    uint32_t words[GROUPS_MAX / 32] = {0};
    socklen_t size = sizeof(words);

    if (getsockopt(file->dup_fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, words, &size) < 0)
        return file_refuse_errno(file, err, "read the groups that it listens to");
    if (size > sizeof(words))
        return file_refuse(file, err, "it listens to more groups than can be read", "close it");
    m->groups = calloc(GROUPS_MAX, sizeof(*m->groups));
    if (!m->groups)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (uint32_t i = 0; i < size * 8; i++)
        if (words[i / 32] >> (i % 32) & 1)
            m->groups[m->n_groups++] = i + 1;
    return 0;
}

static int dump_options(const struct open_file *file, Crs__NetlinkSocket *m, struct crs_error *err)
{
    _cleanup_close_ int new = socket(AF_NETLINK, m->type | SOCK_CLOEXEC, m->protocol);

    m->options = calloc(ELEMENTS(options), sizeof(*m->options));
    if (new < 0 || !m->options)
        return crs_fail_errno(err, CRS_FAILED, "can't make a socket to compare fd %d with",
                              file->fd);
    for (size_t i = 0; i < ELEMENTS(options); i++) {
        int value = get(file->dup_fd, options[i].level, options[i].name);
        if (value == get(new, options[i].level, options[i].name))
            continue;
        Crs__NetlinkOption *o = malloc(sizeof(*o));
        if (!o)
            return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
        *o = (Crs__NetlinkOption)CRS__NETLINK_OPTION__INIT;
        o->level = options[i].level;
        o->name = options[i].name;
        o->value = value;
        m->options[m->n_options++] = o;
    }
    return 0;
}

/* While the kernel answers in several messages, there always is one to be read. */
static int check_empty(const struct open_file *file, struct crs_error *err)
{
    struct pollfd p = {.fd = file->dup_fd, .events = POLLIN};

    if (poll(&p, 1, 0) == 0)
        return 0;
    return file_refuse(file, err, "the kernel's answers on their way to it can't be saved",
                       "try again when the program has read them");
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    Crs__NetlinkSocket *m = malloc(sizeof(*m));

    if (!m)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__netlink_socket__init(m);
    m->type = inet_question(file, SO_TYPE);
    m->protocol = inet_question(file, SO_PROTOCOL);
    int r = inet_check_namespace(file, err);
    if (r == 0)
        r = check_empty(file, err);
    if (r == 0)
        r = dump_addresses(file, m, err);
    if (r == 0)
        r = dump_groups(file, m, err);
    if (r == 0)
        r = dump_options(file, m, err);
    if (r == 0)
        r = kobj_pack(&m->base, ret_payload, err);
    crs__netlink_socket__free_unpacked(m, NULL);
    return r;
}

/* ---- restart ---- */

static int unpack(const Crs__OpenFile *record, Crs__NetlinkSocket **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__netlink_socket__descriptor, (ProtobufCMessage **)ret, err);
}

/* The port may be another's by now; programs learn theirs from the kernel. */
static int bind_socket(struct kobj_restore *ctx, const Crs__OpenFile *record,
                       const Crs__NetlinkSocket *m, int fd, struct crs_error *err)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_pid = m->port};

    if (!m->bound || bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return 0;
    address.nl_pid = 0;
    if (errno != EADDRINUSE || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't bind a netlink socket");
    kobj_warn(ctx->progress, ctx->progress_arg,
              "%s: the address %u of a netlink socket is in use: it gets another", record->name,
              m->port);
    return 0;
}

static bool is_known(const Crs__NetlinkOption *o)
{
    for (size_t i = 0; i < ELEMENTS(options); i++)
        if (options[i].level == o->level && options[i].name == o->name)
            return true;
    return false;
}

static int set_all(const Crs__NetlinkSocket *m, int fd, struct crs_error *err)
{
    struct sockaddr_nl peer = {
        .nl_family = AF_NETLINK, .nl_pid = m->peer_port, .nl_groups = m->peer_groups};

    for (size_t i = 0; i < m->n_options; i++) {
        const Crs__NetlinkOption *o = m->options[i];
        int r = is_known(o) ? inet_set_flag(fd, o->level, o->name, o->value) : -EINVAL;
        if (r < 0)
            return crs_fail(err, r == -EPERM ? CRS_NOT_PERMITTED : CRS_CANT_RESTART, -r,
                            "can't set the option %d of a netlink socket: %s", o->name,
                            strerror(-r));
    }
    for (size_t i = 0; i < m->n_groups; i++)
        if (inet_set_flag(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, (int)m->groups[i]) < 0)
            return crs_fail_errno(err, errno == EPERM ? CRS_NOT_PERMITTED : CRS_CANT_RESTART,
                                  "can't listen to the netlink group %u", m->groups[i]);
    if (m->connected && connect(fd, (struct sockaddr *)&peer, sizeof(peer)) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't connect a netlink socket");
    return 0;
}

static int make(struct kobj_restore *ctx, const Crs__OpenFile *record, const Crs__NetlinkSocket *m,
                int *ret_fd, struct crs_error *err)
{
    bool known = m->type == SOCK_RAW || m->type == SOCK_DGRAM;
    _cleanup_close_ int fd =
        known ? socket(AF_NETLINK, (int)m->type | SOCK_CLOEXEC, (int)m->protocol) : -1;

    if (!known)
        return crs_fail(err, CRS_DAMAGED, EINVAL, "a netlink socket of an unknown type");
    if (fd < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't make a netlink socket");
    int r = bind_socket(ctx, record, m, fd, err);
    if (r == 0)
        r = set_all(m, fd, err);
    return r == 0 ? file_finish(TAKE_FD(fd), record, ret_fd, err) : r;
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    Crs__NetlinkSocket *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    r = make(ctx, record, m, ret_fd, err);
    crs__netlink_socket__free_unpacked(m, NULL);
    return r;
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    Crs__NetlinkSocket *m;
    int r = unpack(record, &m, NULL);

    if (r < 0)
        return r;
    snprintf(text, size, "protocol %u, address %u, %zu group%s", m->protocol, m->port, m->n_groups,
             m->n_groups == 1 ? "" : "s");
    crs__netlink_socket__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_netlink_socket = {
    .name = "netlink-socket",
    .title = "netlink socket",
    .saved = "with conditions",
    .conditions = "for interfaces and routes, sockets, devices, or generic; nothing waits to be "
                  "read from it",
    .match = match,
    .dump = dump,
    .restore = restore,
    .describe = describe,
};
