/*
 * igmp.h - /proc/net/igmp and /proc/net/igmp6: the multicast groups of a machine
 *
 * They tell which groups somebody is a member of, not who.
 */
#ifndef PROC_IGMP_H
#define PROC_IGMP_H

#include <stddef.h>
#include <stdint.h>

struct multicast_group {
    uint32_t interface; /* its number */
    uint8_t address[16];
    size_t size; /* of the address: 4 or 16 */
};

/* Groups are added to *ret, which is allocated by malloc(). 0, -EINVAL, -ENOMEM. */
int proc_igmp_parse(const char *text, struct multicast_group **ret, size_t *ret_n);
int proc_igmp6_parse(const char *text, struct multicast_group **ret, size_t *ret_n);

#endif
