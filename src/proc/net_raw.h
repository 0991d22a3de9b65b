/*
 * net_raw.h - /proc/net/raw, raw6, icmp and icmp6: the peer of a socket
 *
 * Sockets without ports don't tell it by getpeername(2) where the program gave none.
 */
#ifndef PROC_NET_RAW_H
#define PROC_NET_RAW_H

#include <stdint.h>
#include <sys/types.h>

/* The peer of the socket with that inode: bytes in network order, as many as the address has (4 or
 * 16). -ENOENT: it isn't listed, or has none; -EINVAL: the text isn't of these files. */
int net_raw_find_peer(const char *text, ino_t inode, uint8_t ret_address[16], size_t *ret_size);

#endif
