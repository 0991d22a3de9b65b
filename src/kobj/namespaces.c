/*
 * namespaces.c - the namespaces that a process lives in: those of the whole tree
 *
 * Files, addresses and PIDs of all members mean what they mean to the root. A member that has
 * parted from it (a container, a sandbox, unshare) would come back in the root's namespaces.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "kobj/attributes.h"

static const char *const names[] = {"user", "pid", "mnt", "net", "ipc", "uts", "cgroup", "time"};

/* A kernel without that namespace has no such file. */
static bool is_same(const struct tracee *t, const struct tracee *root, const char *name)
{
    struct stat own, roots;
    char path[40];

    snprintf(path, sizeof(path), "ns/%s", name);
    return fstatat(t->proc_fd, path, &own, 0) < 0 || fstatat(root->proc_fd, path, &roots, 0) < 0 ||
           own.st_ino == roots.st_ino;
}

static int dump_namespaces(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    const struct tracee *root = ctx->members.items[0].t;

    for (size_t i = 0; ctx->t != root && i < ELEMENTS(names); i++)
        if (!is_same(ctx->t, root, names[i]))
            return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                            "process %d is in another %s namespace than process %d: that can't be "
                            "saved with it; save it alone (--only) from inside of its namespaces, "
                            "or without it",
                            ctx->t->pid, names[i], root->pid);
    return 0;
}

const struct kobj_process_kind kobj_namespaces = {
    .name = "namespaces",
    .title = "namespaces",
    .saved = "with conditions",
    .conditions = "a process in other namespaces than the root of its tree is refused",
    .dump = dump_namespaces,
};
