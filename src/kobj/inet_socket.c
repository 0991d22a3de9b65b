/* inet_socket.c - sockets of the internet families: what to ask them, how to make them */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kobj/inet.h"
#include "kobj/inet_diag.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

int inet_question(const struct open_file *file, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);

    if (!S_ISSOCK(file->st.st_mode) ||
        getsockopt(file->dup_fd, SOL_SOCKET, name, &value, &size) < 0)
        return -1;
    return value;
}

bool inet_is(const struct open_file *file, int type, int protocol)
{
    int family = inet_question(file, SO_DOMAIN);

    return (family == AF_INET || family == AF_INET6) && inet_question(file, SO_TYPE) == type &&
           inet_question(file, SO_PROTOCOL) == protocol;
}

int inet_set_flag(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* ---- dump ---- */

static int cookie(int fd, uint64_t *ret)
{
    socklen_t size = sizeof(*ret);

    return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret, &size) < 0 ? -errno : 0;
}

/* All in one, that of the root: names are looked up there, and a restart makes sockets in one. */
int inet_check_namespace(const struct open_file *file, struct crs_error *err)
{
    _cleanup_close_ int own = inet_diag_open();
    uint64_t here = 0, there = 0;

    if (own < 0 || cookie(own, &here) < 0 || cookie(file->dup_fd, &there) < 0)
        return file_refuse_errno(file, err, "tell its network namespace");
    if (here == there)
        return 0;
    return file_refuse(file, err, "it belongs to another network namespace than the checkpoint's",
                       "take the checkpoint inside that namespace (nsenter --net)");
}

static int save_addresses(const struct open_file *file, Crs__InetSocket *record)
{
    struct inet_address address;
    int r = inet_get_local(file->dup_fd, &address);

    if (r == 0 && (inet_port(&address) != 0 || !inet_is_wildcard(&address)))
        r = inet_address_save(&address, &record->local);
    if (r == 0 && inet_get_peer(file->dup_fd, &address) == 0)
        r = inet_address_save(&address, &record->peer);
    return r;
}

int inet_dump(const struct open_file *file, bool connected, Crs__InetSocket **ret,
              struct crs_error *err)
{
    Crs__InetSocket *record = malloc(sizeof(*record));

    if (!record)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__inet_socket__init(record);
    record->family = inet_question(file, SO_DOMAIN);
    record->protocol = inet_question(file, SO_PROTOCOL);
    int r = 0;
    if (save_addresses(file, record) < 0)
        r = file_refuse_errno(file, err, "read its address");
    if (r == 0)
        r = inet_options_dump(file, record, connected, err);
    if (r == 0)
        r = inet_filter_dump(file, record, err);
    if (r == 0)
        r = inet_groups_dump(file, record, err);
    if (r < 0)
        crs__inet_socket__free_unpacked(record, NULL);
    else
        *ret = record;
    return r;
}

/* ---- restart ---- */

static int check_address(const Crs__InetSocket *record, const Crs__InetAddress *saved,
                         struct crs_error *err)
{
    struct inet_address address;

    if (!saved)
        return 0;
    int r = inet_address_load(saved, &address, err);
    if (r == 0 && saved->family != record->family)
        r = crs_fail(err, CRS_DAMAGED, EINVAL, "a socket's address is of another family");
    return r;
}

int inet_check(const Crs__InetSocket *record, struct crs_error *err)
{
    if (!record || (record->family != AF_INET && record->family != AF_INET6))
        return crs_fail(err, CRS_DAMAGED, EINVAL, "a socket of an unknown family");
    int r = check_address(record, record->local, err);
    if (r == 0)
        r = check_address(record, record->peer, err);
    if (r == 0)
        r = inet_options_check(record, err);
    return r;
}

int inet_make(struct kobj_restore *ctx, const Crs__InetSocket *record, int type, int *ret_fd,
              struct crs_error *err)
{
    _cleanup_close_ int fd =
        socket(record->family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, record->protocol);

    if (fd < 0)
        return crs_fail_errno(err, errno == EPERM ? CRS_NOT_PERMITTED : CRS_CANT_RESTART,
                              "can't make a socket of the program");
    int r = inet_options_restore(ctx, record, fd, INET_BEFORE_BIND, err);
    if (r == 0)
        *ret_fd = TAKE_FD(fd);
    return r;
}

int inet_bind(int fd, const struct inet_address *address, struct crs_error *err)
{
    char text[INET_TEXT_SIZE];

    if (bind(fd, &address->any, address->size) == 0)
        return 0;
    int errnum = errno;
    inet_format(address, text);
    switch (errnum) {
    case EADDRINUSE:
        return crs_fail(err, CRS_BUSY, errnum,
                        "the program's address %s is in use: by another program, or for up to a "
                        "minute by a connection that has just ended",
                        text);
    case EADDRNOTAVAIL:
        return crs_fail(err, CRS_CANT_RESTART, errnum,
                        "the program's address %s isn't one of this machine", text);
    case EACCES:
    case EPERM:
        return crs_fail(err, CRS_NOT_PERMITTED, errnum,
                        "the program's address %s needs CAP_NET_BIND_SERVICE", text);
    }
    return crs_fail(err, CRS_CANT_RESTART, errnum, "can't bind the program's address %s: %s", text,
                    strerror(errnum));
}

int inet_check_bind(const Crs__InetSocket *record, int type, const struct inet_address *address,
                    struct crs_error *err)
{
    struct kobj_restore quiet = {0};
    int fd, r = inet_make(&quiet, record, type, &fd, err);

    if (r < 0)
        return r;
    inet_set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    r = inet_bind(fd, address, err);
    close(fd);
    return r;
}
