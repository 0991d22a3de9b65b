/* root.c - the root directory: paths of a snapshot mean what they mean to the tool */
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "kobj/attributes.h"

static int dump_root(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    _cleanup_free_ char *path = NULL;
    struct stat theirs, ours;

    if (fstatat(ctx->t->proc_fd, "root", &theirs, 0) < 0 || stat("/", &ours) < 0)
        return crs_fail_errno(err, CRS_CANT_CHECKPOINT, "can't see the root directory of %d",
                              ctx->t->pid);
    if (theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino)
        return 0;
    read_link(ctx->t->proc_fd, "root", &path);
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                    "process %d has another root directory (%s) than this tool: its files can't be "
                    "found by their names; run the tool inside of the same root or container",
                    ctx->t->pid, path ? path : "?");
}

const struct kobj_process_kind kobj_root = {
    .name = "root",
    .title = "root directory",
    .saved = "with conditions",
    .conditions = "refused where it is not the tool's own",
    .dump = dump_root,
};
