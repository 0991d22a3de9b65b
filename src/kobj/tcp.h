/*
 * tcp.h - TCP sockets: what their files share
 */
#ifndef KOBJ_TCP_H
#define KOBJ_TCP_H

#include "kobj/inet.h"
#include "tcp_socket.pb-c.h"

/* As the kernel numbers the states of a connection. */
enum tcp_kernel_state {
    TCP_STATE_ESTABLISHED = 1,
    TCP_STATE_SYN_SENT,
    TCP_STATE_SYN_RECEIVED,
    TCP_STATE_FIN_WAIT1,
    TCP_STATE_FIN_WAIT2,
    TCP_STATE_TIME_WAIT,
    TCP_STATE_CLOSE,
    TCP_STATE_CLOSE_WAIT,
    TCP_STATE_LAST_ACK,
    TCP_STATE_LISTEN,
    TCP_STATE_CLOSING,
};

/* ---- the connections of a checkpoint (tcp_ends.c) ---- */

/* A TCP socket of the snapshot. */
struct tcp_end {
    size_t file; /* its position in ctx->files */
    bool connected;
    struct inet_key local, peer; /* of a connected one */
};

/* All of them, and what is on the way between two of them has arrived. Kept by ctx. */
int tcp_survey(struct kobj_dump *ctx, struct crs_error *err);
/* The other end, if that is inside; NULL. */
const struct open_file *tcp_find_other(const struct kobj_dump *ctx, const struct open_file *file);
/* A listening socket inside that takes connections to `address`; NULL. */
const struct open_file *tcp_find_listener(const struct kobj_dump *ctx,
                                          const struct inet_address *address);

int tcp_get_state(int fd); /* enum tcp_kernel_state, -errno */

/* ---- queues (tcp_queue.c) ---- */

/*
 * What `sender` has written is brought into the queue of `receiver`, as far as that may grow, and
 * acknowledged. 0: nothing is left at the sender. -EAGAIN: something is.
 */
int tcp_settle(int sender, int receiver);
/* What `fd` has to read, into a memory file (its size is the data's); it stays where it is. */
int tcp_peek(int fd, int *ret_memory, struct crs_error *err);
/* Write it into `sender`, until it is with `receiver`. */
int tcp_fill(int sender, int receiver, const void *data, size_t size, struct crs_error *err);

/* ---- making connections (tcp_connect.c) ---- */

/* One end of a connection to be made. */
struct tcp_side {
    const Crs__InetSocket *record; /* for its options; NULL: none */
    struct inet_address local;     /* with port 0: any */
};

/*
 * A connection between two new sockets at those addresses: `first` accepts what `second` connects,
 * or, where a port of a connection that has just ended forbids that, the other way round. Until
 * deadline_us such a port is waited for. Both sockets have SO_REUSEADDR.
 */
int tcp_connect_pair(struct kobj_restore *ctx, const struct tcp_side *first,
                     const struct tcp_side *second, uint64_t deadline_us, int *ret_first,
                     int *ret_second, struct crs_error *err);
/* connect(2), begun from the local address. The socket is made from side->record. */
int tcp_connect_from(struct kobj_restore *ctx, const struct tcp_side *side,
                     const struct inet_address *to, uint64_t deadline_us, int *ret_fd,
                     struct crs_error *err);
/* Wait until a connect(2) that was begun is done. */
int tcp_connect_wait(int fd, struct crs_error *err);

/* ---- restart (tcp_restore.c) ---- */

int tcp_restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                struct crs_error *err);

int tcp_unpack(const Crs__OpenFile *record, Crs__TcpSocket **ret, struct crs_error *err);

#endif
