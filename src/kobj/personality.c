/* personality.c - the execution domain: personality(2), which each thread has for itself */
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "kobj/attributes.h"
#include "personality.pb-c.h"

static int read_value(struct tracee_thread *thread, uint32_t *ret, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    int r = kobj_read_proc(thread->owner, &text, err, "task/%d/personality", thread->tid);

    if (r == 0)
        *ret = strtoul((const char *)text.data, NULL, 16);
    return r;
}

static int dump_personality(struct kobj_dump *ctx, struct tracee_thread *thread,
                            struct bytes *ret_payload, struct crs_error *err)
{
    Crs__Personality message = CRS__PERSONALITY__INIT;
    int r = read_value(thread, &message.value, err);

    return r < 0 ? r : kobj_pack(&message.base, ret_payload, err);
}

static int restore_personality(struct kobj_restore *ctx, struct tracee_thread *thread,
                               const Crs__Thread *record, const struct bytes *payload,
                               struct crs_error *err)
{
    _cleanup_message_ Crs__Personality *message = NULL;
    uint32_t current;
    int r = kobj_unpack(&crs__personality__descriptor, payload, &message, err);

    if (r == 0)
        r = read_value(thread, &current, err);
    if (r < 0 || message->value == current)
        return r;
    return REMOTE_CHECKED(thread, NULL, err, CRS_CANT_RESTART, "set the personality",
                          SYS_personality, message->value);
}

static int describe_personality(const struct bytes *payload, char *text, size_t size)
{
    _cleanup_message_ Crs__Personality *message = NULL;
    int r = kobj_unpack(&crs__personality__descriptor, payload, &message, NULL);

    if (r == 0)
        snprintf(text, size, "0x%x", message->value);
    return r;
}

const struct kobj_thread_kind kobj_personality = {
    .name = "personality",
    .title = "personality",
    .saved = "yes",
    .dump = dump_personality,
    .restore = restore_personality,
    .describe = describe_personality,
};
