/* comm.c - the names of threads */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "comm.pb-c.h"
#include "kobj/later.h"
#include "kobj/questions.h"

#define NAME_SIZE 16

static const struct kobj_question current = {
    .number = SYS_prctl, .args = {PR_GET_NAME}, .block_arg = 1, .block_size = NAME_SIZE};

static int dump_comm(struct kobj_dump *ctx, struct tracee_thread *thread, struct bytes *ret_payload,
                     struct crs_error *err)
{
    Crs__Comm message = CRS__COMM__INIT;
    uint8_t name[NAME_SIZE] = {0};
    int64_t result;
    int r = kobj_ask(thread, &current, &result, name, err);

    if (r == 0 && kobj_call_failed(result))
        r = crs_fail(err, CRS_CANT_CHECKPOINT, -result, "can't read the name of thread %d: %s",
                     thread->tid, strerror(-result));
    if (r < 0)
        return r;
    message.name = (ProtobufCBinaryData){strnlen((const char *)name, NAME_SIZE - 1), name};
    return kobj_pack(&message.base, ret_payload, err);
}

static int look_at_name(struct kobj_restore *ctx, struct tracee_thread *thread,
                        const struct kobj_later *later, struct crs_error *err)
{
    int64_t result = later->call.result;

    return kobj_call_failed(result)
               ? crs_fail(err, CRS_CANT_RESTART, -result, "can't set it: %s", strerror(-result))
               : 0;
}

static int restore_comm(struct kobj_restore *ctx, struct tracee_thread *thread,
                        const Crs__Thread *record, const struct bytes *payload,
                        struct crs_error *err)
{
    _cleanup_message_ Crs__Comm *message = NULL;
    char name[NAME_SIZE] = {0};
    int r = kobj_unpack(&crs__comm__descriptor, payload, &message, err);

    if (r < 0)
        return r;
    if (message->name.len >= NAME_SIZE)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "a thread's name has %zu bytes",
                        message->name.len);
    if (message->name.len)
        memcpy(name, message->name.data, message->name.len);
    const struct kobj_later later = {.call = {.number = SYS_prctl, .args = {PR_SET_NAME}},
                                     .block_arg = 1,
                                     .block = name,
                                     .block_size = sizeof(name),
                                     .outcome = look_at_name};
    return kobj_call_later(ctx, thread, &later, err);
}

static int describe_comm(const struct bytes *payload, char *text, size_t size)
{
    _cleanup_message_ Crs__Comm *message = NULL;
    int r = kobj_unpack(&crs__comm__descriptor, payload, &message, NULL);

    if (r == 0)
        snprintf(text, size, "%.*s", (int)message->name.len,
                 message->name.len ? (const char *)message->name.data : "");
    return r;
}

const struct kobj_thread_kind kobj_comm = {
    .name = "comm",
    .title = "name",
    .saved = "yes",
    .dump = dump_comm,
    .restore = restore_comm,
    .describe = describe_comm,
    .questions = &current,
    .n_questions = 1,
};
