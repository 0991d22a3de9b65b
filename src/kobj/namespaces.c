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
#include <unistd.h>

#include "base/cleanup.h"
#include "kobj/attributes.h"
#include "kobj/supervisor_mark.h"

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

/* The link's words name the namespace, "net:[4026531840]"; to read them is cheaper than to follow
 * it, for which the kernel makes an inode. A kernel without that namespace has no such file. */
static bool is_same(int proc_fd, int other_proc_fd, const char *file)
{
    char path[40], own[64], other[64];
    ssize_t n, n_other;

    snprintf(path, sizeof(path), "ns/%s", file);
    n = readlinkat(proc_fd, path, own, sizeof(own));
    n_other = readlinkat(other_proc_fd, path, other, sizeof(other));
    return n < 0 || n_other < 0 || (n == n_other && memcmp(own, other, n) == 0);
}

/* ---- the root of the tree ---- */

/* Is it in that namespace of the supervisor, which a restart or --isolate has put above it? */
static bool is_supervised(const struct tracee *root, struct supervisor_found *above,
                          const char *file)
{
    if (above->proc_fd < 0 && supervisor_above(root->pid, above) < 0)
        return false;
    return is_same(root->proc_fd, above->proc_fd, file);
}

int kobj_check_namespaces(const struct tracee *root, struct crs_error *err)
{
    _cleanup_close_ int tool = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct supervisor_found above = {.proc_fd = -1};
    size_t i;

    if (tool < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't open /proc/self");
    for (i = 0; i < ELEMENTS(kinds); i++)
        if (!kinds[i].anyhow && !is_same(root->proc_fd, tool, kinds[i].file) &&
            !(kinds[i].made && is_supervised(root, &above, kinds[i].file)))
            break;
    cleanup_close(&above.proc_fd);
    if (i == ELEMENTS(kinds))
        return 0;
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                    "process %d is in another %s namespace than this tool (a container, a "
                    "sandbox, unshare), and would come back outside of it: run the tool "
                    "inside, for instance by nsenter --target %d",
                    root->pid, kinds[i].name, root->pid);
}

/* ---- members ---- */

static int dump_namespaces(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    const struct tracee *root = ctx->members.items[0].t;

    for (size_t i = 0; i < ELEMENTS(kinds); i++)
        if (!is_same(ctx->t->proc_fd, root->proc_fd, kinds[i].file))
            return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                            "it is in another %s namespace than process %d: that can't be saved "
                            "with it; save it alone (--only) from inside of its namespaces, or "
                            "without it",
                            kinds[i].name, root->pid);
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
