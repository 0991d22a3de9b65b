/*
 * unix_queue.h - reading what waits in a unix socket, without taking it
 *
 * A plain MSG_PEEK reads a stream from its start up to the first descriptors in it, and the first
 * record of other sockets; behind that only SO_PEEK_OFF leads (see unix_guard.c).
 */
#ifndef KOBJ_UNIX_QUEUE_H
#define KOBJ_UNIX_QUEUE_H

#include <sys/uio.h>

#include "kobj/unix_socket.h"

struct unix_queue {
    struct kobj_dump *ctx;
    const struct open_file *file;
    Crs__UnixSocket *m;
    size_t room;      /* for m->queue */
    int peek_off;     /* the program's own */
    bool changed;     /* it is another now */
    uint8_t *data;    /* of the last peek */
    size_t data_size; /* allocated */
};

/* What a peek has got besides data. */
struct unix_extra {
    int fds[UNIX_MAX_FDS];
    size_t n_fds;
    bool has_credentials;
    struct ucred credentials;
    struct sockaddr_un sender;
    socklen_t sender_size;
    int flags; /* msg_flags */
};

/* A plain peek serves for the first; later ones need the offset. */
int unix_peek_go_to(struct unix_queue *q, size_t offset, struct crs_error *err);
int unix_peek_set_offset(struct unix_queue *q, size_t offset, struct crs_error *err);
void unix_peek_reset(struct unix_queue *q);
/* Room for that many bytes in q->data; what is in it is lost. */
int unix_peek_reserve(struct unix_queue *q, size_t size, struct crs_error *err);
/* One look: the length of what is there, or -errno without words. */
ssize_t unix_peek(struct unix_queue *q, struct iovec *iov, size_t n_iov, struct unix_extra *ret);
void unix_extra_close(struct unix_extra *extra);
/* Refused where not all descriptors could be received. */
int unix_extra_check(const struct unix_queue *q, const struct unix_extra *extra,
                     struct crs_error *err);

/* Its descriptors are taken out of `extra` (NULL: none of that). */
int unix_queue_add(struct unix_queue *q, const uint8_t *data, size_t size, struct unix_extra *extra,
                   Crs__UnixMessage **ret, struct crs_error *err);

/* `total`: how many bytes wait. */
int unix_queue_read_stream(struct unix_queue *q, size_t total, struct crs_error *err);
int unix_queue_read_records(struct unix_queue *q, size_t total, struct crs_error *err);

#endif
