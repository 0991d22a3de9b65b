/* umask.c - the file mode creation mask */
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "kobj/attributes.h"
#include "umask.pb-c.h"

static int dump_umask(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    _cleanup_proc_status_ struct proc_status status = {0};
    Crs__Umask message = CRS__UMASK__INIT;
    int r;

    if (!kobj_saves(ctx, KOBJ_DIRECTORY))
        return 0;
    r = kobj_read_status(tracee_main(ctx->t), &status, err);

    if (r < 0)
        return r;
    if (!status.has_umask)
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENODATA, "process %d shows no umask",
                        ctx->t->pid);
    message.mask = status.umask;
    return kobj_pack(&message.base, ret_payload, err);
}

static int restore_umask(struct kobj_restore *ctx, const Crs__Process *process,
                         const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__Umask *message = NULL;
    int r = kobj_unpack(&crs__umask__descriptor, payload, &message, err);

    if (r < 0)
        return r;
    return REMOTE_CHECKED(tracee_main(ctx->t), NULL, err, CRS_CANT_RESTART, "set the umask",
                          SYS_umask, message->mask);
}

static int describe_umask(const struct bytes *payload, char *text, size_t size)
{
    _cleanup_message_ Crs__Umask *message = NULL;
    int r = kobj_unpack(&crs__umask__descriptor, payload, &message, NULL);

    if (r == 0)
        snprintf(text, size, "%04o", message->mask);
    return r;
}

const struct kobj_process_kind kobj_umask = {
    .name = "umask",
    .title = "umask",
    .saved = "yes",
    .dump = dump_umask,
    .restore = restore_umask,
    .describe = describe_umask,
};
