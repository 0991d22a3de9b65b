/*
 * sharing.c - what threads share, and what processes share without being threads
 *
 * Threads share all of it, as pthread_create() makes them. A thread may part with its table of
 * descriptors by unshare(2); such a process would come back with one, so it is refused. (For
 * directory and umask there is thread_directory.c.) Processes share what clone(2) was told to let
 * them share: the first that has it saves it, and the others are made so that they share it again
 * (engine/lineage.c).
 */
#include <linux/kcmp.h>
#include <string.h>
#include <sys/syscall.h>

#include "kobj/attributes.h"

static long compare(pid_t a, pid_t b, int what)
{
    return syscall(SYS_kcmp, a, b, what, 0UL, 0UL);
}

static int check_shared(struct tracee *t, struct tracee_thread *thread, int what, const char *words,
                        struct crs_error *err)
{
    long r = compare(tracee_main(t)->tid, thread->tid, what);

    if (r == 0 || (r < 0 && errno == ENOSYS))
        return 0;
    if (r < 0)
        return crs_fail_errno(err, CRS_CANT_CHECKPOINT, "can't compare threads of process %d",
                              t->pid);
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                    "thread %d of process %d has %s of its own (unshare): that can't be saved",
                    thread->tid, t->pid, words);
}

static int dump_sharing(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    struct tracee *t = ctx->t;

    tracee_for_each_thread (t, thread) {
        int r = check_shared(t, thread, KCMP_FILES, "a table of descriptors", err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- between processes ---- */

static const struct {
    int what;
    const char *words;
} shared[KOBJ_N_SHARED] = {
    [KOBJ_MEMORY] = {KCMP_VM, "memory (CLONE_VM)"},
    [KOBJ_DESCRIPTORS] = {KCMP_FILES, "table of descriptors (CLONE_FILES)"},
    [KOBJ_DIRECTORY] = {KCMP_FS, "working directory and umask (CLONE_FS)"},
    [KOBJ_ACTIONS] = {KCMP_SIGHAND, "actions on signals (CLONE_SIGHAND)"},
};

const char *kobj_shared_words(enum kobj_shared what)
{
    return shared[what].words;
}

uint32_t *kobj_shared_with(Crs__Process *process, enum kobj_shared what)
{
    switch (what) {
    case KOBJ_DESCRIPTORS:
        return &process->shares_descriptors;
    case KOBJ_DIRECTORY:
        return &process->shares_directory;
    case KOBJ_ACTIONS:
        return &process->shares_actions;
    case KOBJ_MEMORY:
        break;
    }
    return NULL;
}

/* Members in the order that kcmp(2) gives, one for each that is shared. */
struct sorted {
    size_t *members;
    size_t n;
};

/* Put one more among them; or it shares what one of them has. */
static int sort_in(struct kobj_dump *ctx, enum kobj_shared what, struct sorted *sorted, size_t i,
                   struct crs_error *err)
{
    struct kobj_member *member = &ctx->members.items[i];
    size_t low = 0, high = sorted->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct tracee *other = ctx->members.items[sorted->members[middle]].t;
        long order =
            compare(tracee_main(other)->tid, tracee_main(member->t)->tid, shared[what].what);
        if (order < 0)
            return crs_fail_errno(err, CRS_CANT_CHECKPOINT, "can't compare processes %d and %d",
                                  other->pid, member->t->pid);
        if (order == 0) {
            member->first[what] = sorted->members[middle];
            return 0;
        }
        if (order == 1)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(sorted->members + low + 1, sorted->members + low,
            (sorted->n - low) * sizeof(*sorted->members));
    sorted->members[low] = member->first[what] = i;
    sorted->n++;
    return 0;
}

int kobj_find_sharing(struct kobj_dump *ctx, struct crs_error *err)
{
    _cleanup_free_ size_t *room = calloc(ctx->members.n, sizeof(*room));
    bool any_memory = false;
    int r = 0;

    if (!room)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (unsigned what = 0; what < KOBJ_N_SHARED; what++) {
        struct sorted sorted = {.members = room};
        for (size_t i = 0; r == 0 && i < ctx->members.n; i++) {
            ctx->members.items[i].first[what] = i;
            /* Actions are shared only by those that share their memory: few are asked for them. */
            if (what != KOBJ_ACTIONS || any_memory)
                r = sort_in(ctx, what, &sorted, i, err);
            any_memory |= ctx->members.items[i].first[KOBJ_MEMORY] != i;
        }
    }
    return r;
}

/* Who may not be asked about is another user's, and shares nothing. */
int kobj_check_apart(struct tracee *t, pid_t stranger, struct crs_error *err)
{
    for (unsigned what = 0; what < KOBJ_N_SHARED; what++) {
        if (compare(tracee_main(t)->tid, stranger, shared[what].what) != 0)
            continue;
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "process %d shares its %s with process %d, which is not saved with it: "
                        "take a checkpoint of both, or when one of them has ended",
                        t->pid, shared[what].words, stranger);
    }
    return 0;
}

const struct kobj_process_kind kobj_sharing = {
    .name = "sharing",
    .title = "what threads and processes share",
    .saved = "with conditions",
    .conditions =
        "a thread with descriptors or a working directory of its own is refused; processes "
        "may share these, their memory and actions on signals (clone) with parents, "
        "children and siblings",
    .dump = dump_sharing,
};
