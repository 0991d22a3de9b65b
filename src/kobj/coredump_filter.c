/* coredump_filter.c - which mappings a core dump holds */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "coredump_filter.pb-c.h"
#include "kobj/attributes.h"

static int dump_coredump_filter(struct kobj_dump *ctx, struct bytes *ret_payload,
                                struct crs_error *err)
{
    Crs__CoredumpFilter message = CRS__COREDUMP_FILTER__INIT;
    _cleanup_bytes_ struct bytes text = {0};
    int r = kobj_read_proc(ctx->t, &text, err, "coredump_filter");

    if (r == -ENOENT) /* a kernel without core dumps */
        return 0;
    if (r < 0)
        return r;
    message.bits = strtoul((const char *)text.data, NULL, 16);
    return kobj_pack(&message.base, ret_payload, err);
}

static int write_filter(struct tracee *t, uint32_t bits)
{
    _cleanup_close_ int fd = openat(t->proc_fd, "coredump_filter", O_WRONLY | O_CLOEXEC);
    char text[16];

    if (fd < 0)
        return -errno;
    snprintf(text, sizeof(text), "0x%x", bits);
    return write_full(fd, text, strlen(text));
}

static int restore_coredump_filter(struct kobj_restore *ctx, const Crs__Process *process,
                                   const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__CoredumpFilter *message = NULL;
    int r = kobj_unpack(&crs__coredump_filter__descriptor, payload, &message, err);

    if (r < 0)
        return r;
    r = write_filter(ctx->t, message->bits);
    if (r < 0)
        KOBJ_WARN(ctx, "can't set which mappings a core dump holds: %s", strerror(-r));
    return 0;
}

const struct kobj_process_kind kobj_coredump_filter = {
    .name = "coredump_filter",
    .title = "core dump filter",
    .saved = "yes",
    .dump = dump_coredump_filter,
    .restore = restore_coredump_filter,
};
