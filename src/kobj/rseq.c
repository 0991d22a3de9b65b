/* rseq.c - a thread's area for restartable sequences */
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "kobj/later.h"
#include "kobj/rseq.h"
#include "rseq.pb-c.h"

#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif

#define FIRST_SIZE      32 /* what every kernel with rseq(2) takes */
#define CPU_ID_OFFSET   4
#define SEQUENCE_OFFSET 8
#define NOT_REGISTERED  (-2) /* RSEQ_CPU_ID_REGISTRATION_FAILED */

struct configuration {
    uint64_t address;
    uint32_t length, signature, flags, padding;
};

/* As of struct rseq_cs of the kernel. */
struct sequence {
    uint32_t version, flags;
    uint64_t start, length, abort;
};

/* *ret->address is 0 when there is none, also on kernels that can't tell (before 5.13). */
static int get_configuration(pid_t tid, struct configuration *ret, struct crs_error *err)
{
    struct configuration c = {0};

    if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof(c), &c) < 0 && errno != EIO)
        return crs_fail_errno(err, CRS_CANT_CHECKPOINT,
                              "can't read the restartable-sequences area of thread %d", tid);
    *ret = c;
    return 0;
}

int kobj_rseq_abort_address(struct tracee_thread *thread, uint64_t pc, uint64_t *ret_pc,
                            struct crs_error *err)
{
    struct configuration c;
    struct sequence s;
    uint64_t at;
    int r = get_configuration(thread->tid, &c, err);

    if (r < 0)
        return r;
    /* What the program has written there may be anything: the kernel judges it, not we. */
    if (!c.address ||
        tracee_read(thread->owner, c.address + SEQUENCE_OFFSET, &at, sizeof(at), NULL) < 0 || !at ||
        tracee_read(thread->owner, at, &s, sizeof(s), NULL) < 0 || s.version != 0 ||
        pc - s.start >= s.length) {
        *ret_pc = pc;
        return 0;
    }
    *ret_pc = s.abort;
    return 0;
}

int kobj_rseq_abort(struct tracee *t, struct crs_error *err)
{
    tracee_for_each_thread (t, thread) {
        uint64_t pc = arch_program_counter(&thread->regs), abort = pc;
        int r = kobj_rseq_abort_address(thread, pc, &abort, err);
        if (r < 0)
            return r;
        if (abort == pc)
            continue;
        arch_set_program_counter(&thread->regs, abort);
        arch_set_program_counter(&thread->image, abort);
    }
    return 0;
}

static int dump_rseq(struct kobj_dump *ctx, struct tracee_thread *thread, struct bytes *ret_payload,
                     struct crs_error *err)
{
    Crs__Rseq message = CRS__RSEQ__INIT;
    struct configuration c;
    int r = get_configuration(thread->tid, &c, err);

    if (r < 0 || !c.address)
        return r;
    message.address = c.address;
    message.length = c.length;
    message.signature = c.signature;
    message.flags = c.flags;
    return kobj_pack(&message.base, ret_payload, err);
}

/* The kernel can't do it: say so where the threads library looks, which then does without. */
static int mark_not_registered(struct kobj_restore *ctx, struct tracee_thread *thread,
                               uint64_t address, int64_t result, struct crs_error *err)
{
    int32_t cpu_id = NOT_REGISTERED;

    KOBJ_WARN(ctx, "restartable sequences can't be registered here: %s", strerror(-result));
    return tracee_write(thread->owner, address + CPU_ID_OFFSET, &cpu_id, sizeof(cpu_id), err);
}

static int look_at_result(struct kobj_restore *ctx, struct tracee_thread *thread,
                          const struct kobj_later *later, struct crs_error *err)
{
    const uint64_t *args = later->call.args;
    int64_t result = later->call.result;
    int r = 0;

    if (kobj_call_failed(result) && args[1] > FIRST_SIZE)
        r = REMOTE(thread, &result, err, SYS_rseq, args[0], FIRST_SIZE, args[2], args[3]);
    if (r == 0 && kobj_call_failed(result))
        r = mark_not_registered(ctx, thread, args[0], result, err);
    return r;
}

static int restore_rseq(struct kobj_restore *ctx, struct tracee_thread *thread,
                        const Crs__Thread *record, const struct bytes *payload,
                        struct crs_error *err)
{
    _cleanup_message_ Crs__Rseq *message = NULL;
    uint64_t none = 0;
    int r = kobj_unpack(&crs__rseq__descriptor, payload, &message, err);

    /* A sequence that was going on has been aborted in the saved registers. */
    if (r == 0)
        r = tracee_write(thread->owner, message->address + SEQUENCE_OFFSET, &none, sizeof(none),
                         err);
    if (r < 0)
        return r;
    const struct kobj_later later = {
        .call = {.number = SYS_rseq,
                 .args = {message->address, message->length, message->flags, message->signature}},
        .outcome = look_at_result};
    return kobj_call_later(ctx, thread, &later, err);
}

const struct kobj_thread_kind kobj_rseq = {
    .name = "rseq",
    .title = "restartable sequences (rseq)",
    .saved = "yes",
    .dump = dump_rseq,
    .restore = restore_rseq,
};
