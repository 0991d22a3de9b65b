/* inject.c - may a thread run a function of its own now? */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "tracee/inject.h"
#include "tracee/task.h"

/* What is kept for the function itself; the main stack grows beyond it. */
#define FUNCTION_ROOM (8 << 10)

/* "x86_Thread_features: ..."; NULL where it says nothing of them. Once read it stays so. */
static const char *features_of(struct tracee_thread *th)
{
    if (!th->status.data)
        task_read(th->owner->proc_fd, th->tid, "status", &th->status);
    return th->status.data ? strstr((char *)th->status.data, "\nx86_Thread_features:") : NULL;
}

static int check_thread(struct tracee_thread *th, struct crs_error *err)
{
    struct tracee *t = th->owner;

    if (t->stub || !t->frozen || th->exited)
        return crs_fail(err, CRS_FAILED, ENOTSUP,
                        "thread %d of process %d can't run a function: %s", th->tid, t->pid,
                        th->exited ? "it has exited" : "it isn't held");
    /* Where the first thread has no such line the kernel has none. */
    const char *features = features_of(tracee_main(t)) ? features_of(th) : NULL;
    size_t line = features ? strcspn(features + 1, "\n") + 1 : 0;
    if (features && memmem(features, line, "shstk", 5))
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "thread %d of process %d has a shadow stack, so it can't be made to run a "
                        "function; run the program with GLIBC_TUNABLES=glibc.cpu.hwcaps=-SHSTK",
                        th->tid, t->pid);
    return 0;
}

/* Where the alternate stack that the thread is on begins; 0: it is on none. */
static int alternate_stack(struct tracee_thread *th, uint64_t *ret_start, struct crs_error *err)
{
    uint64_t sp = arch_stack_pointer(&th->regs), start;
    stack_t stack = {0};
    int64_t result;
    int r = tracee_call_with_block(th, &result, err, SYS_sigaltstack, (const uint64_t[6]){0}, 1,
                                   NULL, &stack, sizeof(stack));

    if (r < 0)
        return r;
    start = (uint64_t)stack.ss_sp;
    bool there = result == 0 && !(stack.ss_flags & SS_DISABLE);
    *ret_start = there && sp > start && sp - start <= stack.ss_size ? start : 0;
    return 0;
}

/* Guard pages can't be read like this. */
static bool is_readable(struct tracee_thread *th, uint64_t start, uint64_t end)
{
    _cleanup_free_ void *buffer = malloc(end - start);
    struct iovec local = {buffer, end - start}, remote = {(void *)start, end - start};

    return buffer && process_vm_readv(th->tid, &local, 1, &remote, 1, 0) == (ssize_t)(end - start);
}

/* The place of the tool's calls may be in the room that is needed: then it is given up. */
static int clear_room(struct tracee *t, uint64_t start, uint64_t end, struct crs_error *err)
{
    struct tracee *place = t->memory_of ? t->memory_of : t;
    int r = arch_calls_end(place, err);

    if (r == 0 && arch_calls_overlap(place, start, end))
        r = tracee_undo_all(place, err);
    return r;
}

static int find_room(struct tracee_thread *th, size_t size, struct crs_error *err)
{
    uint64_t sp = arch_stack_pointer(&th->regs), bottom = 0;
    int r = alternate_stack(th, &bottom, err);

    if (r < 0)
        return r;
    if (sp < size || sp - size < bottom || !is_readable(th, sp - size, sp))
        return crs_fail(
            err, CRS_CANT_CHECKPOINT, ENOSPC,
            "the %sstack of thread %d of process %d has no room of %zu bytes below %#lx "
            "for a function that it is to run",
            bottom ? "alternate " : "", th->tid, th->owner->pid, size, sp);
    return clear_room(th->owner, sp - size, sp, err);
}

int tracee_inject(struct tracee_thread *th, uint64_t function, uint64_t restorer, uint64_t arg,
                  struct crs_error *err)
{
    int r = check_thread(th, err);

    if (r < 0)
        return r;
    size_t size = arch_injection_size(th, err);
    if (size == 0)
        return -EFAULT;
    r = find_room(th, size + FUNCTION_ROOM, err);
    return r < 0 ? r : arch_inject(th, function, restorer, arg, err);
}
