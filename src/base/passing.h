/*
 * passing.h - a record from one process to another, and a descriptor with it
 *
 * Over a pair of sockets of type SOCK_SEQPACKET: a record comes whole or not at all.
 */
#ifndef BASE_PASSING_H
#define BASE_PASSING_H

#include <stddef.h>

/* fd -1: none goes with it. 0, -errno. */
int pass_record(int socket, const void *data, size_t size, int fd);

/* One of exactly that size; flags as of recv(2). *ret_fd, close-on-exec, is set only if a
 * descriptor came with it; NULL: none is expected. 0; -EPIPE: the other end is gone; -errno. */
int take_record(int socket, void *data, size_t size, int flags, int *ret_fd);

#endif
