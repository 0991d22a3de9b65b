/*
 * tcp.h - TCP sockets: what their files share
 */
#ifndef KOBJ_TCP_H
#define KOBJ_TCP_H

#include "kobj/inet.h"
#include "kobj/inet_diag.h"
#include "kobj/watcher.h"
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

/* Where the other end of a connection is. */
enum tcp_where {
    TCP_INSIDE,  /* a file of the snapshot */
    TCP_CLOSED,  /* nobody holds it any more */
    TCP_WAITING, /* not accepted yet, in the queue of a listening file of the snapshot */
    TCP_OUTSIDE,
};

/* One end of a connection, a file of the snapshot. */
struct tcp_end {
    size_t file; /* positions in ctx->files: it, */
    struct inet_key local, peer;
    enum tcp_where where;
    bool arrived;      /* all that the other end has sent */
    size_t other;      /* and the other end, or the listening socket */
    uint32_t unread;   /* of a waiting one: bytes that can't be read before it is accepted */
    uint64_t since_ms; /* of a waiting one: when it was connected, as of now_us() */
};

/* All of them, and what is on the way between two of them has arrived. Kept by ctx. */
int tcp_survey(struct kobj_dump *ctx, struct crs_error *err);
/* `file`, whose other end is outside, takes no more data until the program has been ended. */
int tcp_survey_silence(struct kobj_dump *ctx, const struct open_file *file, struct crs_error *err);
/* The end that `file` is; NULL: it isn't connected. */
const struct tcp_end *tcp_find_end(const struct kobj_dump *ctx, const struct open_file *file);
/* Does a file of the snapshot listen at that address? */
bool tcp_is_served(const struct kobj_dump *ctx, const struct inet_key *address);
/* How many connections that aren't from inside wait in the queue of the listening `file`, or of
 * others that listen at the same address. */
size_t tcp_count_strangers(const struct kobj_dump *ctx, const struct open_file *file);

int tcp_get_state(int fd); /* enum tcp_kernel_state, -errno */

/* ---- dump (tcp_dump.c) ---- */

int tcp_dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
             struct crs_error *err);

/* ---- data on its way (tcp_queue.c) ---- */

int tcp_count(int fd, unsigned long request);  /* SIOCINQ, SIOCOUTQ, SIOCOUTQNSD; -errno */
int tcp_get_flag(int fd, int level, int name); /* -errno */

/* What `sender` has sent is acknowledged, as far as the receiver has room for it. */
void tcp_settle(int sender, int receiver);
/* All that it has written, and the end, for one that can't write any more. false: some of it is
 * still with the sender. */
bool tcp_settle_whole(int sender, int receiver);
/* The same where nobody holds the sender any more. */
bool tcp_settle_closed(int receiver);
/* Do something for it; it doesn't wait. */
void tcp_hurry(int sender, int receiver);
/* How long the queue of a socket may become. */
struct tcp_room {
    int fd, size, low_water, lock;
    int wanted; /* more, at the moment; 0: no */
};
struct tcp_room tcp_room_of(int receiver);
/* Let it become that long, as far as that is allowed; until tcp_put_size_back(). */
void tcp_enlarge(struct tcp_room *room, size_t bytes);
void tcp_put_size_back(struct tcp_room *room);
/* By how much to enlarge it when so much is left that doesn't fit. */
size_t tcp_step(size_t left);

/* Write data into `sender`, until it is with `receiver`, or as far as it goes. */
int tcp_fill(int sender, int receiver, const void *data, size_t size, struct crs_error *err);

/* The same with saved content; receiver -1: it isn't ours. */
int tcp_fill_content(struct kobj_restore *ctx, const Crs__Content *content, int sender,
                     int receiver, struct crs_error *err);

/* ---- reading it (tcp_stream.c) ---- */

/*
 * What `receiver` has to read, and what `sender` has written to it, into a memory file whose size
 * is the data's. Afterwards it is where it was. sender -1: only what has arrived.
 */
int tcp_read_stream(struct kobj_dump *ctx, int sender, int receiver, int *ret_memory,
                    struct crs_error *err);

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

/* ---- urgent data (tcp_urgent.c) ---- */

/* Is there perhaps some in its queue, or has there been, or does a look at it (MSG_PEEK) not begin
 * at its start? */
bool tcp_has_mark(int fd);
/* Into the record; *ret_memory is the data without it, as of tcp_read_stream(). */
int tcp_urgent_dump(const struct open_file *file, Crs__TcpSocket *m, int *ret_memory,
                    struct crs_error *err);
int tcp_urgent_restore(const Crs__TcpUrgent *m, int sender, int receiver, struct crs_error *err);

/* ---- connections to the outside that go on (tcp_repair.c, tcp_silence.c) ---- */

/* What a program that will be ended may not take any more. */
struct tcp_silence {
    int fd;
    struct watcher watcher;
};

int tcp_silence_begin(const struct open_file *file, struct tcp_silence *ret, struct crs_error *err);
/* The program has been ended, and the connection isn't. */
void tcp_silence_give_up(struct tcp_silence *s);
void tcp_silence_end(struct tcp_silence *s);

int tcp_keep_dump(struct kobj_dump *ctx, struct open_file *file, Crs__TcpSocket *m,
                  struct crs_error *err);
int tcp_keep_check(const Crs__TcpSocket *m, struct crs_error *err);

/* ---- making sockets (tcp_make.c) ---- */

/* A socket of the snapshot that is being made. */
struct tcp_made {
    const Crs__OpenFile *record;
    Crs__TcpSocket *m;
    int fd;    /* ours until it is given out */
    int other; /* the other end, where that is no file of the snapshot */
};

/* What ctx->tcp points to during a restart. */
struct tcp_sockets {
    ARRAY_OF(struct tcp_made) all;
    uint32_t *by_id; /* OpenFile.id: the position in `all`, from 1; 0: no TCP socket */
    size_t n_ids;
    uint64_t deadline_us; /* ports of connections that have just ended are waited for till then */
};

struct tcp_made *tcp_find_made(struct tcp_sockets *s, uint32_t id);
/* New and bound, not listening yet. */
int tcp_make_bound(struct kobj_restore *ctx, struct tcp_made *one, struct crs_error *err);
/* Connected, with one->other or the other file. */
int tcp_make_connected(struct kobj_restore *ctx, struct tcp_sockets *s, struct tcp_made *one,
                       struct crs_error *err);
/* Connected to a socket in one->other, at any address of the loopback interface. */
int tcp_make_anywhere(struct kobj_restore *ctx, struct tcp_made *one, struct crs_error *err);
/* As after a connect(2) that was refused. */
int tcp_make_failed(struct kobj_restore *ctx, struct tcp_made *one, struct crs_error *err);
/* Connected, or on the way, to what listens at its peer's address. */
int tcp_make_connecting(struct kobj_restore *ctx, struct tcp_sockets *s, struct tcp_made *one,
                        struct crs_error *err);

/* Connected as it was, but silent; and then not any more. */
int tcp_keep_make(struct kobj_restore *ctx, struct tcp_made *one, struct crs_error *err);
int tcp_keep_start(struct kobj_restore *ctx, struct tcp_made *one, struct crs_error *err);

/* ---- restart (tcp_restore.c) ---- */

int tcp_restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                struct crs_error *err);

int tcp_unpack(const Crs__OpenFile *record, Crs__TcpSocket **ret, struct crs_error *err);

#endif
