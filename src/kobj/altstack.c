/* altstack.c - the alternate signal stack of a thread */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "altstack.pb-c.h"
#include "kobj/later.h"
#include "kobj/questions.h"

#define AUTODISARM (1u << 31) /* SS_AUTODISARM */

static const struct kobj_question current = {
    .number = SYS_sigaltstack, .block_arg = 1, .block_size = sizeof(stack_t)};

static int dump_altstack(struct kobj_dump *ctx, struct tracee_thread *thread,
                         struct bytes *ret_payload, struct crs_error *err)
{
    Crs__Altstack message = CRS__ALTSTACK__INIT;
    int64_t result;
    stack_t stack;
    int r = kobj_ask(thread, &current, &result, &stack, err);

    if (r == 0 && kobj_call_failed(result))
        r = crs_fail(err, CRS_CANT_CHECKPOINT, -result,
                     "can't read the alternate stack of thread %d: %s", thread->tid,
                     strerror(-result));
    if (r < 0 || (stack.ss_flags & SS_DISABLE))
        return r;
    message.address = (uintptr_t)stack.ss_sp;
    message.size = stack.ss_size;
    /* SS_ONSTACK tells where the stack pointer of the remote call is. */
    message.flags = (uint32_t)stack.ss_flags & AUTODISARM;
    return kobj_pack(&message.base, ret_payload, err);
}

static int look_at_result(struct kobj_restore *ctx, struct tracee_thread *thread,
                          const struct kobj_later *later, struct crs_error *err)
{
    int64_t result = later->call.result;

    if (result == -ENOMEM)
        return crs_fail(err, CRS_CANT_RESTART, ENOMEM,
                        "its %zu bytes are too few for this processor's registers",
                        ((const stack_t *)later->block)->ss_size);
    return kobj_call_failed(result)
               ? crs_fail(err, CRS_CANT_RESTART, -result, "can't set it: %s", strerror(-result))
               : 0;
}

static int restore_altstack(struct kobj_restore *ctx, struct tracee_thread *thread,
                            const Crs__Thread *record, const struct bytes *payload,
                            struct crs_error *err)
{
    _cleanup_message_ Crs__Altstack *message = NULL;
    int r = kobj_unpack(&crs__altstack__descriptor, payload, &message, err);

    if (r < 0)
        return r;
    stack_t stack = {.ss_sp = (void *)(uintptr_t)message->address,
                     .ss_flags = (int)message->flags,
                     .ss_size = message->size};
    const struct kobj_later later = {.call = {.number = SYS_sigaltstack},
                                     .block_arg = 0,
                                     .block = &stack,
                                     .block_size = sizeof(stack),
                                     .outcome = look_at_result};
    return kobj_call_later(ctx, thread, &later, err);
}

static int describe_altstack(const struct bytes *payload, char *text, size_t size)
{
    _cleanup_message_ Crs__Altstack *message = NULL;
    int r = kobj_unpack(&crs__altstack__descriptor, payload, &message, NULL);

    if (r == 0)
        snprintf(text, size, "%llu bytes at 0x%llx", (unsigned long long)message->size,
                 (unsigned long long)message->address);
    return r;
}

const struct kobj_thread_kind kobj_altstack = {
    .name = "altstack",
    .title = "alternate signal stack",
    .saved = "yes",
    .dump = dump_altstack,
    .restore = restore_altstack,
    .describe = describe_altstack,
    .questions = &current,
    .n_questions = 1,
};
