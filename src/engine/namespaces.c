/* namespaces.c - the namespaces that a program has for its own */
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "engine/namespaces.h"

#define DEVICES_LIMIT (1u << 20)

static const struct {
    const char *name; /* for people and in the record */
    const char *file; /* below /proc/PID/ns */
    uint64_t flag;
} table[] = {
    {"pid", "pid", CLONE_NEWPID}, {"mount", "mnt", CLONE_NEWNS}, {"ipc", "ipc", CLONE_NEWIPC},
    {"net", "net", CLONE_NEWNET}, {"time", "time", 0}, /* its flag is one for unshare(2) only */
};

uint64_t namespaces_clone_flags(unsigned namespaces)
{
    uint64_t flags = 0;

    for (size_t i = 0; i < ELEMENTS(table); i++)
        if (namespaces >> i & 1)
            flags |= table[i].flag;
    return flags;
}

/* ---- in the new ones ---- */

static int mount_own(struct crs_error *err)
{
    if (mount("none", "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
        return crs_fail_errno(err, CRS_NOT_PERMITTED, "can't have mounts of its own");
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return crs_fail_errno(err, CRS_NOT_PERMITTED,
                              "can't mount a /proc for the new PID namespace");
    return 0;
}

/* Where a system has no such directory, nobody looks there. */
static int mount_queues(struct crs_error *err)
{
    if (mount("mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0 ||
        errno == ENOENT)
        return 0;
    return crs_fail_errno(err, CRS_NOT_PERMITTED,
                          "can't mount a /dev/mqueue for the new IPC namespace");
}

static int start_loopback(struct crs_error *err)
{
    _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        return crs_fail_errno(err, CRS_NOT_PERMITTED,
                              "can't start the loopback device of the new network namespace");
    return 0;
}

int namespaces_set_up(unsigned namespaces, struct crs_error *err)
{
    int r = mount_own(err);

    if (r == 0 && namespaces & NAMESPACE_IPC)
        r = mount_queues(err);
    if (r == 0 && namespaces & NAMESPACE_NET)
        r = start_loopback(err);
    return r;
}

/* ---- of a program ---- */

static bool is_apart(int proc_fd, const char *file)
{
    struct stat own, other;
    char path[40];

    snprintf(path, sizeof(path), "/proc/self/ns/%s", file);
    return stat(path, &own) == 0 &&
           fstatat(proc_fd, path + strlen("/proc/self/"), &other, 0) == 0 &&
           own.st_ino != other.st_ino;
}

/* "  lo: 0 0 ..." below two lines of headings */
static bool has_loopback_only(int proc_fd)
{
    _cleanup_bytes_ struct bytes text = {0};
    char name[IFNAMSIZ + 1];

    if (read_file(proc_fd, "net/dev", DEVICES_LIMIT, &text) < 0)
        return false;
    for (const char *line = (char *)text.data; (line = strchr(line, '\n')); line++)
        if (sscanf(line, " %16[^: |] :", name) == 1 && strchr(line + 1, ':') &&
            strcspn(line + 1, ":") < strcspn(line + 1, "\n") && strcmp(name, "lo") != 0)
            return false;
    return true;
}

unsigned namespaces_apart(int proc_fd)
{
    unsigned found = 0;

    for (size_t i = 0; i < ELEMENTS(table); i++)
        if (is_apart(proc_fd, table[i].file))
            found |= 1u << i;
    if (found & NAMESPACE_NET && !has_loopback_only(proc_fd))
        found &= ~NAMESPACE_NET;
    return found;
}

/* ---- the record ---- */

int namespaces_record(unsigned namespaces, Crs__Tree *tree, struct crs_error *err)
{
    if (!namespaces)
        return 0;
    tree->namespaces = calloc(ELEMENTS(table), sizeof(*tree->namespaces));
    if (!tree->namespaces)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t i = 0; i < ELEMENTS(table); i++) {
        if (!(namespaces >> i & 1))
            continue;
        char *name = strdup(table[i].name);
        if (!name)
            return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
        tree->namespaces[tree->n_namespaces++] = name;
    }
    return 0;
}

int namespaces_recorded(const Crs__Tree *tree, unsigned *ret, struct crs_error *err)
{
    unsigned found = 0;

    for (size_t i = 0; i < tree->n_namespaces; i++) {
        size_t k = 0;
        while (k < ELEMENTS(table) && strcmp(tree->namespaces[i], table[k].name) != 0)
            k++;
        if (k == ELEMENTS(table))
            return crs_fail(err, CRS_CANT_RESTART, ENOTSUP,
                            "the program lived in a namespace of its own of a kind that this "
                            "version doesn't know");
        found |= 1u << k;
    }
    *ret = found;
    return 0;
}
