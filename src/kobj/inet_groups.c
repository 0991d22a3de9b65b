/*
 * inet_groups.c - multicast groups that a socket is a member of
 *
 * The kernel doesn't list them. It lists the groups of the machine, and tells of one group whether
 * a socket is a member, and for which sources.
 */
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "base/io.h"
#include "kobj/inet.h"
#include "proc/igmp.h"

#define SOURCES_MAX 1024
#define TABLE_LIMIT (16u << 20)

static void set_address(struct sockaddr_storage *to, const uint8_t *address, size_t size)
{
    memset(to, 0, sizeof(*to));
    to->ss_family = size == 4 ? AF_INET : AF_INET6;
    if (size == 4)
        memcpy(&((struct sockaddr_in *)to)->sin_addr, address, 4);
    else
        memcpy(&((struct sockaddr_in6 *)to)->sin6_addr, address, 16);
}

static struct inet_address make_address(const struct sockaddr_storage *from)
{
    struct inet_address address = inet_wildcard(from->ss_family, 0);

    memcpy(&address.v6, from, address.size);
    return address;
}

/* The group and its sources, as a structure of variable length. */
static struct group_filter *make_filter(uint32_t interface, const struct sockaddr_storage *group,
                                        size_t n_sources)
{
    struct group_filter *filter = calloc(1, GROUP_FILTER_SIZE(n_sources));

    if (!filter)
        return NULL;
    filter->gf_interface = interface;
    filter->gf_group = *group;
    filter->gf_numsrc = n_sources;
    return filter;
}

/* ---- dump ---- */

static int add_sources(const struct group_filter *filter, Crs__InetMembership *m)
{
    m->sources = calloc(filter->gf_numsrc + 1, sizeof(*m->sources));
    if (!m->sources)
        return -ENOMEM;
    for (uint32_t i = 0; i < filter->gf_numsrc; i++) {
        const struct sockaddr_storage *s = &filter->gf_slist[i];
        struct bytes copy = {0};
        int r = s->ss_family == AF_INET
                    ? bytes_copy(&copy, &((struct sockaddr_in *)s)->sin_addr, 4)
                    : bytes_copy(&copy, &((struct sockaddr_in6 *)s)->sin6_addr, 16);
        if (r < 0)
            return r;
        m->sources[m->n_sources++] = (ProtobufCBinaryData){.data = copy.data, .len = copy.size};
    }
    return 0;
}

static int add_membership(const struct group_filter *filter, Crs__InetSocket *record)
{
    struct inet_address group = make_address(&filter->gf_group);
    char name[IF_NAMESIZE] = "";
    Crs__InetMembership **all =
        realloc(record->memberships, (record->n_memberships + 1) * sizeof(*all));
    Crs__InetMembership *m = all ? malloc(sizeof(*m)) : NULL;

    if (all)
        record->memberships = all;
    if (!m)
        return -ENOMEM;
    crs__inet_membership__init(m);
    all[record->n_memberships++] = m;
    if_indextoname(filter->gf_interface, name);
    m->interface = strdup(name);
    m->exclude = filter->gf_fmode == MCAST_EXCLUDE;
    int r = m->interface ? inet_address_save(&group, &m->group) : -ENOMEM;
    return r < 0 ? r : add_sources(filter, m);
}

/* Is the socket a member? Then into the record. */
static int ask(int fd, const struct multicast_group *group, Crs__InetSocket *record)
{
    struct sockaddr_storage address;
    socklen_t size = GROUP_FILTER_SIZE(SOURCES_MAX);

    set_address(&address, group->address, group->size);
    _cleanup_free_ struct group_filter *filter =
        make_filter(group->interface, &address, SOURCES_MAX);
    if (!filter)
        return -ENOMEM;
    if (getsockopt(fd, group->size == 4 ? IPPROTO_IP : IPPROTO_IPV6, MCAST_MSFILTER, filter,
                   &size) < 0)
        return 0;
    if (filter->gf_numsrc > SOURCES_MAX)
        filter->gf_numsrc = SOURCES_MAX;
    return add_membership(filter, record);
}

static int read_groups(const struct open_file *file, const char *path,
                       int (*parse)(const char *, struct multicast_group **, size_t *),
                       struct multicast_group **ret, size_t *ret_n)
{
    _cleanup_bytes_ struct bytes text = {0};

    if (read_file(file->holder->proc_fd, path, TABLE_LIMIT, &text) < 0)
        return 0; /* a kernel without multicast, or without IPv6 */
    return parse((const char *)text.data, ret, ret_n);
}

int inet_groups_dump(const struct open_file *file, Crs__InetSocket *record, struct crs_error *err)
{
    _cleanup_free_ struct multicast_group *groups = NULL;
    size_t n = 0;
    int r = read_groups(file, "net/igmp", proc_igmp_parse, &groups, &n);

    if (r == 0 && record->family == AF_INET6)
        r = read_groups(file, "net/igmp6", proc_igmp6_parse, &groups, &n);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = ask(file->dup_fd, &groups[i], record);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "fd %d (%s): can't read its multicast groups: %s",
                        file->fd, file->link, strerror(-r));
    return 0;
}

/* ---- restart ---- */

static int set_sources(int fd, int level, const Crs__InetMembership *m, uint32_t interface,
                       const struct sockaddr_storage *group)
{
    _cleanup_free_ struct group_filter *filter = make_filter(interface, group, m->n_sources);

    if (!filter)
        return -ENOMEM;
    filter->gf_fmode = m->exclude ? MCAST_EXCLUDE : MCAST_INCLUDE;
    for (size_t i = 0; i < m->n_sources; i++) {
        if (m->sources[i].len != (level == IPPROTO_IP ? 4 : 16))
            return -EINVAL;
        set_address(&filter->gf_slist[i], m->sources[i].data, m->sources[i].len);
    }
    return setsockopt(fd, level, MCAST_MSFILTER, filter, GROUP_FILTER_SIZE(m->n_sources)) < 0
               ? -errno
               : 0;
}

static int join(int fd, const Crs__InetMembership *m, struct crs_error *err)
{
    struct group_req request = {.gr_interface = if_nametoindex(m->interface)};
    struct inet_address group;
    int r = 0;

    if (!m->group || request.gr_interface == 0)
        return crs_fail(err, CRS_CANT_RESTART, ENODEV,
                        "the program is a member of a multicast group on the network interface %s, "
                        "which isn't here",
                        m->interface);
    r = inet_address_load(m->group, &group, err);
    if (r < 0)
        return r;
    memcpy(&request.gr_group, &group.v6, group.size);
    int level = group.any.sa_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    if (setsockopt(fd, level, MCAST_JOIN_GROUP, &request, sizeof(request)) < 0)
        r = -errno;
    if (r == 0 && (!m->exclude || m->n_sources > 0))
        r = set_sources(fd, level, m, request.gr_interface, &request.gr_group);
    if (r < 0)
        return crs_fail(err, CRS_CANT_RESTART, -r, "can't join a multicast group on %s: %s",
                        m->interface, strerror(-r));
    return 0;
}

int inet_groups_restore(const Crs__InetSocket *record, int fd, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < record->n_memberships; i++)
        r = join(fd, record->memberships[i], err);
    return r;
}
