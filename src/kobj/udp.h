/*
 * udp.h - UDP sockets: what their files share
 */
#ifndef KOBJ_UDP_H
#define KOBJ_UDP_H

#include "kobj/inet.h"
#include "udp_socket.pb-c.h"

/* ---- udp_queue.c ---- */

/* The datagrams that it has to read, into the record; they stay where they are. */
int udp_peek(const struct open_file *file, Crs__UdpSocket *m, struct crs_error *err);

/*
 * Send the datagrams of the record to `fd` again, which has SO_REUSEADDR like all that may have
 * sent one. *ret_lost of them can't come back: their senders' addresses are not of this machine.
 * The socket is connected as it was.
 */
int udp_fill(const Crs__UdpSocket *m, int fd, size_t *ret_lost, struct crs_error *err);

/* ---- udp_restore.c ---- */

int udp_unpack(const Crs__OpenFile *record, Crs__UdpSocket **ret, struct crs_error *err);
int udp_check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err);
int udp_restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                struct crs_error *err);

#endif
