/*
 * tid_address.c - where the kernel clears a thread's ID when the thread ends
 *
 * Threads libraries keep the thread's ID in memory. When a restarted thread has another one, it is
 * written there: with glibc that is the very word that is to be cleared; with musl that word is a
 * lock, and the ID is at a known place of its struct pthread, to which the thread pointer points.
 */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "kobj/later.h"
#include "kobj/questions.h"
#include "tid_address.pb-c.h"

#ifndef PR_GET_TID_ADDRESS
#define PR_GET_TID_ADDRESS 40
#endif

#define MUSL_TID_OFFSET 48 /* of struct pthread, 64 bits, since musl 1.2.0 */

static const struct kobj_question current = {.number = SYS_prctl,
                                             .args = {PR_GET_TID_ADDRESS},
                                             .block_arg = 1,
                                             .block_size = sizeof(uint64_t)};

static int dump_tid_address(struct kobj_dump *ctx, struct tracee_thread *thread,
                            struct bytes *ret_payload, struct crs_error *err)
{
    Crs__TidAddress message = CRS__TID_ADDRESS__INIT;
    int64_t result;
    int r = kobj_ask(thread, &current, &result, &message.address, err);

    if (r == 0 && kobj_call_failed(result))
        r = crs_fail(err, CRS_CANT_CHECKPOINT, -result,
                     "can't read where the ID of thread %d is cleared: %s; the kernel needs "
                     "CONFIG_CHECKPOINT_RESTORE",
                     thread->tid, strerror(-result));
    return r < 0 ? r : kobj_pack(&message.base, ret_payload, err);
}

/* Write the new ID where the old one stands. *ret: it stood there. */
static int replace_id(struct tracee_thread *thread, uint64_t address, uint32_t old, bool *ret,
                      struct crs_error *err)
{
    uint32_t word, new = thread->inner_tid;

    *ret = false;
    if (tracee_read(thread->owner, address, &word, sizeof(word), NULL) < 0 || word != old)
        return 0; /* the address is the program's: it may be any */
    *ret = true;
    return tracee_write(thread->owner, address, &new, sizeof(new), err);
}

/* Does the thread pointer point to a struct pthread of musl? It starts with its own address. */
static bool find_thread_struct(struct tracee_thread *thread, const Crs__Thread *record,
                               uint64_t *ret)
{
    struct arch_regs regs = {0};
    uint64_t pointer, self;

    if (record->registers.len != sizeof(regs.user))
        return false;
    memcpy(&regs.user, record->registers.data, sizeof(regs.user));
    pointer = arch_thread_pointer(&regs);
    if (!pointer || tracee_read(thread->owner, pointer, &self, sizeof(self), NULL) < 0)
        return false;
    *ret = pointer;
    return self == pointer;
}

static int renumber(struct tracee_thread *thread, const Crs__Thread *record, uint64_t address,
                    struct crs_error *err)
{
    uint64_t pthread;
    bool done = false;
    int r = 0;

    if ((uint32_t)thread->inner_tid == record->tid)
        return 0;
    if (address)
        r = replace_id(thread, address, record->tid, &done, err);
    if (r == 0 && !done && find_thread_struct(thread, record, &pthread))
        r = replace_id(thread, pthread + MUSL_TID_OFFSET, record->tid, &done, err);
    return r;
}

static int restore_tid_address(struct kobj_restore *ctx, struct tracee_thread *thread,
                               const Crs__Thread *record, const struct bytes *payload,
                               struct crs_error *err)
{
    _cleanup_message_ Crs__TidAddress *message = NULL;
    int r = kobj_unpack(&crs__tid_address__descriptor, payload, &message, err);

    if (r < 0)
        return r;
    const struct kobj_later later = {
        .call = {.number = SYS_set_tid_address, .args = {message->address}},
        .what = "set where its ID is cleared"};
    r = kobj_call_later(ctx, thread, &later, err);
    return r < 0 ? r : renumber(thread, record, message->address, err);
}

const struct kobj_thread_kind kobj_tid_address = {
    .name = "tid_address",
    .title = "address of the thread ID",
    .saved = "yes",
    .conditions = "with --pids=new the ID is renewed where glibc and musl keep it",
    .dump = dump_tid_address,
    .restore = restore_tid_address,
    .questions = &current,
    .n_questions = 1,
};
