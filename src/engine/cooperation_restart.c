/*
 * cooperation_restart.c - what a restart says in the block of a cooperating program
 *
 * Who stands at the barrier of a request when the program is saved finds the request's end here.
 * The tool of that request isn't there any more, and PIDs and thread IDs may be other ones.
 */
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "engine/cooperation.h"

/* The number that a process or thread which had `id` has now; `id` where it isn't in the tree. */
static int32_t new_pid(const Crs__Tree *tree, struct tracee *const *stubs, int32_t id)
{
    for (size_t i = 0; i < tree->n_processes; i++)
        if (stubs[i] && tree->processes[i]->pid == (uint32_t)id)
            return stubs[i]->inner_pid;
    return id;
}

static int32_t new_tid(const Crs__Process *process, const struct tracee *stub, int32_t id)
{
    for (size_t i = 0; i < process->n_threads && i < stub->n_threads; i++)
        if (process->threads[i]->tid == (uint32_t)id)
            return stub->threads[i].inner_tid;
    return id;
}

/* A block belongs to one process of those that share the memory, if any: to that which set it up.
 */
static size_t owner_of(const Crs__Tree *tree, struct tracee *const *stubs, size_t i, int32_t pid)
{
    for (size_t k = 0; k < tree->n_processes; k++)
        if (stubs[k] && tree->processes[k]->pid == (uint32_t)pid &&
            tree->processes[k]->address_space == tree->processes[i]->address_space)
            return k;
    return tree->n_processes;
}

static void say(const struct cooperation_restart *restart, bool alone, struct cooperation *block)
{
    block->restarts++;
    block->restarter = restart->restarter;
    strncpy(block->source, restart->source, sizeof(block->source) - 1);
    block->source[sizeof(block->source) - 1] = 0;
    block->signal = 0; /* it was for those that were saved */
    if (!cooperation_is_busy(block))
        return;
    block->owner = 0;
    /* One that had its outcome goes to its end with that: some have acted on it already. */
    if (block->outcome == COOPERATION_NONE)
        block->outcome = COOPERATION_RESTART;
    if (alone)
        cooperation_put_back(block);
}

/* Yama forgets with the process what it was told; without yama it's an error, of no matter. */
static int let_be_held(struct tracee *stub, struct crs_error *err)
{
    int64_t result;

    return REMOTE(tracee_main(stub), &result, err, SYS_prctl, PR_SET_PTRACER, PR_SET_PTRACER_ANY);
}

int cooperation_tell_restart(const struct cooperation_restart *restart, const Crs__Tree *tree,
                             struct tracee *const *stubs, size_t i, struct crs_error *err)
{
    uint64_t address = tree->processes[i]->cooperation;
    struct cooperation block;

    if (!address)
        return 0;
    /* The snapshot isn't trusted: an address in it is worth what stands there. */
    if (tracee_read(stubs[i], address, &block, sizeof(block), NULL) < 0 ||
        !cooperation_is_sane(&block))
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "process %u has no block of a checkpoint library at %#lx",
                        tree->processes[i]->pid, address);
    size_t owner = owner_of(tree, stubs, i, block.pid);
    bool alone = owner == tree->n_processes ||
                 cooperation_is_alone(&block, (pid_t)tree->processes[owner]->pid);
    if (owner < tree->n_processes) {
        block.pid = stubs[owner]->inner_pid;
        if (block.runner_tid)
            block.runner_tid = new_tid(tree->processes[owner], stubs[owner], block.runner_tid);
    }
    if (cooperation_is_busy(&block)) {
        block.requester = new_pid(tree, stubs, block.requester);
        block.target = new_pid(tree, stubs, block.target);
    }
    say(restart, alone, &block);
    int r = tracee_write(stubs[i], address, &block, sizeof(block), err);
    if (r == 0 && block.flags & COOPERATION_HOLDABLE)
        r = let_be_held(stubs[i], err);
    return r;
}
