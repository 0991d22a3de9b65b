/* sigactions.c - what a process does on signals: handlers, flags, masks, restorers */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "kobj/attributes.h"
#include "sigactions.pb-c.h"

#define N_SIGNALS      64
#define KERNEL_SIGSET  8 /* bytes of the kernel's signal set */
#define HANDLER_IGNORE 1

/* As rt_sigaction(2) has it in the kernel. */
struct kernel_sigaction {
    uint64_t handler, flags, restorer, mask;
};

static bool can_be_set(unsigned signal)
{
    return signal >= 1 && signal <= N_SIGNALS && signal != SIGKILL && signal != SIGSTOP;
}

/* Which signals are worth asking about: SIGCHLD's flags also matter with the default action. */
static uint64_t interesting_signals(const struct proc_status *status)
{
    return status->caught | status->ignored | (uint64_t)1 << (SIGCHLD - 1);
}

static bool is_plain_default(const struct kernel_sigaction *action)
{
    return action->handler == 0 && action->flags == 0 && action->mask == 0 && action->restorer == 0;
}

static int read_actions(struct tracee_thread *thread, struct remote_call *calls,
                        struct kernel_sigaction *actions, size_t n, struct crs_error *err)
{
    int r = kobj_call_blocks(thread, calls, n, 2, NULL, actions, sizeof(*actions), err);

    for (size_t i = 0; r == 0 && i < n; i++)
        if (kobj_call_failed(calls[i].result))
            r = crs_fail(err, CRS_CANT_CHECKPOINT, -calls[i].result,
                         "can't read the action on signal %u of process %d: %s",
                         (unsigned)calls[i].args[0], thread->owner->pid,
                         strerror(-calls[i].result));
    return r;
}

static int dump_sigactions(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    struct tracee_thread *thread = tracee_main(ctx->t);
    _cleanup_proc_status_ struct proc_status status = {0};
    struct remote_call calls[N_SIGNALS] = {0};
    struct kernel_sigaction actions[N_SIGNALS];
    Crs__Sigaction records[N_SIGNALS], *pointers[N_SIGNALS];
    Crs__Sigactions message = CRS__SIGACTIONS__INIT;
    size_t n = 0;

    int r;

    if (!kobj_saves(ctx, KOBJ_ACTIONS))
        return 0;
    r = kobj_read_status(thread, &status, err);
    if (r < 0)
        return r;
    for (unsigned signal = 1; signal <= N_SIGNALS; signal++)
        if (can_be_set(signal) && (interesting_signals(&status) >> (signal - 1) & 1))
            calls[n++] = (struct remote_call){.number = SYS_rt_sigaction,
                                              .args = {signal, 0, 0, KERNEL_SIGSET}};
    r = read_actions(thread, calls, actions, n, err);
    if (r < 0)
        return r;

    message.actions = pointers;
    for (size_t i = 0; i < n; i++) {
        if (is_plain_default(&actions[i]))
            continue;
        Crs__Sigaction *record = &records[message.n_actions];
        crs__sigaction__init(record);
        record->signal = calls[i].args[0];
        record->handler = actions[i].handler;
        record->flags = actions[i].flags;
        record->restorer = actions[i].restorer;
        record->mask = actions[i].mask;
        pointers[message.n_actions++] = record;
    }
    return kobj_pack(&message.base, ret_payload, err);
}

static int check_sigactions(struct kobj_restore *ctx, const Crs__Process *process,
                            const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__Sigactions *message = NULL;
    int r = kobj_unpack(&crs__sigactions__descriptor, payload, &message, err);

    for (size_t i = 0; r == 0 && i < message->n_actions; i++)
        if (!can_be_set(message->actions[i]->signal))
            r = crs_fail(err, CRS_DAMAGED, EBADMSG,
                         "the snapshot has an action on signal %u, which can have none",
                         message->actions[i]->signal);
    return r;
}

/* All actions, by signal; the rest are default ones. */
static int load_actions(const struct bytes *payload, struct kernel_sigaction actions[N_SIGNALS + 1],
                        struct crs_error *err)
{
    _cleanup_message_ Crs__Sigactions *message = NULL;
    int r = kobj_unpack(&crs__sigactions__descriptor, payload, &message, err);

    if (r < 0)
        return r;
    memset(actions, 0, sizeof(*actions) * (N_SIGNALS + 1));
    for (size_t i = 0; i < message->n_actions; i++) {
        const Crs__Sigaction *record = message->actions[i];
        if (can_be_set(record->signal))
            actions[record->signal] = (struct kernel_sigaction){record->handler, record->flags,
                                                                record->restorer, record->mask};
    }
    return 0;
}

/* All but SIGTRAP's, which the traps of batched calls would set back to the default. */
static int restore_sigactions(struct kobj_restore *ctx, const Crs__Process *process,
                              const struct bytes *payload, struct crs_error *err)
{
    struct kernel_sigaction actions[N_SIGNALS + 1], blocks[N_SIGNALS];
    struct remote_call calls[N_SIGNALS] = {0};
    size_t n = 0;
    int r = load_actions(payload, actions, err);

    for (unsigned signal = 1; r == 0 && signal <= N_SIGNALS; signal++) {
        if (!can_be_set(signal) || signal == SIGTRAP)
            continue;
        blocks[n] = actions[signal];
        calls[n++] =
            (struct remote_call){.number = SYS_rt_sigaction, .args = {signal, 0, 0, KERNEL_SIGSET}};
    }
    if (r == 0)
        r = kobj_call_blocks(tracee_main(ctx->t), calls, n, 1, blocks, NULL, sizeof(blocks[0]),
                             err);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (kobj_call_failed(calls[i].result))
            r = crs_fail(err, CRS_CANT_RESTART, -calls[i].result,
                         "can't set the action on signal %u: %s", (unsigned)calls[i].args[0],
                         strerror(-calls[i].result));
    return r;
}

static int finish_sigactions(struct kobj_restore *ctx, const Crs__Process *process,
                             const struct bytes *payload, struct crs_error *err)
{
    struct kernel_sigaction actions[N_SIGNALS + 1];
    int64_t result;
    int r = load_actions(payload, actions, err);

    if (r == 0)
        r = tracee_call_with_block(tracee_main(ctx->t), &result, err, SYS_rt_sigaction,
                                   (uint64_t[6]){SIGTRAP, 0, 0, KERNEL_SIGSET}, 1,
                                   &actions[SIGTRAP], NULL, sizeof(actions[0]));
    if (r == 0 && kobj_call_failed(result))
        r = crs_fail(err, CRS_CANT_RESTART, -result, "can't set the action on SIGTRAP: %s",
                     strerror(-result));
    return r;
}

static int describe_sigactions(const struct bytes *payload, char *text, size_t size)
{
    _cleanup_message_ Crs__Sigactions *message = NULL;
    unsigned ignored = 0, handled = 0;
    int r = kobj_unpack(&crs__sigactions__descriptor, payload, &message, NULL);

    for (size_t i = 0; r == 0 && i < message->n_actions; i++) {
        ignored += message->actions[i]->handler == HANDLER_IGNORE;
        handled += message->actions[i]->handler > HANDLER_IGNORE;
    }
    if (r == 0)
        snprintf(text, size, "%u handled, %u ignored", handled, ignored);
    return r;
}

const struct kobj_process_kind kobj_sigactions = {
    .name = "sigactions",
    .title = "signal actions",
    .saved = "yes",
    .dump = dump_sigactions,
    .check = check_sigactions,
    .restore = restore_sigactions,
    .finish = finish_sigactions,
    .describe = describe_sigactions,
};
