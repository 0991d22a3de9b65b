/*
 * inet_diag.h - what the kernel tells of the sockets of a network namespace (sock_diag)
 */
#ifndef KOBJ_INET_DIAG_H
#define KOBJ_INET_DIAG_H

#include "kobj/inet.h"

struct inet_diag {
    int state;           /* enum tcp_kernel_state */
    uint32_t inode;      /* 0: no descriptor leads to it: closed, or not accepted yet */
    uint32_t to_read;    /* bytes in its queues; the end of data counts as one */
    uint32_t to_be_sent; /* or acknowledged */
};

/* The program has a network of its own: questions that this thread asks from now on are about that
 * one. Once for a checkpoint. */
int inet_diag_ask_inside(struct kobj_dump *ctx, struct crs_error *err);

/* A socket in the network that questions are about, for one question. -1 and errno. */
int inet_diag_open(void);
/* That is not the network of this process. */
bool inet_diag_is_inside(void);

/* The TCP socket with these addresses. -ENOENT: there is none. */
int inet_diag_find(const struct inet_address *local, const struct inet_address *peer,
                   struct inet_diag *ret);

/* Where the socket with this inode is connecting to. -ENOENT: it isn't. */
int inet_diag_connecting(int family, uint32_t inode, struct inet_address *ret_peer);

#endif
