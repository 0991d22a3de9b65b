/*
 * vector_permission.c - large parts of the vector state (AMX's tiles), which the kernel gives only
 * to a process that asks for them
 *
 * It must have them again before its threads get their registers.
 */
#include <stdio.h>
#include <string.h>

#include "kobj/attributes.h"
#include "vector_permission.pb-c.h"

static int dump_vector_permission(struct kobj_dump *ctx, struct bytes *ret_payload,
                                  struct crs_error *err)
{
    Crs__VectorPermission message = CRS__VECTOR_PERMISSION__INIT;
    int r = arch_xstate_permitted(tracee_main(ctx->t), &message.parts, err);

    return r < 0 || !message.parts ? r : kobj_pack(&message.base, ret_payload, err);
}

static int restore_vector_permission(struct kobj_restore *ctx, const Crs__Process *process,
                                     const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__VectorPermission *message = NULL;
    int r = kobj_unpack(&crs__vector_permission__descriptor, payload, &message, err);

    if (r == 0)
        r = arch_xstate_permit(tracee_main(ctx->t), message->parts, err);
    for (size_t i = 0; r == 0 && i < process->n_threads; i++) {
        const ProtobufCBinaryData *saved = &process->threads[i]->xstate;
        const struct bytes xstate = {saved->data, saved->len};
        r = arch_xstate_make_room(&ctx->t->threads[i], &xstate, message->parts, err);
    }
    return r;
}

static int describe_vector_permission(const struct bytes *payload, char *text, size_t size)
{
    _cleanup_message_ Crs__VectorPermission *message = NULL;
    int r = kobj_unpack(&crs__vector_permission__descriptor, payload, &message, NULL);

    if (r == 0)
        snprintf(text, size, "parts %#llx", (unsigned long long)message->parts);
    return r;
}

const struct kobj_process_kind kobj_vector_permission = {
    .name = "vector_permission",
    .title = "parts of the vector state to be asked for (AMX)",
    .saved = "yes",
    .dump = dump_vector_permission,
    .restore = restore_vector_permission,
    .describe = describe_vector_permission,
};
