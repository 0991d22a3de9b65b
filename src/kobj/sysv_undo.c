/*
 * sysv_undo.c - what a process has promised to undo at its end (SEM_UNDO)
 *
 * The kernel shows these adjustments to nobody. But it refuses an operation that would make one too
 * large (ERANGE), and a list of operations is done as a whole or not at all: so the process is made
 * to try a list that changes the adjustment by so much and can't succeed in the end. Which error it
 * gets tells whether the adjustment is larger than the rest; nothing is changed by it.
 */
#include <linux/kcmp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/syscall.h>

#include "kobj/attributes.h"
#include "kobj/sysv.h"

#define MOST           SYSV_SEMAPHORE_MAX
#define N_PER_SET      8  /* operations that ask whether one adjustment is 0 */
#define SETS_AT_ONCE   50 /* of the 500 that the kernel takes in a list, by default */
#define ADJUSTMENT_MIN (-MOST - 1)

struct operations {
    struct sembuf items[N_PER_SET * SETS_AT_ONCE + 1];
    size_t n;
};
_Static_assert(sizeof(struct sembuf[N_PER_SET * SETS_AT_ONCE + 1]) <= TRACEE_SCRATCH_SIZE,
               "they have room in the process");

static void add(struct operations *o, size_t semaphore, int change, bool undo)
{
    if (change != 0) /* which would be to wait for 0 */
        o->items[o->n++] =
            (struct sembuf){semaphore, (short)change, IPC_NOWAIT | (undo ? SEM_UNDO : 0)};
}

/* *ret_error: what the call failed with, 0: it didn't. */
static int run(struct tracee_thread *th, uint32_t set, const struct operations *o, int *ret_error,
               struct crs_error *err)
{
    int64_t result;
    int r = tracee_call_with_block(th, &result, err, SYS_semop, (const uint64_t[6]){set, 0, o->n},
                                   1, o->items, NULL, o->n * sizeof(*o->items));

    if (r == 0)
        *ret_error = result < 0 ? (int)-result : 0;
    return r;
}

/* A list that ends with what can't be. true: it didn't get that far. */
static int is_too_large(struct tracee_thread *th, uint32_t set, struct operations *o, bool *ret,
                        struct crs_error *err)
{
    int error, r = run(th, set, o, &error, err);

    if (r < 0)
        return r;
    *ret = error == ERANGE;
    if (error == ERANGE || error == EAGAIN)
        return 0;
    return crs_fail(err, CRS_CANT_CHECKPOINT, error ? error : EPROTO,
                    "it can't be told what process %d has promised to undo at its end (SEM_UNDO) "
                    "in the System V semaphores with the ID %u: %s; end it, or remove them (ipcrm) "
                    "before the checkpoint",
                    th->owner->pid, set, strerror(error));
}

/* ---- one adjustment ---- */

struct semaphore {
    struct tracee_thread *th;
    uint32_t set;
    size_t number;
    int value;
};

/* Does the adjustment with `more` added (negative: taken away) leave the range? */
static int leaves(const struct semaphore *s, int more, bool *ret, struct crs_error *err)
{
    struct operations o = {.n = 0};

    add(&o, s->number, -s->value, false);
    if (more > 0) {
        add(&o, s->number, more, false);
        add(&o, s->number, -more, true);
    } else {
        add(&o, s->number, -more, true);
        add(&o, s->number, more, false);
    }
    add(&o, s->number, -1, false); /* it is 0 */
    return is_too_large(s->th, s->set, &o, ret, err);
}

/* The smallest k for which it leaves the range with k * direction added. */
static int search(const struct semaphore *s, int direction, int *ret, struct crs_error *err)
{
    int low = 1, high = MOST + 1;

    while (low < high) {
        int middle = (low + high) / 2;
        bool left;
        int r = leaves(s, middle * direction, &left, err);
        if (r < 0)
            return r;
        if (left)
            high = middle;
        else
            low = middle + 1;
    }
    *ret = low;
    return 0;
}

/* One that isn't 0; -1 is at the end of the range. */
static int find(const struct semaphore *s, int *ret, struct crs_error *err)
{
    bool positive;
    int k, r = leaves(s, MOST, &positive, err);

    if (r == 0)
        r = search(s, positive ? 1 : -1, &k, err);
    if (r == 0)
        *ret = positive ? MOST + 1 - k : ADJUSTMENT_MIN - 1 + k;
    return r;
}

/* ---- of a set ---- */

/* Are the adjustments of `n` semaphores from `first` on all 0? Up, back, and down as far as can be.
 */
static int are_zero(struct tracee_thread *th, const Crs__SysvSemaphores *set, size_t first,
                    size_t n, bool *ret, struct crs_error *err)
{
    struct operations o = {.n = 0};
    bool left;

    for (size_t i = first; i < first + n; i++) {
        add(&o, i, -(int)set->values[i], false);
        add(&o, i, MOST, false);
        add(&o, i, -MOST, true);
        add(&o, i, MOST, true);
        add(&o, i, -MOST, false);
        add(&o, i, MOST, true);
        add(&o, i, -MOST, false);
        add(&o, i, 1, true);
    }
    add(&o, first, -2, false);
    int r = is_too_large(th, set->object->id, &o, &left, err);
    *ret = r == 0 && !left;
    return r;
}

static int add_undo(Crs__SysvIpc *m, const struct semaphore *s, int adjustment,
                    struct crs_error *err)
{
    Crs__SysvUndo *undo = malloc(sizeof(*undo));
    Crs__SysvUndo **more = reallocarray(m->undos, m->n_undos + 1, sizeof(*more));

    if (more)
        m->undos = more;
    if (!undo || !more) {
        free(undo);
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    }
    crs__sysv_undo__init(undo);
    undo->set = s->set;
    undo->semaphore = s->number;
    undo->adjustment = adjustment;
    more[m->n_undos++] = undo;
    return 0;
}

static int save_some(struct tracee_thread *th, const Crs__SysvSemaphores *set, size_t first,
                     size_t n, Crs__SysvIpc *m, struct crs_error *err)
{
    const struct semaphore s = {th, set->object->id, first, (int)set->values[first]};
    bool zero;
    int adjustment, r = are_zero(th, set, first, n, &zero, err);

    if (r < 0 || zero)
        return r;
    for (size_t i = first; n > 1 && r == 0 && i < first + n; i++)
        r = save_some(th, set, i, 1, m, err);
    if (n > 1)
        return r;
    r = find(&s, &adjustment, err);
    return r == 0 ? add_undo(m, &s, adjustment, err) : r;
}

static int save_thread(struct tracee_thread *th, const Crs__SysvIpc *all, Crs__SysvIpc *m,
                       struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; i < all->n_semaphores; i++) {
        const Crs__SysvSemaphores *set = all->semaphores[i];
        for (size_t k = 0; r == 0 && k < set->n_values; k += SETS_AT_ONCE) {
            size_t left = set->n_values - k;
            r = save_some(th, set, k, left < SETS_AT_ONCE ? left : SETS_AT_ONCE, m, err);
        }
    }
    return r;
}

/* ---- of a process ---- */

/* The list that a thread keeps of them; one who has never asked for any has none. Where the kernel
 * can't compare them (CONFIG_KCMP), each may have its own. */
static bool same_list(pid_t a, pid_t b)
{
    return syscall(SYS_kcmp, a, b, KCMP_SYSVSEM, 0UL, 0UL) == 0;
}

/* It may forbid the calls; it is refused for that later. */
static int has_filter(struct tracee *t, bool *ret, struct crs_error *err)
{
    *ret = false;
    tracee_for_each_thread (t, th) {
        _cleanup_proc_status_ struct proc_status status = {0};
        int r = kobj_read_status(th, &status, err);
        if (r < 0)
            return r;
        *ret |= status.seccomp != 0;
    }
    return 0;
}

/* At the restart the threads of a process share one list, as pthread_create() makes them. */
static int refuse_own(struct tracee_thread *th, struct crs_error *err)
{
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                    "thread %d of process %d has promised to undo operations on semaphores at its "
                    "own end (SEM_UNDO), apart from the process: that can't be saved",
                    th->tid, th->owner->pid);
}

static int save_own(struct tracee_thread *th, const Crs__SysvIpc *all, struct crs_error *err)
{
    Crs__SysvIpc own = CRS__SYSV_IPC__INIT;
    int r = save_thread(th, all, &own, err);

    if (r == 0 && own.n_undos > 0)
        r = refuse_own(th, err);
    for (size_t i = 0; i < own.n_undos; i++)
        crs__sysv_undo__free_unpacked(own.undos[i], NULL);
    free(own.undos);
    return r;
}

int sysv_save_undos(struct kobj_dump *ctx, const Crs__SysvIpc *all, Crs__SysvIpc *m,
                    struct crs_error *err)
{
    struct tracee_thread *main_thread = tracee_main(ctx->t);
    pid_t self = gettid();
    bool filtered;
    int r = all->n_semaphores > 0 ? has_filter(ctx->t, &filtered, err) : 0;

    if (r < 0 || all->n_semaphores == 0 || filtered)
        return r;
    /* This thread has none then: who has the same has none. It is nobody's but ours. */
    if (unshare(CLONE_SYSVSEM) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't part with the list of semaphores to undo");
    if (!same_list(self, main_thread->tid))
        r = save_thread(main_thread, all, m, err);
    tracee_for_each_thread (ctx->t, th)
        if (r == 0 && th != main_thread && !same_list(main_thread->tid, th->tid) &&
            !same_list(self, th->tid))
            r = save_own(th, all, err);
    return r;
}

/* ---- restart ---- */

static const Crs__SysvSemaphores *find_set(const Crs__SysvIpc *all, const Crs__SysvUndo *undo)
{
    for (size_t i = 0; i < all->n_semaphores; i++)
        if (all->semaphores[i]->object->id == undo->set)
            return undo->semaphore < all->semaphores[i]->n_values ? all->semaphores[i] : NULL;
    return NULL;
}

/* The value goes down to 0 and up again at the end. */
static void adjust(struct operations *o, size_t semaphore, int value, int adjustment)
{
    add(o, semaphore, -value, false);
    for (int left = abs(adjustment); left > 0; left -= MOST) {
        int some = left < MOST ? left : MOST;
        add(o, semaphore, some, adjustment < 0);
        add(o, semaphore, -some, adjustment > 0);
    }
    add(o, semaphore, value, false);
}

static int make_undo(struct tracee_thread *th, const Crs__SysvIpc *all, const Crs__SysvUndo *undo,
                     struct crs_error *err)
{
    const Crs__SysvSemaphores *set = find_set(all, undo);
    struct operations o = {.n = 0};
    int error;

    if (!set || undo->adjustment < ADJUSTMENT_MIN || undo->adjustment > MOST)
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "the snapshot undoes operations on semaphores that it doesn't have");
    adjust(&o, undo->semaphore, (int)set->values[undo->semaphore], undo->adjustment);
    int r = run(th, undo->set, &o, &error, err);
    if (r < 0 || error == 0)
        return r;
    return crs_fail(err, CRS_CANT_RESTART, error,
                    "can't set what is undone at the end (SEM_UNDO) in the System V semaphores "
                    "with the ID %u: %s",
                    undo->set, strerror(error));
}

int sysv_make_undos(struct kobj_restore *ctx, const Crs__SysvIpc *all, const Crs__SysvIpc *m,
                    struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < m->n_undos; i++)
        r = make_undo(tracee_main(ctx->t), all, m->undos[i], err);
    return r;
}
