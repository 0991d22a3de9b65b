/* personality.c - the execution domain: personality(2), which each thread has for itself */
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "kobj/later.h"
#include "kobj/questions.h"
#include "personality.pb-c.h"

/* What none is; the answer is the present one. */
static const struct kobj_question current = {.number = SYS_personality, .args = {0xffffffff}};

static int dump_personality(struct kobj_dump *ctx, struct tracee_thread *thread,
                            struct bytes *ret_payload, struct crs_error *err)
{
    Crs__Personality message = CRS__PERSONALITY__INIT;
    int64_t result;
    int r = kobj_ask(thread, &current, &result, NULL, err);

    if (r == 0 && kobj_call_failed(result))
        r = crs_fail(err, CRS_CANT_CHECKPOINT, -result,
                     "can't read the personality of thread %d: %s", thread->tid, strerror(-result));
    if (r < 0)
        return r;
    message.value = (uint32_t)result;
    return kobj_pack(&message.base, ret_payload, err);
}

static int restore_personality(struct kobj_restore *ctx, struct tracee_thread *thread,
                               const Crs__Thread *record, const struct bytes *payload,
                               struct crs_error *err)
{
    _cleanup_message_ Crs__Personality *message = NULL;
    int r = kobj_unpack(&crs__personality__descriptor, payload, &message, err);

    if (r < 0)
        return r;
    const struct kobj_later later = {.call = {.number = SYS_personality, .args = {message->value}},
                                     .what = "set the personality"};
    return kobj_call_later(ctx, thread, &later, err);
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
    .questions = &current,
    .n_questions = 1,
};
