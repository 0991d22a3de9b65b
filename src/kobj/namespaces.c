/*
 * namespaces.c - the namespaces that a process lives in: those of the whole tree, and the tool's
 *
 * Files, addresses and PIDs of all members mean what they mean to the root. A member that has
 * parted from it (a container, a sandbox, unshare) would come back in the root's namespaces; and a
 * root that has parted from the tool in those of the restarter. What a restart makes for a program
 * it makes again: there the program is in the namespaces of the supervisor that is their PID 1.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "kobj/attributes.h"
#include "proc/status.h"

#define STATUS_LIMIT (1 << 20)

static const struct {
    const char *file, *name;
    bool made;   /* a restart makes one where it needs to */
    bool anyhow; /* it may be another one than the tool's: its numbers are told, its clocks saved */
} kinds[] = {
    {"pid", "PID", true, true},         {"time", "time", true, true},
    {"mnt", "mount", true, false},      {"net", "network", true, false},
    {"ipc", "IPC", true, false},        {"uts", "UTS", false, false},
    {"cgroup", "cgroup", false, false}, {"user", "user", true, false},
};

/* A kernel without that namespace has no such file. */
static bool is_same(int proc_fd, int other_proc_fd, const char *file)
{
    struct stat own, other;
    char path[40];

    snprintf(path, sizeof(path), "ns/%s", file);
    return fstatat(proc_fd, path, &own, 0) < 0 || fstatat(other_proc_fd, path, &other, 0) < 0 ||
           own.st_ino == other.st_ino;
}

/* ---- the root of the tree ---- */

/* /proc/PID of the nearest process above it that is PID 1 of a namespace; -1: none can be seen. */
static int open_first_of_namespace(pid_t pid)
{
    char path[40];

    while (pid > 0) {
        _cleanup_proc_status_ struct proc_status status = {0};
        _cleanup_bytes_ struct bytes text = {0};
        snprintf(path, sizeof(path), "/proc/%d", pid);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || read_file(fd, "status", STATUS_LIMIT, &text) < 0 ||
            proc_status_parse((const char *)text.data, &status) < 0)
            return -1;
        if (status.inner_tgid == 1)
            return TAKE_FD(fd);
        pid = status.parent;
    }
    return -1;
}

/* The supervisor that a restart has put above the program. */
static int open_supervisor(pid_t pid)
{
    _cleanup_close_ int fd = open_first_of_namespace(pid);
    _cleanup_bytes_ struct bytes comm = {0};

    if (fd < 0 || read_file(fd, "comm", STATUS_LIMIT, &comm) < 0 ||
        strcmp((const char *)comm.data, SUPERVISOR_NAME "\n") != 0)
        return -1;
    return TAKE_FD(fd);
}

static int check_root(const struct tracee *root, struct crs_error *err)
{
    _cleanup_close_ int tool = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int supervisor = open_supervisor(root->pid);

    if (tool < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't open /proc/self");
    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        if (kinds[i].anyhow || is_same(root->proc_fd, tool, kinds[i].file))
            continue;
        if (kinds[i].made && supervisor >= 0 && is_same(root->proc_fd, supervisor, kinds[i].file))
            continue;
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "process %d is in another %s namespace than this tool (a container, a "
                        "sandbox, unshare), and would come back outside of it: run the tool "
                        "inside, for instance by nsenter --target %d",
                        root->pid, kinds[i].name, root->pid);
    }
    return 0;
}

/* ---- members ---- */

static int dump_namespaces(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    const struct tracee *root = ctx->members.items[0].t;

    if (ctx->t == root)
        return check_root(root, err);
    for (size_t i = 0; i < ELEMENTS(kinds); i++)
        if (!is_same(ctx->t->proc_fd, root->proc_fd, kinds[i].file))
            return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                            "process %d is in another %s namespace than process %d: that can't be "
                            "saved with it; save it alone (--only) from inside of its namespaces, "
                            "or without it",
                            ctx->t->pid, kinds[i].name, root->pid);
    return 0;
}

const struct kobj_process_kind kobj_namespaces = {
    .name = "namespaces",
    .title = "namespaces",
    .saved = "with conditions",
    .conditions =
        "a process in other namespaces than the root of its tree is refused; so is a root in "
        "others than the tool's, but for PID and time namespaces and those that a restart "
        "has made",
    .dump = dump_namespaces,
};
