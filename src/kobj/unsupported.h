/*
 * unsupported.h - kinds of descriptors that can't be saved yet: each a row with its words
 *
 * A kind that learns to be saved gets a file of its own and leaves this list.
 */
#ifndef KOBJ_UNSUPPORTED_H
#define KOBJ_UNSUPPORTED_H

#include "kobj/kobj.h"

struct unsupported {
    struct kobj_file_kind kind;
    const char *reason, *remedy;
};

extern const struct unsupported unsupported_secret, unsupported_inet, unsupported_netlink,
    unsupported_vsock, unsupported_alg, unsupported_socket, unsupported_userfaultfd,
    unsupported_perf, unsupported_bpf, unsupported_seccomp, unsupported_landlock,
    unsupported_namespace, unsupported_block, unsupported_character, unsupported_other;

#endif
