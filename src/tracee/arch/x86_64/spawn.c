/*
 * spawn.c - a live process makes another one for the tool, and nothing of it stays
 *
 * The call is a clone(2) that shares the memory (CLONE_VM) and the table of descriptors
 * (CLONE_FILES), sends no signal at the new process's end, and lets the thread that makes it wait
 * for that (CLONE_VFORK). Beside the thread's own frame (frame.c) lie two more:
 *
 *     ending   for the new process, whose stack pointer leads there: it exits
 *     waiting  for the thread, before its own: it takes the end of the new process from the kernel
 *
 * What is to be waited for isn't known before the call. So the kernel itself writes it into that
 * frame (CLONE_PARENT_SETTID); before that stands the process's own ID there, which is none of its
 * children's.
 */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tracee/arch/x86_64/internal.h"

#define OPTIONS       PTRACE_O_TRACESYSGOOD
#define SPAWN_OPTIONS (OPTIONS | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK)
#define SPAWN_FLAGS   (CLONE_VM | CLONE_FILES | CLONE_VFORK | CLONE_PARENT_SETTID)

static int set_options(struct tracee_thread *th, long options, struct crs_error *err)
{
    return ptrace(PTRACE_SETOPTIONS, th->tid, 0, (void *)options) < 0
               ? crs_fail_errno(err, CRS_FAILED, "can't set options of ptrace")
               : 0;
}

/* From where it stands, with registers that lead to a clone: to the event of the new process. */
static int run_to_event(struct tracee_thread *th, pid_t *ret_pid, struct crs_error *err)
{
    unsigned long pid = 0;
    int64_t result;
    int event, r;

    for (;;) {
        r = calls_next_stop(th, &event, err);
        if (r < 0)
            return r;
        if (event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE ||
            event == PTRACE_EVENT_FORK)
            break;
        if (!event && calls_at_exit(th->tid, &result) && result < 0)
            return crs_fail(err, CRS_CANT_CHECKPOINT, -result,
                            "process %d can't make another one: %s", th->owner->pid,
                            strerror(-result));
    }
    if (ptrace(PTRACE_GETEVENTMSG, th->tid, 0, &pid) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't ask for the new process");
    *ret_pid = pid;
    return 0;
}

static int write_frames(struct tracee_thread *th, uint64_t *ret_ending, struct crs_error *err)
{
    struct arch_calls *c = th->owner->calls;
    const struct remote_call ending = {.number = SYS_exit},
                             waiting = {.number = SYS_wait4,
                                        .args = {th->owner->inner_pid, 0, __WALL}};
    uint64_t sp;
    int r = frame_write_call(th, FRAME_ENDING_OFFSET, &ending, ret_ending, err);

    if (r == 0)
        r = frame_write_call(th, FRAME_WAITING_OFFSET, &waiting, &sp, err);
    if (r < 0)
        return r;
    c->spawn_regs = c->session_regs;
    c->spawn_regs.user.rsp = sp;
    return 0;
}

static int run_clone(struct tracee_thread *th, uint64_t ending, pid_t *ret_pid,
                     struct crs_error *err)
{
    struct arch_calls *c = th->owner->calls;
    struct remote_call call = {
        .number = SYS_clone,
        .args = {SPAWN_FLAGS, ending, frame_first_argument(th, FRAME_WAITING_OFFSET)}};
    struct arch_regs regs = c->spawn_regs;

    calls_set(th, &call, &regs);
    int r = set_options(th, SPAWN_OPTIONS, err);
    if (r == 0)
        r = arch_set_regs(th->tid, &regs, err);
    if (r == 0)
        r = run_to_event(th, ret_pid, err);
    if (r < 0)
        set_options(th, OPTIONS, NULL);
    return r;
}

int arch_spawn(struct tracee_thread *th, pid_t *ret_pid, struct crs_error *err)
{
    uint64_t ending;

    if (!th->owner->calls->frame_area)
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "nothing in process %d leads a process to its end that it makes",
                        th->owner->pid);
    int r = calls_begin(th, err);
    if (r == 0)
        r = write_frames(th, &ending, err);
    if (r == 0)
        r = run_clone(th, ending, ret_pid, err);
    if (r < 0)
        arch_calls_end(th->owner, NULL);
    return r;
}

/* From the event to the exit of the clone. */
static int finish_clone(struct tracee_thread *th, int64_t *ret_pid, struct crs_error *err)
{
    int event, r;

    do
        r = calls_next_stop(th, &event, err);
    while (r == 0 && (event || !calls_at_exit(th->tid, ret_pid)));
    return r;
}

int arch_spawn_ended(struct tracee_thread *th, struct crs_error *err)
{
    struct arch_calls *c = th->owner->calls;
    int64_t pid = 0;
    int r = finish_clone(th, &pid, err);

    if (r == 0) {
        struct remote_call call = {.number = SYS_wait4, .args = {pid, 0, __WALL}};
        r = calls_run_one(th, &c->spawn_regs, &call, err);
    }
    if (r == 0)
        r = set_options(th, OPTIONS, err);
    if (r < 0)
        arch_calls_end(th->owner, NULL);
    return r;
}

int arch_spawn_from(struct tracee_thread *th, unsigned long flags, pid_t *ret_pid,
                    struct crs_error *err)
{
    struct remote_call call = {.number = SYS_clone, .args = {flags}};
    struct arch_regs regs = th->regs;
    int64_t inner_pid;

    calls_set(th, &call, &regs);
    int r = arch_set_regs(th->tid, &regs, err);
    if (r == 0)
        r = run_to_event(th, ret_pid, err);
    return r < 0 ? r : finish_clone(th, &inner_pid, err);
}

int arch_spawn_adopt(struct tracee *t, const struct tracee *from, struct crs_error *err)
{
    struct arch_calls *c = calloc(1, sizeof(*c));

    if (!c)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    c->gadgets = from->calls->gadgets;
    t->calls = c;
    t->scratch = from->scratch;
    t->scratch_size = from->scratch_size;
    return arch_get_regs(t->threads[0].tid, &t->threads[0].regs, err);
}
