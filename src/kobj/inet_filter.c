/* inet_filter.c - classic BPF filters of sockets (SO_ATTACH_FILTER) */
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>

#include "kobj/inet.h"

static int save_instruction(const struct sock_filter *from, Crs__InetFilter **ret)
{
    Crs__InetFilter *m = malloc(sizeof(*m));

    if (!m)
        return -ENOMEM;
    crs__inet_filter__init(m);
    m->code = from->code;
    m->jump_true = from->jt;
    m->jump_false = from->jf;
    m->k = from->k;
    *ret = m;
    return 0;
}

static int save(const struct sock_filter *program, size_t n, Crs__InetSocket *record)
{
    int r = 0;

    record->filter = calloc(n, sizeof(*record->filter));
    if (!record->filter)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = save_instruction(&program[i], &record->filter[i]);
        record->n_filter += r == 0;
    }
    return r;
}

int inet_filter_dump(const struct open_file *file, Crs__InetSocket *record, struct crs_error *err)
{
    struct sock_filter program[BPF_MAXINSNS];
    socklen_t n = 0;

    /* The size is counted in instructions here. */
    if (getsockopt(file->dup_fd, SOL_SOCKET, SO_GET_FILTER, NULL, &n) < 0) {
        if (errno == EACCES)
            return file_refuse(file, err, "the BPF program attached to it can't be read",
                               "detach it before the checkpoint");
        return file_refuse_errno(file, err, "read its filter");
    }
    if (n == 0)
        return 0;
    n = BPF_MAXINSNS;
    if (getsockopt(file->dup_fd, SOL_SOCKET, SO_GET_FILTER, program, &n) < 0)
        return file_refuse_errno(file, err, "read its filter");
    return save(program, n, record) < 0 ? crs_fail(err, CRS_FAILED, ENOMEM, "out of memory") : 0;
}

int inet_filter_restore(const Crs__InetSocket *record, int fd, struct crs_error *err)
{
    struct sock_filter program[BPF_MAXINSNS];
    struct sock_fprog filter = {.len = record->n_filter, .filter = program};

    if (record->n_filter == 0)
        return 0;
    if (record->n_filter > BPF_MAXINSNS)
        return crs_fail(err, CRS_DAMAGED, EINVAL, "a socket's filter is too long");
    for (size_t i = 0; i < record->n_filter; i++) {
        const Crs__InetFilter *m = record->filter[i];
        program[i] = (struct sock_filter){m->code, m->jump_true, m->jump_false, m->k};
    }
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't attach the filter of a socket");
    return 0;
}
