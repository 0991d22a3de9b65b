/* unix_options.c - options of unix sockets, by a table */
#include <endian.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "kobj/unix_socket.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

#define LOCKS_SEND    1 /* of SO_BUF_LOCK */
#define LOCKS_RECEIVE 2
#define VALUE_MAX     16 /* a struct timeval, a struct linger */

/*
 * What a new socket has as well isn't recorded. In the order of setting: the peek offset is last
 * but one, because what is peeked before would move it. A filter can be read, but only one of the
 * old kind, and it would drop what is put back into the queue: these are refused.
 */
static const struct option {
    int name;
    const char *words;
    int lock;    /* of SO_BUF_LOCK: tells whether the program has set it */
    int doubled; /* the kernel doubles what is set */
} options[] = {
    {SO_DEBUG, "SO_DEBUG", 0, 0},
    {SO_REUSEADDR, "SO_REUSEADDR", 0, 0},
    {SO_BROADCAST, "SO_BROADCAST", 0, 0},
    {SO_KEEPALIVE, "SO_KEEPALIVE", 0, 0},
    {SO_OOBINLINE, "SO_OOBINLINE", 0, 0},
    {SO_NO_CHECK, "SO_NO_CHECK", 0, 0},
    {SO_PRIORITY, "SO_PRIORITY", 0, 0},
    {SO_LINGER, "SO_LINGER", 0, 0},
    {SO_REUSEPORT, "SO_REUSEPORT", 0, 0},
    {SO_RCVLOWAT, "SO_RCVLOWAT", 0, 0},
    {SO_RCVTIMEO, "SO_RCVTIMEO", 0, 0},
    {SO_SNDTIMEO, "SO_SNDTIMEO", 0, 0},
    {SO_MARK, "SO_MARK", 0, 0},
    {SO_RXQ_OVFL, "SO_RXQ_OVFL", 0, 0},
    {SO_PASSCRED, "SO_PASSCRED", 0, 0},
    {SO_PASSPIDFD, "SO_PASSPIDFD", 0, 0},
    {SO_PASSSEC, "SO_PASSSEC", 0, 0},
    {SO_PASSRIGHTS, "SO_PASSRIGHTS", 0, 0},
    {SO_SNDBUF, "SO_SNDBUF", LOCKS_SEND, 1},
    {SO_RCVBUF, "SO_RCVBUF", LOCKS_RECEIVE, 1},
    {SO_BUF_LOCK, "SO_BUF_LOCK", 0, 0},
    {SO_PEEK_OFF, "SO_PEEK_OFF", 0, 0},
    {SO_LOCK_FILTER, "SO_LOCK_FILTER", 0, 0},
};

static int get(int fd, int name, uint8_t *value, socklen_t *size)
{
    *size = VALUE_MAX;
    return getsockopt(fd, SOL_SOCKET, name, value, size);
}

static int refuse_filter(const struct open_file *file, struct crs_error *err)
{
    socklen_t n = 0;

    /* The count of its instructions; EACCES: it is a BPF program that can't be read. */
    if (getsockopt(file->dup_fd, SOL_SOCKET, SO_GET_FILTER, NULL, &n) == 0 ? n == 0
                                                                           : errno != EACCES)
        return 0;
    return file_refuse(file, err, "a BPF filter is attached to it, which can't be saved",
                       "detach it (SO_DETACH_FILTER) before the checkpoint");
}

static int add(Crs__UnixSocket *m, int name, const uint8_t *value, size_t size)
{
    Crs__UnixOption *o = malloc(sizeof(*o));

    if (!o)
        return -ENOMEM;
    crs__unix_option__init(o);
    m->options[m->n_options++] = o;
    o->name = name;
    o->value.data = malloc(size);
    if (!o->value.data)
        return -ENOMEM;
    memcpy(o->value.data, value, size);
    o->value.len = size;
    return 0;
}

/* A size that the program didn't set is the machine's. Before Linux 5.14 it can't be told. */
static bool is_the_programs(int fd, const struct option *option)
{
    int lock = 0;
    socklen_t size = sizeof(lock);

    return !option->lock || getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &lock, &size) < 0 ||
           (lock & option->lock);
}

int unix_options_dump(const struct open_file *file, Crs__UnixSocket *m, struct crs_error *err)
{
    _cleanup_close_ int plain = socket(AF_UNIX, m->type | SOCK_CLOEXEC, 0);
    uint8_t value[VALUE_MAX], usual[VALUE_MAX];
    socklen_t size, usual_size;
    int r = refuse_filter(file, err);

    if (r < 0)
        return r;
    m->options = calloc(ELEMENTS(options), sizeof(*m->options));
    if (plain < 0 || !m->options)
        return crs_fail_errno(err, CRS_FAILED, "can't make a socket");
    for (size_t i = 0; r == 0 && i < ELEMENTS(options); i++) {
        /* An older kernel hasn't all of them. */
        if (get(file->dup_fd, options[i].name, value, &size) < 0 ||
            get(plain, options[i].name, usual, &usual_size) < 0 ||
            (size == usual_size && memcmp(value, usual, size) == 0) ||
            !is_the_programs(file->dup_fd, &options[i]))
            continue;
        r = add(m, options[i].name, value, size);
    }
    return r < 0 ? crs_fail(err, CRS_FAILED, ENOMEM, "out of memory") : 0;
}

/* ---- restart ---- */

static const Crs__UnixOption *find(const Crs__UnixSocket *m, int name)
{
    for (size_t i = 0; i < m->n_options; i++)
        if (m->options[i]->name == (uint32_t)name)
            return m->options[i];
    return NULL;
}

static int as_int(const Crs__UnixOption *o)
{
    uint32_t value = 0;

    if (o && o->value.len == sizeof(value))
        memcpy(&value, o->value.data, sizeof(value));
    return (int)le32toh(value);
}

static int set_size(int fd, const struct option *option, const Crs__UnixOption *o)
{
    int wanted = as_int(o) / 2, now = 0;
    int forced = option->name == SO_SNDBUF ? SO_SNDBUFFORCE : SO_RCVBUFFORCE;
    socklen_t size = sizeof(now);

    if (setsockopt(fd, SOL_SOCKET, option->name, &wanted, sizeof(wanted)) < 0)
        return -1;
    if (getsockopt(fd, SOL_SOCKET, option->name, &now, &size) == 0 && now / 2 < wanted)
        setsockopt(fd, SOL_SOCKET, forced, &wanted, sizeof(wanted)); /* with CAP_NET_ADMIN */
    return 0;
}

static int set(int fd, const struct option *option, const Crs__UnixOption *o)
{
    uint8_t value[VALUE_MAX];

    if (o->value.len > sizeof(value)) {
        errno = EINVAL;
        return -1;
    }
    if (option->doubled)
        return set_size(fd, option, o);
    memcpy(value, o->value.data, o->value.len);
    return setsockopt(fd, SOL_SOCKET, option->name, value, o->value.len);
}

int unix_options_restore(int fd, const Crs__UnixSocket *m, const char *name, struct crs_error *err)
{
    for (size_t i = 0; i < ELEMENTS(options); i++) {
        const Crs__UnixOption *o = find(m, options[i].name);
        if (o && set(fd, &options[i], o) < 0)
            return crs_fail_errno(err, CRS_CANT_RESTART, "can't set the option %s of %s",
                                  options[i].words, name);
    }
    return 0;
}
