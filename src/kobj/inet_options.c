/*
 * inet_options.c - options of sockets, by a table
 *
 * Saved is what a new socket doesn't have: what the program chose, not what this machine's defaults
 * are.
 */
#include <net/if.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "kobj/inet.h"

/* Newer than the headers may be. */
enum {
    NUMBER_SO_BUF_LOCK = 72,
    NUMBER_SO_RCVMARK = 75,
    NUMBER_IP_LOCAL_PORT_RANGE = 51,
    NUMBER_IP_RECVERR_RFC4884 = 26,
    NUMBER_IPV6_RECVERR_RFC4884 = 31,
    NUMBER_IPV6_MULTICAST_ALL = 29,
    NUMBER_UDP_SEGMENT = 103,
    NUMBER_UDP_GRO = 104,
    NUMBER_UDPLITE_SEND_CSCOV = 10,
    NUMBER_UDPLITE_RECV_CSCOV = 11,
    NUMBER_TCP_NOTSENT_LOWAT = 25,
    NUMBER_TCP_SAVE_SYN = 27,
    NUMBER_TCP_FASTOPEN_CONNECT = 30,
    NUMBER_TCP_FASTOPEN_NO_COOKIE = 34,
    NUMBER_TCP_INQ = 36,
    NUMBER_TCP_TX_DELAY = 37,
};

/* IPv6 socket options of <linux/in6.h>, which can't stand beside <netinet/in.h> */
enum {
    NUMBER_IPV6_FLOWINFO_SEND = 33,
    NUMBER_IPV6_AUTOFLOWLABEL = 70,
    NUMBER_IPV6_ADDR_PREFERENCES = 72,
    NUMBER_IPV6_MINHOPCOUNT = 73,
    NUMBER_IPV6_ORIGDSTADDR = 74,
    NUMBER_IPV6_TRANSPARENT = 75,
    NUMBER_IPV6_UNICAST_IF = 76,
    NUMBER_IPV6_RECVFRAGSIZE = 77,
    NUMBER_IPV6_FREEBIND = 78,
};

#define VALUE_MAX 256

enum {
    EARLY = 1,         /* before bind(2) */
    NOT_CONNECTED = 2, /* a connection has a value of its own */
    TEXT = 4,          /* of any length */
    INTERFACE = 8,     /* the number of an interface, in host order */
    NETWORK_ORDER = 16,
    SPEED = 32,      /* the program is as right without it */
    NOT_STREAM = 64, /* TCP keeps something else in it */
};

struct row {
    const char *name;
    int level, number;
    size_t size; /* at most */
    unsigned flags;
};

/* The text is made where the name stands, before it is replaced by a number. */
#define ROW(text, level, number, size, flags)                                                      \
    {                                                                                              \
        text, level, number, size, flags                                                           \
    }
#define OPTION(level, name, size, flags) ROW(#name, level, name, size, flags)
#define NUMBERED(level, name, flags)     ROW(#name, level, NUMBER_##name, sizeof(int), flags)
#define SOCKET(name, flags)              ROW(#name, SOL_SOCKET, name, sizeof(int), flags)
#define IP4(name, flags)                 ROW(#name, IPPROTO_IP, name, sizeof(int), flags)
#define IP6(name, flags)                 ROW(#name, IPPROTO_IPV6, name, sizeof(int), flags)
#define TCP(name, flags)                 ROW(#name, IPPROTO_TCP, name, sizeof(int), flags)
#define INTERFACE_NAME_MAX               16
#define IP_OPTIONS_MAX                   40
#define CONGESTION_MAX                   16
#define IPPROTO_UDPLITE_LEVEL            136

/* Set in this order. */
static const struct row rows[] = {
    OPTION(SOL_SOCKET, SO_BINDTODEVICE, INTERFACE_NAME_MAX, EARLY | TEXT),
    SOCKET(SO_REUSEADDR, EARLY),
    SOCKET(SO_REUSEPORT, EARLY),
    IP6(IPV6_V6ONLY, EARLY),
    IP4(IP_FREEBIND, EARLY),
    IP4(IP_TRANSPARENT, EARLY),
    IP4(IP_BIND_ADDRESS_NO_PORT, EARLY),
    NUMBERED(IPPROTO_IPV6, IPV6_FREEBIND, EARLY),
    NUMBERED(IPPROTO_IPV6, IPV6_TRANSPARENT, EARLY),
    NUMBERED(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, EARLY | NOT_CONNECTED | SPEED),

    NUMBERED(IPPROTO_IP, IP_LOCAL_PORT_RANGE, 0),
    IP4(IP_TOS, 0), /* before the priority, which it sets */
    NUMBERED(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, SPEED),
    IP6(IPV6_TCLASS, 0),
    SOCKET(SO_PRIORITY, 0),
    SOCKET(SO_MARK, 0),
    SOCKET(SO_DEBUG, 0),
    SOCKET(SO_DONTROUTE, 0),
    SOCKET(SO_BROADCAST, 0),
    SOCKET(SO_KEEPALIVE, 0),
    SOCKET(SO_OOBINLINE, 0),
    SOCKET(SO_NO_CHECK, 0),
    OPTION(SOL_SOCKET, SO_LINGER, sizeof(struct linger), 0),
    SOCKET(SO_RCVLOWAT, 0),
    OPTION(SOL_SOCKET, SO_RCVTIMEO, sizeof(struct timeval), 0),
    OPTION(SOL_SOCKET, SO_SNDTIMEO, sizeof(struct timeval), 0),
    SOCKET(SO_TIMESTAMP_OLD, 0),
    SOCKET(SO_TIMESTAMP_NEW, 0),
    SOCKET(SO_TIMESTAMPNS_OLD, 0),
    SOCKET(SO_TIMESTAMPNS_NEW, 0),
    SOCKET(SO_TIMESTAMPING_OLD, 0),
    SOCKET(SO_TIMESTAMPING_NEW, 0),
    SOCKET(SO_PASSSEC, 0),
    SOCKET(SO_RXQ_OVFL, 0),
    SOCKET(SO_WIFI_STATUS, 0),
    SOCKET(SO_PEEK_OFF, 0),
    SOCKET(SO_NOFCS, 0),
    SOCKET(SO_SELECT_ERR_QUEUE, 0),
    SOCKET(SO_BUSY_POLL, SPEED),
    SOCKET(SO_PREFER_BUSY_POLL, SPEED),
    SOCKET(SO_BUSY_POLL_BUDGET, SPEED),
    OPTION(SOL_SOCKET, SO_MAX_PACING_RATE, sizeof(uint64_t), SPEED),
    SOCKET(SO_ZEROCOPY, 0),
    NUMBERED(SOL_SOCKET, SO_RCVMARK, 0),

    IP4(IP_TTL, 0),
    IP4(IP_MINTTL, 0),
    OPTION(IPPROTO_IP, IP_OPTIONS, IP_OPTIONS_MAX, TEXT),
    IP4(IP_HDRINCL, 0),
    IP4(IP_RECVOPTS, 0),
    IP4(IP_RETOPTS, 0),
    IP4(IP_PKTINFO, 0),
    IP4(IP_MTU_DISCOVER, 0),
    IP4(IP_RECVERR, 0),
    IP4(IP_RECVTTL, 0),
    IP4(IP_RECVTOS, 0),
    IP4(IP_PASSSEC, 0),
    IP4(IP_ORIGDSTADDR, 0),
    IP4(IP_NODEFRAG, 0),
    IP4(IP_CHECKSUM, 0),
    IP4(IP_RECVFRAGSIZE, 0),
    NUMBERED(IPPROTO_IP, IP_RECVERR_RFC4884, 0),
    IP4(IP_MULTICAST_IF, NOT_STREAM),
    IP4(IP_MULTICAST_TTL, NOT_STREAM),
    IP4(IP_MULTICAST_LOOP, NOT_STREAM),
    IP4(IP_MULTICAST_ALL, NOT_STREAM),
    IP4(IP_UNICAST_IF, INTERFACE | NETWORK_ORDER),

    IP6(IPV6_UNICAST_HOPS, 0),
    IP6(IPV6_MULTICAST_IF, INTERFACE | NOT_STREAM),
    IP6(IPV6_MULTICAST_HOPS, NOT_STREAM),
    IP6(IPV6_MULTICAST_LOOP, NOT_STREAM),
    NUMBERED(IPPROTO_IPV6, IPV6_MULTICAST_ALL, NOT_STREAM),
    NUMBERED(IPPROTO_IPV6, IPV6_UNICAST_IF, INTERFACE | NETWORK_ORDER),
    IP6(IPV6_MTU_DISCOVER, 0),
    IP6(IPV6_RECVERR, 0),
    NUMBERED(IPPROTO_IPV6, IPV6_RECVERR_RFC4884, 0),
    IP6(IPV6_RECVPKTINFO, 0),
    IP6(IPV6_2292PKTINFO, 0),
    IP6(IPV6_RECVHOPLIMIT, 0),
    IP6(IPV6_2292HOPLIMIT, 0),
    IP6(IPV6_RECVHOPOPTS, 0),
    IP6(IPV6_2292HOPOPTS, 0),
    IP6(IPV6_RECVRTHDR, 0),
    IP6(IPV6_2292RTHDR, 0),
    IP6(IPV6_RECVDSTOPTS, 0),
    IP6(IPV6_2292DSTOPTS, 0),
    IP6(IPV6_RECVPATHMTU, 0),
    IP6(IPV6_RECVTCLASS, 0),
    IP6(IPV6_DONTFRAG, 0),
    NUMBERED(IPPROTO_IPV6, IPV6_FLOWINFO_SEND, 0),
    NUMBERED(IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, 0),
    NUMBERED(IPPROTO_IPV6, IPV6_MINHOPCOUNT, 0),
    NUMBERED(IPPROTO_IPV6, IPV6_ORIGDSTADDR, 0),
    NUMBERED(IPPROTO_IPV6, IPV6_RECVFRAGSIZE, 0),

    TCP(TCP_MAXSEG, NOT_CONNECTED),
    TCP(TCP_WINDOW_CLAMP, NOT_CONNECTED | SPEED),
    OPTION(IPPROTO_TCP, TCP_CONGESTION, CONGESTION_MAX, TEXT | SPEED),
    TCP(TCP_NODELAY, 0),
    TCP(TCP_CORK, 0),
    TCP(TCP_KEEPIDLE, 0),
    TCP(TCP_KEEPINTVL, 0),
    TCP(TCP_KEEPCNT, 0),
    TCP(TCP_SYNCNT, 0),
    TCP(TCP_LINGER2, 0),
    TCP(TCP_DEFER_ACCEPT, NOT_CONNECTED),
    TCP(TCP_USER_TIMEOUT, 0),
    TCP(TCP_THIN_LINEAR_TIMEOUTS, SPEED),
    TCP(TCP_THIN_DUPACK, SPEED),
    TCP(TCP_FASTOPEN, NOT_CONNECTED | SPEED),
    NUMBERED(IPPROTO_TCP, TCP_NOTSENT_LOWAT, SPEED),
    NUMBERED(IPPROTO_TCP, TCP_SAVE_SYN, NOT_CONNECTED),
    NUMBERED(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, SPEED),
    NUMBERED(IPPROTO_TCP, TCP_INQ, 0),
    NUMBERED(IPPROTO_TCP, TCP_TX_DELAY, SPEED),

    OPTION(IPPROTO_UDP, UDP_CORK, sizeof(int), 0),
    OPTION(IPPROTO_UDP, UDP_ENCAP, sizeof(int), 0),
    OPTION(IPPROTO_UDP, UDP_NO_CHECK6_TX, sizeof(int), 0),
    OPTION(IPPROTO_UDP, UDP_NO_CHECK6_RX, sizeof(int), 0),
    NUMBERED(IPPROTO_UDP, UDP_SEGMENT, 0),
    NUMBERED(IPPROTO_UDP, UDP_GRO, 0),
    NUMBERED(IPPROTO_UDPLITE_LEVEL, UDPLITE_SEND_CSCOV, 0),
    NUMBERED(IPPROTO_UDPLITE_LEVEL, UDPLITE_RECV_CSCOV, 0),

    ROW("ICMP_FILTER", IPPROTO_RAW, 1, sizeof(uint32_t), 0),
    ROW("ICMPV6_FILTER", IPPROTO_ICMPV6, 1, 8 * sizeof(uint32_t), 0),
    ROW("IPV6_CHECKSUM", IPPROTO_RAW, 7, sizeof(int), 0),

    ROW("PACKET_VERSION", SOL_PACKET, 10, sizeof(int), EARLY),
    ROW("PACKET_RESERVE", SOL_PACKET, 12, sizeof(int), 0),
    ROW("PACKET_AUXDATA", SOL_PACKET, 8, sizeof(int), 0),
    ROW("PACKET_ORIGDEV", SOL_PACKET, 9, sizeof(int), 0),
    ROW("PACKET_LOSS", SOL_PACKET, 14, sizeof(int), 0),
    ROW("PACKET_VNET_HDR", SOL_PACKET, 15, sizeof(int), 0),
    ROW("PACKET_TIMESTAMP", SOL_PACKET, 17, sizeof(int), 0),
    ROW("PACKET_QDISC_BYPASS", SOL_PACKET, 20, sizeof(int), SPEED),
    ROW("PACKET_IGNORE_OUTGOING", SOL_PACKET, 23, sizeof(int), 0),
};

/* A buffer's size is the program's own only where it is locked. */
static const struct row buffers[] = {
    SOCKET(SO_SNDBUF, 0),
    SOCKET(SO_RCVBUF, 0),
};
#define LOCK_SEND    1
#define LOCK_RECEIVE 2

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

/* ---- dump ---- */

/* Bytes of the value; -1: this socket doesn't have the option. */
static ssize_t get(int fd, const struct row *row, void *value)
{
    socklen_t size = row->size;

    memset(value, 0, VALUE_MAX);
    return getsockopt(fd, row->level, row->number, value, &size) < 0 ? -1 : (ssize_t)size;
}

static int add(Crs__InetSocket *record, const struct row *row, const void *value, size_t size)
{
    Crs__InetOption **all =
        realloc(record->options, (record->n_options + 1) * sizeof(*record->options));
    Crs__InetOption *option = all ? malloc(sizeof(*option)) : NULL;
    struct bytes copy = {0};

    if (all)
        record->options = all;
    if (!option)
        return -ENOMEM;
    crs__inet_option__init(option);
    all[record->n_options++] = option;
    option->level = row->level;
    option->name = row->number;
    int r = bytes_copy(&copy, value, size);
    option->value = (ProtobufCBinaryData){.data = copy.data, .len = copy.size};
    return r;
}

/* Numbers of interfaces are this machine's. */
static int name_interface(const struct row *row, Crs__InetOption *option)
{
    char name[IF_NAMESIZE];
    uint32_t index;

    memcpy(&index, option->value.data, sizeof(index));
    if (row->flags & NETWORK_ORDER)
        index = ntohl(index);
    if (!if_indextoname(index, name))
        return 0;
    option->interface = strdup(name);
    return option->interface ? 0 : -ENOMEM;
}

static int dump_row(const struct row *row, int fd, int new, Crs__InetSocket *record)
{
    uint8_t value[VALUE_MAX], other[VALUE_MAX];
    ssize_t n = get(fd, row, value), m = get(new, row, other);

    if (n < 0 || (n == m && memcmp(value, other, n) == 0))
        return 0;
    int r = add(record, row, value, n);
    if (r == 0 && (row->flags & INTERFACE) && n == sizeof(uint32_t))
        r = name_interface(row, record->options[record->n_options - 1]);
    return r;
}

static int dump_buffers(int fd, Crs__InetSocket *record)
{
    int locked = 0, value, r = 0;
    socklen_t size = sizeof(locked);

    if (getsockopt(fd, SOL_SOCKET, NUMBER_SO_BUF_LOCK, &locked, &size) < 0)
        return 0;
    for (int i = 0; r == 0 && i < 2; i++) {
        size = sizeof(value);
        if (!(locked & (i == 0 ? LOCK_SEND : LOCK_RECEIVE)) ||
            getsockopt(fd, SOL_SOCKET, buffers[i].number, &value, &size) < 0)
            continue;
        value /= 2; /* the kernel doubles what it is given */
        r = add(record, &buffers[i], &value, sizeof(value));
    }
    return r;
}

int inet_options_dump(const struct open_file *file, Crs__InetSocket *record, bool connected,
                      struct crs_error *err)
{
    int type = inet_question(file, SO_TYPE), r = 0;
    _cleanup_close_ int new = socket(record->family, type | SOCK_CLOEXEC, record->protocol);

    if (new < 0)
        return file_refuse_errno(file, err, "make a socket to compare it with");
    unsigned without = (connected ? NOT_CONNECTED : 0) | (type == SOCK_STREAM ? NOT_STREAM : 0);
    for (size_t i = 0; r == 0 && i < ELEMENTS(rows); i++)
        if (!(rows[i].flags & without))
            r = dump_row(&rows[i], file->dup_fd, new, record);
    if (r == 0)
        r = dump_buffers(file->dup_fd, record);
    return r < 0 ? out_of_memory(err) : 0;
}

/* ---- restart ---- */

static const struct row *find(const Crs__InetOption *option)
{
    for (size_t i = 0; i < ELEMENTS(rows); i++)
        if (rows[i].level == option->level && rows[i].number == option->name)
            return &rows[i];
    for (size_t i = 0; i < ELEMENTS(buffers); i++)
        if (buffers[i].level == option->level && buffers[i].number == option->name)
            return &buffers[i];
    return NULL;
}

int inet_options_check(const Crs__InetSocket *record, struct crs_error *err)
{
    for (size_t i = 0; i < record->n_options; i++) {
        const Crs__InetOption *option = record->options[i];
        const struct row *row = find(option);
        if (!row || option->value.len > row->size)
            return crs_fail(err, CRS_DAMAGED, EINVAL,
                            "a socket's option %d of level %d is not understood", option->name,
                            option->level);
        if (option->interface[0] && if_nametoindex(option->interface) == 0)
            return crs_fail(err, CRS_CANT_RESTART, ENODEV,
                            "a socket's option %s is the network interface %s, which isn't here",
                            row->name, option->interface);
    }
    return 0;
}

static int set(int fd, const struct row *row, const Crs__InetOption *option)
{
    uint8_t value[VALUE_MAX] = {0};
    uint32_t index;

    if (option->value.len > row->size)
        return -EINVAL;
    if (option->value.len > 0)
        memcpy(value, option->value.data, option->value.len);
    if (option->interface[0]) {
        index = if_nametoindex(option->interface);
        if (row->flags & NETWORK_ORDER)
            index = htonl(index);
        memcpy(value, &index, sizeof(index));
    }
    return setsockopt(fd, row->level, row->number, value, option->value.len) < 0 ? -errno : 0;
}

int inet_options_restore(struct kobj_restore *ctx, const Crs__InetSocket *record, int fd,
                         enum inet_phase phase, struct crs_error *err)
{
    for (size_t i = 0; i < record->n_options; i++) {
        const struct row *row = find(record->options[i]);
        if (!row || ((row->flags & EARLY) != 0) != (phase == INET_BEFORE_BIND))
            continue;
        int r = set(fd, row, record->options[i]);
        if (r < 0 && (row->flags & SPEED))
            kobj_warn(ctx->progress, ctx->progress_arg,
                      "a socket's option %s can't be set here: %s", row->name, strerror(-r));
        else if (r < 0)
            return crs_fail(err, r == -EPERM ? CRS_NOT_PERMITTED : CRS_CANT_RESTART, -r,
                            "can't set the option %s of a socket: %s", row->name, strerror(-r));
    }
    return 0;
}

int inet_option_value(const Crs__InetSocket *record, int level, int name, int fallback)
{
    int value = fallback;

    for (size_t i = 0; i < record->n_options; i++)
        if (record->options[i]->level == level && record->options[i]->name == name &&
            record->options[i]->value.len == sizeof(value))
            memcpy(&value, record->options[i]->value.data, sizeof(value));
    return value;
}
