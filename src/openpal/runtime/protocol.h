/*
 * protocol.h - what opal-checkpoint and a process say to each other
 *
 * The tool connects to the process's socket (place.h) and sends one request. The process answers
 * there: refused; or accepted, perhaps delayed (with the reason, whenever that changes), and at
 * last that it saves now. Then it closes the connection and its socket, because nothing of the
 * conversation shall be in an image. Afterwards it connects to the tool's own socket, whose path
 * the request names, and says how it went. A connection that ends before "saves now" without a
 * refusal means: ask again; the process is in another checkpoint, or ends.
 *
 * If the tool closes the connection before "saves now", the request is cancelled, unless it had
 * PROTOCOL_NOWAIT. Each side checks who the other is (SO_PEERCRED). One message is one packet.
 */
#ifndef OPENPAL_RUNTIME_PROTOCOL_H
#define OPENPAL_RUNTIME_PROTOCOL_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROTOCOL_MAGIC   0x6c61704fu
#define PROTOCOL_VERSION 1

#define PROTOCOL_TERM   1u
#define PROTOCOL_STOP   2u
#define PROTOCOL_NOWAIT 4u /* nobody waits for the result */

#define PROTOCOL_NAME  256
#define PROTOCOL_REPLY 108

struct protocol_request {
    uint32_t magic, version, flags;
    uint32_t patience_ms;       /* how long it may be delayed; 0: without limit */
    char name[PROTOCOL_NAME];   /* "": the default */
    char where[PATH_MAX];       /* absolute; "": the default */
    char reply[PROTOCOL_REPLY]; /* the tool's socket; "": nobody listens */
};

enum protocol_event {
    PROTOCOL_REFUSED = 1, /* `kind`, `words`: nothing was done */
    PROTOCOL_ACCEPTED,    /* `handle`: it will be there */
    PROTOCOL_DELAYED,     /* `words`: why */
    PROTOCOL_SAVING,      /* the levels are prepared; from now on it can't be cancelled */
    PROTOCOL_ESTABLISHED, /* `handle`: the snapshot is complete */
    PROTOCOL_RECOVERED,   /* the program goes on */
    PROTOCOL_STOPPED,     /* it is stopped now */
    PROTOCOL_TERMINATED,  /* it ends now */
    PROTOCOL_FAILED,      /* `kind`, `words`: no snapshot; the program goes on */
    PROTOCOL_UNRECOVERED, /* `words`: the snapshot is complete, but a level failed to recover */
};

struct protocol_answer {
    uint32_t magic, version, event;
    uint32_t kind; /* enum crs_kind */
    char handle[PATH_MAX];
    char words[1024];
};

/* 0 or -errno; never SIGPIPE, never waits longer than the other end's buffer allows. */
int protocol_send(int fd, const void *message, size_t size);

/* One whole message of that size: 0; -EPIPE at the end of the connection; -EPROTO when it is
 * something else; -errno. Strings in it end. */
int protocol_receive_request(int fd, struct protocol_request *ret);
int protocol_receive_answer(int fd, struct protocol_answer *ret);

/* Who is at the other end. */
int protocol_peer(int fd, pid_t *ret_pid, uid_t *ret_uid);

/* A connection to the socket with that path; -errno. */
int protocol_connect(const char *path, int *ret_fd);

#endif
