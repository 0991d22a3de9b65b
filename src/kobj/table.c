/* table.c - the kinds of descriptors */
#include <string.h>

#include "kobj/file.h"
#include "kobj/unsupported.h"

const struct kobj_file_kind *const kobj_file_kinds[] = {
    /* before what they look like */
    &kobj_process_file,
    &kobj_path,
    &kobj_mqueue,
    &unsupported_secret.kind,

    &kobj_memfd,
    &kobj_regular,
    &kobj_directory,
    &kobj_pipe,
    &kobj_fifo,
    &kobj_device,
    &kobj_pty_master,
    &kobj_terminal,
    &kobj_eventfd,
    &kobj_timerfd,
    &kobj_signalfd,
    &kobj_epoll,
    &kobj_inotify,
    &kobj_fanotify,
    &kobj_pidfd,
    &kobj_io_uring,

    &kobj_unix_socket,
    &kobj_tcp_socket,
    &kobj_udp_socket,
    &kobj_raw_socket,
    &unsupported_inet.kind,
    &kobj_netlink_socket,
    &unsupported_netlink.kind,
    &kobj_packet_socket,
    &unsupported_vsock.kind,
    &unsupported_alg.kind,
    &unsupported_socket.kind,
    &unsupported_userfaultfd.kind,
    &unsupported_perf.kind,
    &unsupported_bpf.kind,
    &unsupported_seccomp.kind,
    &unsupported_landlock.kind,
    &unsupported_namespace.kind,
    &unsupported_block.kind,
    &unsupported_character.kind,
    &unsupported_other.kind, /* matches everything */
    NULL,
};

const struct kobj_file_kind *kobj_find_file_kind(const char *name)
{
    for (const struct kobj_file_kind *const *kind = kobj_file_kinds; *kind; kind++)
        if (strcmp((*kind)->name, name) == 0)
            return *kind;
    return NULL;
}
