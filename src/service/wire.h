/*
 * wire.h - lines of JSON over a socket, and the socket's address
 */
#ifndef SERVICE_WIRE_H
#define SERVICE_WIRE_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <jansson.h>

#include "base/error.h"

struct wire {
    int fd;
    size_t size, room;
    char *data;    /* what was read and is not a whole line yet */
    bool takes_fd; /* a descriptor may come with a message: */
    int passed_fd; /* the last that came, above 2; 0: none. Closed by wire_clear(). */
};
void wire_clear(struct wire *wire); /* leaves fd open */
#define _cleanup_wire_ __attribute__((cleanup(wire_clear)))

/*
 * The next message. -EAGAIN: there is none yet, poll and call again; -ENODATA: the peer closed;
 * -EPROTO: no JSON object with schema 1, or a line that is too long.
 */
int wire_read(struct wire *wire, json_t **ret);

/* Send a message; steals the reference. `wait`: up to a few seconds for the peer to take it;
 * otherwise it is dropped where it doesn't fit at once. */
int wire_send(int fd, json_t *message, bool wait);

/* The same, with a descriptor that the peer gets a copy of; it waits. */
int wire_send_with_fd(int fd, json_t *message, int passed_fd);

/* The address of a socket `name` in the directory, of any path length (by /proc/self/fd). */
void wire_address(int dirfd, const char *name, struct sockaddr_un *ret);

#endif
