/* unsupported.c - kinds of descriptors that can't be saved yet */
#include <fcntl.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "kobj/file.h"
#include "kobj/unsupported.h"

#define CLOSE_IT "close it before the checkpoint"

static int refuse(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                  struct crs_error *err)
{
    const struct unsupported *row = (const struct unsupported *)file->kind;

    return file_refuse(file, err, row->reason, row->remedy);
}

_Static_assert(offsetof(struct unsupported, kind) == 0, "a row starts with its kind");

#define ROW(id, name_, title_, match_, reason_, remedy_)                                           \
    const struct unsupported unsupported_##id = {                                                  \
        .kind =                                                                                    \
            {.name = name_, .title = title_, .saved = "refused", .match = match_, .dump = refuse}, \
        .reason = reason_,                                                                         \
        .remedy = remedy_,                                                                         \
    }

/* ---- sockets ---- */

static int socket_option(const struct open_file *file, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);

    if (!S_ISSOCK(file->st.st_mode) ||
        getsockopt(file->dup_fd, SOL_SOCKET, name, &value, &size) < 0)
        return -1;
    return value;
}

static bool is_family(const struct open_file *file, int family)
{
    return S_ISSOCK(file->st.st_mode) && socket_option(file, SO_DOMAIN) == family;
}

static bool is_inet(const struct open_file *file)
{
    return is_family(file, AF_INET) || is_family(file, AF_INET6);
}

ROW(inet, "inet-socket", "internet socket of another protocol", is_inet,
    "sockets can't be saved yet", CLOSE_IT);

static bool match_netlink(const struct open_file *file)
{
    return is_family(file, AF_NETLINK);
}
ROW(netlink, "other-netlink-socket", "netlink socket of another protocol", match_netlink,
    "the state behind it can't be read", CLOSE_IT);

static bool match_vsock(const struct open_file *file)
{
    return is_family(file, AF_VSOCK);
}
ROW(vsock, "vsock-socket", "socket between a virtual machine and its host", match_vsock,
    "its other end is on another machine", CLOSE_IT);

static bool match_alg(const struct open_file *file)
{
    return is_family(file, AF_ALG);
}
ROW(alg, "alg-socket", "socket of the kernel's cryptography (AF_ALG)", match_alg,
    "its key can't be read", CLOSE_IT);

static bool match_socket(const struct open_file *file)
{
    return S_ISSOCK(file->st.st_mode);
}
ROW(socket, "socket", "socket of another family", match_socket, "sockets can't be saved yet",
    CLOSE_IT);

/* ---- without a path ---- */

#define ANONYMOUS(id, link)                                                                        \
    static bool match_##id(const struct open_file *file)                                           \
    {                                                                                              \
        return file_is_anonymous(file, link);                                                      \
    }

ANONYMOUS(userfaultfd, "[userfaultfd]")
ROW(userfaultfd, "userfaultfd", "userfaultfd", match_userfaultfd,
    "the page faults that it handles can't be saved", CLOSE_IT);

ANONYMOUS(perf, "[perf_event]")
ROW(perf, "perf-event", "performance counter (perf_event)", match_perf,
    "the counter belongs to this process on this machine", CLOSE_IT);

static bool match_bpf(const struct open_file *file)
{
    return strncmp(file->link, "anon_inode:bpf", 14) == 0 ||
           strncmp(file->link, "anon_inode:[bpf", 15) == 0 || file_is_anonymous(file, "btf");
}
ROW(bpf, "bpf", "BPF object", match_bpf, "it lives in the kernel and can't be saved", CLOSE_IT);

ANONYMOUS(seccomp, "seccomp notify")
ROW(seccomp, "seccomp-notify", "seccomp listener", match_seccomp,
    "the process that it listens to isn't part of the checkpoint", CLOSE_IT);

static bool match_landlock(const struct open_file *file)
{
    return strncmp(file->link, "anon_inode:[landlock", 20) == 0 ||
           strncmp(file->link, "anon_inode:landlock", 19) == 0;
}
ROW(landlock, "landlock", "landlock ruleset", match_landlock, "its rules can't be read", CLOSE_IT);

/* ---- special file systems ---- */

static bool is_on(const struct open_file *file, long magic)
{
    struct statfs fs;

    return fstatfs(file->dup_fd, &fs) == 0 && (long)fs.f_type == magic;
}

static bool match_namespace(const struct open_file *file)
{
    return is_on(file, NSFS_MAGIC);
}
ROW(namespace, "namespace", "namespace", match_namespace,
    "the namespace isn't part of the checkpoint", CLOSE_IT);

static bool match_secret(const struct open_file *file)
{
    return strncmp(file->link, "/secretmem", 10) == 0;
}
ROW(secret, "secret-memory", "secret memory area (memfd_secret)", match_secret,
    "the kernel lets nobody else read it", CLOSE_IT);

/* ---- devices ---- */

static bool match_block(const struct open_file *file)
{
    return S_ISBLK(file->st.st_mode);
}
ROW(block, "block-device", "block device", match_block, "its content isn't part of the checkpoint",
    CLOSE_IT);

static bool match_character(const struct open_file *file)
{
    return S_ISCHR(file->st.st_mode);
}
ROW(character, "other-device", "device", match_character, "the state of the device can't be read",
    CLOSE_IT);

static bool match_everything(const struct open_file *file)
{
    return true;
}
ROW(other, "other", "object of an unknown kind", match_everything, "it isn't known how to save it",
    CLOSE_IT);
