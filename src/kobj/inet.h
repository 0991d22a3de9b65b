/*
 * inet.h - what sockets of the internet families share: addresses, options, making them
 */
#ifndef KOBJ_INET_H
#define KOBJ_INET_H

#include <netinet/in.h>
#include "inet.pb-c.h"
#include "kobj/file.h"

/* ---- addresses (inet_address.c) ---- */

struct inet_address {
    union {
        struct sockaddr_in6 v6; /* the largest */
        struct sockaddr_in v4;
        struct sockaddr any;
    };
    socklen_t size;
};

/* IPv4 addresses and those mapped into IPv6 are the same here. */
struct inet_key {
    uint8_t address[16];
    uint16_t port; /* network order */
};

#define INET_TEXT_SIZE 80

/* "127.0.0.1:80", "[fe80::1%eth0]:80" */
const char *inet_format(const struct inet_address *address, char text[INET_TEXT_SIZE]);

/* 0; -ENOTCONN where there is none. */
int inet_get_local(int fd, struct inet_address *ret);
int inet_get_peer(int fd, struct inet_address *ret);
uint16_t inet_port(const struct inet_address *address); /* host order */
void inet_set_port(struct inet_address *address, uint16_t port);
bool inet_is_wildcard(const struct inet_address *address);
bool inet_is_mapped(const struct inet_address *address); /* IPv4 in IPv6 */
/* The same as an IPv4 address, where it is one in IPv6. */
struct inet_address inet_unmapped(const struct inet_address *address);
/* The same address for a socket of that family: IPv4 in IPv6, or out of it. */
struct inet_address inet_for_family(const struct inet_address *address, int family);
/* Any address of that family, with that port. */
struct inet_address inet_wildcard(int family, uint16_t port);
/* Is it an address of this machine (of this network namespace)? */
bool inet_is_here(const struct inet_address *address);
struct inet_key inet_make_key(const struct inet_address *address);

/* To and from a record; the record is new. -ENOMEM. */
int inet_address_save(const struct inet_address *address, Crs__InetAddress **ret);
/* Checked; CRS_DAMAGED, CRS_CANT_RESTART for an interface that isn't here. */
int inet_address_load(const Crs__InetAddress *record, struct inet_address *ret,
                      struct crs_error *err);

/* The record in words. */
void inet_describe(const Crs__InetAddress *record, char text[INET_TEXT_SIZE]);

/* ---- options (inet_options.c) ---- */

/* What an option is for, and when it is set. */
enum inet_phase {
    INET_BEFORE_BIND, /* those that bind(2) needs or that can't be changed after it */
    INET_AT_END,      /* all others, when the socket is connected and holds its data */
};

/* The options of `file` that a new socket doesn't have. `connected`: leave out those that a
 * connection sets by itself. */
int inet_options_dump(const struct open_file *file, Crs__InetSocket *record, bool connected,
                      struct crs_error *err);
int inet_options_check(const Crs__InetSocket *record, struct crs_error *err);
/* What can't be set but is a matter of speed only is told as a warning. */
int inet_options_restore(struct kobj_restore *ctx, const Crs__InetSocket *record, int fd,
                         enum inet_phase phase, struct crs_error *err);
/* The saved value of a number; fallback: it wasn't saved. */
int inet_option_value(const Crs__InetSocket *record, int level, int name, int fallback);

/* ---- classic BPF filters (inet_filter.c) ---- */

int inet_filter_dump(const struct open_file *file, Crs__InetSocket *record, struct crs_error *err);
int inet_filter_restore(const Crs__InetSocket *record, int fd, struct crs_error *err);

/* ---- multicast groups (inet_groups.c) ---- */

int inet_groups_dump(const struct open_file *file, Crs__InetSocket *record, struct crs_error *err);
int inet_groups_restore(const Crs__InetSocket *record, int fd, struct crs_error *err);

/* ---- sockets (inet_socket.c) ---- */

/* SO_DOMAIN, SO_TYPE or SO_PROTOCOL; -1: it is no socket. */
int inet_question(const struct open_file *file, int name);
bool inet_is(const struct open_file *file, int type, int protocol);

/* Refused: a socket of another network namespace. */
int inet_check_namespace(const struct open_file *file, struct crs_error *err);
/* Addresses, options, filter and groups. */
int inet_dump(const struct open_file *file, bool connected, Crs__InetSocket **ret,
              struct crs_error *err);
/* Everything that can be known before it is made. */
int inet_check(const Crs__InetSocket *record, struct crs_error *err);

/* A new socket with the options that come before bind(2); close-on-exec, not blocking. */
int inet_make(struct kobj_restore *ctx, const Crs__InetSocket *record, int type, int *ret_fd,
              struct crs_error *err);
/* bind(2), with the reason of a failure in words: 75 where the address is in use. */
int inet_bind(int fd, const struct inet_address *address, struct crs_error *err);
/* Could `address` be bound here, by a socket that shares it as far as `record` says? */
int inet_check_bind(const Crs__InetSocket *record, int type, const struct inet_address *address,
                    struct crs_error *err);
int inet_set_flag(int fd, int level, int name, int value); /* 0, -errno */

#endif
