/* oom_score_adj.c - how willingly the kernel kills the process when memory runs out */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "kobj/attributes.h"
#include "oom_score_adj.pb-c.h"

static int read_value(struct tracee *t, int *ret, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    int r = kobj_read_proc(t, &text, err, "oom_score_adj");

    if (r == 0)
        *ret = atoi((const char *)text.data);
    return r;
}

static int dump_oom_score_adj(struct kobj_dump *ctx, struct bytes *ret_payload,
                              struct crs_error *err)
{
    Crs__OomScoreAdj message = CRS__OOM_SCORE_ADJ__INIT;
    int value = 0, r = read_value(ctx->t, &value, err);

    if (r < 0)
        return r;
    message.value = value;
    return kobj_pack(&message.base, ret_payload, err);
}

static int write_value(struct tracee *t, int value)
{
    _cleanup_close_ int fd = openat(t->proc_fd, "oom_score_adj", O_WRONLY | O_CLOEXEC);
    char text[16];

    if (fd < 0)
        return -errno;
    snprintf(text, sizeof(text), "%d", value);
    return write_full(fd, text, strlen(text));
}

static int restore_oom_score_adj(struct kobj_restore *ctx, const Crs__Process *process,
                                 const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__OomScoreAdj *message = NULL;
    int current = 0, r = kobj_unpack(&crs__oom_score_adj__descriptor, payload, &message, err);

    if (r == 0)
        r = read_value(ctx->t, &current, err);
    if (r < 0 || message->value == current)
        return r;
    r = write_value(ctx->t, message->value);
    if (r < 0)
        KOBJ_WARN(ctx, "oom_score_adj was %d and is %d here: %s", message->value, current,
                  r == -EACCES || r == -EPERM ? "lowering it needs CAP_SYS_RESOURCE"
                                              : strerror(-r));
    return 0;
}

static int describe_oom_score_adj(const struct bytes *payload, char *text, size_t size)
{
    _cleanup_message_ Crs__OomScoreAdj *message = NULL;
    int r = kobj_unpack(&crs__oom_score_adj__descriptor, payload, &message, NULL);

    if (r == 0)
        snprintf(text, size, "%d", message->value);
    return r;
}

const struct kobj_process_kind kobj_oom_score_adj = {
    .name = "oom_score_adj",
    .title = "out-of-memory score",
    .saved = "yes",
    .privilege = "CAP_SYS_RESOURCE to lower it",
    .dump = dump_oom_score_adj,
    .restore = restore_oom_score_adj,
    .describe = describe_oom_score_adj,
};
