/* thread_prctl.c - what prctl(2) sets for a thread */
#include <linux/securebits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "kobj/later.h"
#include "kobj/questions.h"
#include "proc/stat.h"
#include "thread_prctl.pb-c.h"

/* Last the one that few have. */
enum {
    DEATH_SIGNAL,
    TSC,
    SLACK,
    SECUREBITS,
    MCE,
    N_QUESTIONS,
};
#define N_SPECULATION 3 /* PR_SPEC_STORE_BYPASS, INDIRECT_BRANCH, L1D_FLUSH */

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif
/* PF_MEMALLOC_NOIO and PF_LOCAL_THROTTLE of the kernel, which it sets together for it alone. Who
 * may not become one (any more) can't ask by prctl(2), either. */
#define FLAGS_OF_FLUSHER 0x00180000

/* PF_MCE_PROCESS of the kernel: it has a policy for memory errors of its own, so which one is
 * asked, too. */
#define FLAG_OF_MCE 0x00000080

#define SPECULATION_SETTINGS (PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE | PR_SPEC_DISABLE_NOEXEC)

#define OPTION(option)                                                                             \
    {                                                                                              \
        .number = SYS_prctl, .args = {(option) }                                                   \
    }
#define IN_MEMORY(option)                                                                          \
    {                                                                                              \
        .number = SYS_prctl, .args = {(option)}, .block_arg = 1, .block_size = 4                   \
    }

static const struct kobj_question questions[N_QUESTIONS] = {
    [DEATH_SIGNAL] = IN_MEMORY(PR_GET_PDEATHSIG),
    [TSC] = IN_MEMORY(PR_GET_TSC),
    [SLACK] = OPTION(PR_GET_TIMERSLACK),
    [SECUREBITS] = OPTION(PR_GET_SECUREBITS),
    [MCE] = OPTION(PR_MCE_KILL_GET),
};

static int ask(struct tracee_thread *thread, int n, uint32_t values[N_QUESTIONS],
               struct crs_error *err)
{
    int r = 0;

    values[MCE] = PR_MCE_KILL_DEFAULT;
    for (int i = 0; r == 0 && i < n; i++) {
        uint32_t in_memory;
        int64_t result;
        r = kobj_ask(thread, &questions[i], &result, &in_memory, err);
        /* What the kernel can't tell, it hasn't done. */
        if (r == 0)
            values[i] = kobj_call_failed(result)      ? 0
                        : questions[i].block_size > 0 ? in_memory
                                                      : (uint32_t)result;
    }
    return r;
}

/* Most processors leave threads no choice for most features, and most threads don't choose: then
 * there is nothing to ask. */
static int ask_speculation(struct tracee_thread *thread, const struct proc_status *status,
                           uint32_t values[N_SPECULATION], struct crs_error *err)
{
    const bool standard[N_SPECULATION] = {status->store_bypass_standard,
                                          status->indirect_branch_standard};
    int r = 0;

    for (int i = 0; r == 0 && i < N_SPECULATION; i++) {
        int64_t result = prctl(PR_GET_SPECULATION_CTRL, i, 0, 0, 0);
        if (result > 0 && (result & PR_SPEC_PRCTL) && standard[i])
            result = PR_SPEC_PRCTL | PR_SPEC_ENABLE;
        else if (result > 0 && (result & PR_SPEC_PRCTL))
            r = REMOTE(thread, &result, err, SYS_prctl, PR_GET_SPECULATION_CTRL, i);
        values[i] = result < 0 ? 0 : result;
    }
    return r;
}

static int read_flags(struct tracee_thread *thread, uint64_t *ret, struct crs_error *err)
{
    struct proc_stat stat;
    int r = 0;

    if (!thread->stat.data)
        r = kobj_read_task(thread, "stat", &thread->stat, err);
    if (r < 0)
        return r;
    r = proc_stat_parse((const char *)thread->stat.data, &stat);
    if (r == 0)
        *ret = stat.flags;
    return r < 0 ? crs_fail(err, CRS_FAILED, -r, "can't make sense of /proc/%d/task/%d/stat",
                            thread->owner->pid, thread->tid)
                 : 0;
}

static int dump_thread_prctl(struct kobj_dump *ctx, struct tracee_thread *thread,
                             struct bytes *ret_payload, struct crs_error *err)
{
    Crs__Speculation speculation[N_SPECULATION], *pointers[N_SPECULATION];
    Crs__ThreadPrctl message = CRS__THREAD_PRCTL__INIT;
    _cleanup_proc_status_ struct proc_status status = {0};
    uint32_t values[N_QUESTIONS], controls[N_SPECULATION];
    uint64_t flags = 0;
    int r = kobj_read_status(thread, &status, err);

    if (r == 0)
        r = read_flags(thread, &flags, err);
    if (r == 0)
        r = ask(thread, flags & FLAG_OF_MCE ? N_QUESTIONS : MCE, values, err);
    if (r == 0)
        r = ask_speculation(thread, &status, controls, err);
    if (r < 0)
        return r;
    message.io_flusher = (flags & FLAGS_OF_FLUSHER) == FLAGS_OF_FLUSHER;
    message.parent_death_signal = values[DEATH_SIGNAL];
    message.no_new_privileges = status.no_new_privs;
    message.timer_slack_ns = values[SLACK];
    message.securebits = values[SECUREBITS];
    message.tsc = values[TSC];
    message.mce_kill = values[MCE];
    message.speculation = pointers;
    for (int i = 0; i < N_SPECULATION; i++) {
        uint32_t control = controls[i];
        if (!(control & PR_SPEC_PRCTL) || !(control & SPECULATION_SETTINGS))
            continue;
        Crs__Speculation *record = &speculation[message.n_speculation];
        crs__speculation__init(record);
        record->feature = i;
        record->control = control & SPECULATION_SETTINGS;
        pointers[message.n_speculation++] = record;
    }
    return kobj_pack(&message.base, ret_payload, err);
}

static int warn_of_failure(struct kobj_restore *ctx, struct tracee_thread *thread,
                           const struct kobj_later *later, struct crs_error *err)
{
    int64_t result = later->call.result;

    if (kobj_call_failed(result))
        KOBJ_WARN(ctx, "can't %s again: %s", later->what, strerror(-result));
    return 0;
}

static int set(struct kobj_restore *ctx, struct tracee_thread *thread, const char *words,
               int option, uint64_t a, uint64_t b, struct crs_error *err)
{
    const struct kobj_later later = {.call = {.number = SYS_prctl, .args = {option, a, b}},
                                     .outcome = warn_of_failure,
                                     .what = words};

    return kobj_call_later(ctx, thread, &later, err);
}

/* "Keep capabilities" is one of them that needs no privilege. */
static int restore_securebits(struct kobj_restore *ctx, struct tracee_thread *thread,
                              uint32_t wanted, uint32_t now, struct crs_error *err)
{
    uint32_t others = ~(uint32_t)SECBIT_KEEP_CAPS;
    int r = 0;

    if ((wanted ^ now) & others)
        r = set(ctx, thread, "set the secure bits", PR_SET_SECUREBITS, wanted, 0, err);
    else if (wanted != now)
        r = set(ctx, thread, "set whether capabilities are kept", PR_SET_KEEPCAPS,
                (wanted & SECBIT_KEEP_CAPS) != 0, 0, err);
    return r;
}

/* Is the restarter the parent of its process? */
static bool is_without_parent(const struct kobj_restore *ctx, const struct tracee_thread *thread)
{
    for (size_t i = 1; i < ctx->tree->n_processes; i++)
        if (ctx->stubs[i] == thread->owner)
            return ctx->tree->processes[i]->parent == 0;
    return true;
}

/* With --detach the restarter ends before the program: the signal would come at once. In a
 * namespace the parent is its first process, which stays. */
static int restore_death_signal(struct kobj_restore *ctx, struct tracee_thread *thread,
                                uint32_t number, struct crs_error *err)
{
    if (number && ctx->detach && ctx->pids != CRS_PIDS_NAMESPACE &&
        is_without_parent(ctx, thread)) {
        KOBJ_WARN(ctx,
                  "signal %u at the end of its parent (PR_SET_PDEATHSIG) is not set in a program "
                  "that is restarted without a parent",
                  number);
        number = 0;
    }
    return set(ctx, thread, "set the parent-death signal", PR_SET_PDEATHSIG, number, 0, err);
}

/* What a process's threads have before anything is set. All are copies of the first one: it is
 * asked, and the others have the same. */
struct fresh {
    const struct tracee *of;
    uint32_t values[N_QUESTIONS];
};

static int know_fresh(struct kobj_restore *ctx, struct tracee_thread *thread,
                      const uint32_t **ret_values, struct crs_error *err)
{
    struct fresh *fresh = ctx->fresh ? ctx->fresh : calloc(1, sizeof(*fresh));
    int r = 0;

    ctx->fresh = fresh;
    if (!fresh)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    *ret_values = fresh->values;
    if (fresh->of == thread->owner)
        return 0;
    r = kobj_ask_these(thread, questions, N_QUESTIONS, err);
    if (r == 0)
        r = ask(thread, N_QUESTIONS, fresh->values, err);
    fresh->of = r == 0 ? thread->owner : NULL;
    return r;
}

static int restore_thread_prctl(struct kobj_restore *ctx, struct tracee_thread *thread,
                                const Crs__Thread *record, const struct bytes *payload,
                                struct crs_error *err)
{
    _cleanup_message_ Crs__ThreadPrctl *m = NULL;
    const uint32_t *values = NULL;
    int r = kobj_unpack(&crs__thread_prctl__descriptor, payload, &m, err);

    if (r == 0)
        r = know_fresh(ctx, thread, &values, err);
    if (r == 0 && m->timer_slack_ns && m->timer_slack_ns != values[SLACK])
        r = set(ctx, thread, "set the timer slack", PR_SET_TIMERSLACK, m->timer_slack_ns, 0, err);
    if (r == 0)
        r = restore_securebits(ctx, thread, m->securebits, values[SECUREBITS], err);
    if (r == 0 && m->io_flusher)
        r = set(ctx, thread, "make it an I/O flusher", PR_SET_IO_FLUSHER, 1, 0, err);
    if (r == 0 && m->tsc && m->tsc != values[TSC])
        r = set(ctx, thread, "deny the time stamp counter", PR_SET_TSC, m->tsc, 0, err);
    if (r == 0 && m->mce_kill != values[MCE])
        r = REMOTE_CHECKED(thread, NULL, err, CRS_CANT_RESTART, "set the machine check policy",
                           SYS_prctl, PR_MCE_KILL, PR_MCE_KILL_SET, m->mce_kill);
    for (size_t i = 0; r == 0 && i < m->n_speculation; i++)
        r = set(ctx, thread, "restrict speculation", PR_SET_SPECULATION_CTRL,
                m->speculation[i]->feature, m->speculation[i]->control, err);
    /* No thread has got one from who made it. */
    if (r == 0 && m->parent_death_signal)
        r = restore_death_signal(ctx, thread, m->parent_death_signal, err);
    if (r == 0 && m->no_new_privileges)
        r = set(ctx, thread, "set no_new_privs", PR_SET_NO_NEW_PRIVS, 1, 0, err);
    return r;
}

static int describe_thread_prctl(const struct bytes *payload, char *text, size_t size)
{
    _cleanup_message_ Crs__ThreadPrctl *m = NULL;
    int r = kobj_unpack(&crs__thread_prctl__descriptor, payload, &m, NULL);

    if (r == 0)
        snprintf(text, size, "timer slack %llu ns%s%s", (unsigned long long)m->timer_slack_ns,
                 m->no_new_privileges ? ", no new privileges" : "",
                 m->parent_death_signal ? ", signal at the parent's end" : "");
    return r;
}

const struct kobj_thread_kind kobj_thread_prctl = {
    .name = "thread_prctl",
    .title = "prctl settings",
    .saved = "yes",
    .conditions = "the parent-death signal not with --detach",
    .privilege = "CAP_SETPCAP to change secure bits, CAP_SYS_RESOURCE for an I/O flusher",
    .dump = dump_thread_prctl,
    .restore = restore_thread_prctl,
    .describe = describe_thread_prctl,
    .questions = questions,
    .n_questions = MCE, /* and all others only of few */
};
