/*
 * net_unix.h - /proc/net/unix as structs
 */
#ifndef PROC_NET_UNIX_H
#define PROC_NET_UNIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net_unix_socket {
    uint64_t inode; /* 0: a connection that nobody has accepted yet */
    unsigned type;  /* SOCK_STREAM, ... */
    bool listening;
    bool connected;
    char *name; /* "/path", "@abstract" with an '@' for each zero byte; NULL: none */
};

/* *ret is freed by net_unix_free(). -EINVAL, -ENOMEM. */
int net_unix_parse(const char *text, struct net_unix_socket **ret, size_t *ret_n);
void net_unix_free(struct net_unix_socket *sockets, size_t n);

#endif
