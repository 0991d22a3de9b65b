/* inet_address.c - addresses of the internet families */
#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "kobj/inet.h"

const char *inet_format(const struct inet_address *address, char text[INET_TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "?", name[IF_NAMESIZE] = "";

    if (address->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof(host));
        snprintf(text, INET_TEXT_SIZE, "%s:%u", host, ntohs(address->v4.sin_port));
        return text;
    }
    inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof(host));
    if (address->v6.sin6_scope_id)
        if_indextoname(address->v6.sin6_scope_id, name);
    snprintf(text, INET_TEXT_SIZE, "[%s%s%s]:%u", host, name[0] ? "%" : "", name,
             ntohs(address->v6.sin6_port));
    return text;
}

static int get(int fd, int (*ask)(int, struct sockaddr *, socklen_t *), struct inet_address *ret)
{
    struct inet_address address = {.size = sizeof(struct sockaddr_in6)};

    if (ask(fd, &address.any, &address.size) < 0)
        return -errno;
    if (address.any.sa_family != AF_INET && address.any.sa_family != AF_INET6)
        return -EAFNOSUPPORT;
    *ret = address;
    return 0;
}

/* The prototypes have a transparent union in them. */
static int ask_local(int fd, struct sockaddr *address, socklen_t *size)
{
    return getsockname(fd, address, size);
}

static int ask_peer(int fd, struct sockaddr *address, socklen_t *size)
{
    return getpeername(fd, address, size);
}

int inet_get_local(int fd, struct inet_address *ret)
{
    return get(fd, ask_local, ret);
}

int inet_get_peer(int fd, struct inet_address *ret)
{
    return get(fd, ask_peer, ret);
}

uint16_t inet_port(const struct inet_address *address)
{
    return ntohs(address->any.sa_family == AF_INET ? address->v4.sin_port : address->v6.sin6_port);
}

void inet_set_port(struct inet_address *address, uint16_t port)
{
    if (address->any.sa_family == AF_INET)
        address->v4.sin_port = htons(port);
    else
        address->v6.sin6_port = htons(port);
}

bool inet_is_wildcard(const struct inet_address *address)
{
    if (address->any.sa_family == AF_INET)
        return address->v4.sin_addr.s_addr == 0;
    return IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
}

bool inet_is_mapped(const struct inet_address *address)
{
    return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr);
}

struct inet_address inet_unmapped(const struct inet_address *address)
{
    struct inet_address v4 = {.size = sizeof(struct sockaddr_in)};

    if (!inet_is_mapped(address))
        return *address;
    v4.v4.sin_family = AF_INET;
    v4.v4.sin_port = address->v6.sin6_port;
    memcpy(&v4.v4.sin_addr, address->v6.sin6_addr.s6_addr + 12, 4);
    return v4;
}

struct inet_address inet_for_family(const struct inet_address *address, int family)
{
    struct inet_address mapped = {.size = sizeof(struct sockaddr_in6)};

    if (family == AF_INET || address->any.sa_family == AF_INET6)
        return family == AF_INET ? inet_unmapped(address) : *address;
    mapped.v6.sin6_family = AF_INET6;
    mapped.v6.sin6_port = address->v4.sin_port;
    mapped.v6.sin6_addr.s6_addr[10] = mapped.v6.sin6_addr.s6_addr[11] = 0xff;
    memcpy(mapped.v6.sin6_addr.s6_addr + 12, &address->v4.sin_addr, 4);
    return mapped;
}

struct inet_address inet_wildcard(int family, uint16_t port)
{
    struct inet_address any = {.size = family == AF_INET ? sizeof(struct sockaddr_in)
                                                         : sizeof(struct sockaddr_in6)};

    any.any.sa_family = family;
    inet_set_port(&any, port);
    return any;
}

/* Only an address of this machine can be bound; a datagram socket without a port disturbs no one.
 */
bool inet_is_here(const struct inet_address *address)
{
    struct inet_address here = inet_unmapped(address);
    _cleanup_close_ int fd = socket(here.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    inet_set_port(&here, 0);
    return fd >= 0 && bind(fd, &here.any, here.size) == 0;
}

struct inet_key inet_make_key(const struct inet_address *address)
{
    struct inet_key key = {0};

    if (address->any.sa_family == AF_INET) {
        key.address[10] = key.address[11] = 0xff;
        memcpy(key.address + 12, &address->v4.sin_addr, 4);
        key.port = address->v4.sin_port;
    } else {
        memcpy(key.address, &address->v6.sin6_addr, 16);
        key.port = address->v6.sin6_port;
    }
    return key;
}

/* ---- records ---- */

static int save_bytes(const struct inet_address *address, Crs__InetAddress *record)
{
    bool v4 = address->any.sa_family == AF_INET;
    struct bytes copy = {0};
    int r = v4 ? bytes_copy(&copy, &address->v4.sin_addr, 4)
               : bytes_copy(&copy, &address->v6.sin6_addr, 16);

    record->address = (ProtobufCBinaryData){.data = copy.data, .len = copy.size};
    return r;
}

int inet_address_save(const struct inet_address *address, Crs__InetAddress **ret)
{
    Crs__InetAddress *record = malloc(sizeof(*record));
    char name[IF_NAMESIZE];
    int r;

    if (!record)
        return -ENOMEM;
    crs__inet_address__init(record);
    record->family = address->any.sa_family;
    record->port = inet_port(address);
    r = save_bytes(address, record);
    if (r == 0 && address->any.sa_family == AF_INET6) {
        record->flow = ntohl(address->v6.sin6_flowinfo);
        if (address->v6.sin6_scope_id && if_indextoname(address->v6.sin6_scope_id, name)) {
            record->interface = strdup(name);
            r = record->interface ? 0 : -ENOMEM;
        }
    }
    if (r < 0) {
        crs__inet_address__free_unpacked(record, NULL);
        return r;
    }
    *ret = record;
    return 0;
}

static int load_interface(const Crs__InetAddress *record, struct inet_address *address,
                          struct crs_error *err)
{
    if (!record->interface[0])
        return 0;
    address->v6.sin6_scope_id = if_nametoindex(record->interface);
    if (address->v6.sin6_scope_id == 0)
        return crs_fail(err, CRS_CANT_RESTART, ENODEV,
                        "an address of the program is one of the network interface %s, which isn't "
                        "here",
                        record->interface);
    return 0;
}

int inet_address_load(const Crs__InetAddress *record, struct inet_address *ret,
                      struct crs_error *err)
{
    struct inet_address address = {0};
    size_t size = record->family == AF_INET ? 4 : 16;

    if ((record->family != AF_INET && record->family != AF_INET6) || record->address.len != size ||
        record->port > UINT16_MAX)
        return crs_fail(err, CRS_DAMAGED, EINVAL, "a socket's address isn't one");
    address = inet_wildcard(record->family, record->port);
    if (record->family == AF_INET)
        memcpy(&address.v4.sin_addr, record->address.data, 4);
    else {
        memcpy(&address.v6.sin6_addr, record->address.data, 16);
        address.v6.sin6_flowinfo = htonl(record->flow);
        int r = load_interface(record, &address, err);
        if (r < 0)
            return r;
    }
    *ret = address;
    return 0;
}

void inet_describe(const Crs__InetAddress *record, char text[INET_TEXT_SIZE])
{
    struct inet_address address;

    if (record && inet_address_load(record, &address, NULL) == 0)
        inet_format(&address, text);
    else
        snprintf(text, INET_TEXT_SIZE, "no address");
}
