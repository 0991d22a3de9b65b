/*
 * threads.c - threads with and without callbacks, hooks, holds, ends of threads, persistence
 */
#include "tool.h"

#define N_THREADS 6

static int n_callbacks, n_hooks[CR_NUM_HOOKS];
static bool stop;

static int count(void *arg)
{
    CHECK(gettid() == *(pid_t *)arg);
    __atomic_fetch_add(&n_callbacks, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static int nothing(void *arg)
{
    return 0;
}

static void hook(cr_hook_event_t event)
{
    CHECK(cr_enter_cs(CR_ID_CALLBACK) == 0 && cr_leave_cs(CR_ID_CALLBACK) == 0);
    __atomic_fetch_add(&n_hooks[event], 1, __ATOMIC_SEQ_CST);
}

static void expect_hooks(int cs, int ct, int cn, int rs, int rt, int rn)
{
    const int wanted[] = {cs, ct, cn, rs, rt, rn};

    for (int i = 0; i < CR_NUM_HOOKS; i++) {
        CHECK(n_hooks[i] == wanted[i]);
        n_hooks[i] = 0;
    }
}

/* ---- threads that come, wait and go ---- */

struct one {
    pthread_t thread;
    bool has_callback, ready;
};

static void *stand(void *arg)
{
    struct one *one = arg;
    pid_t tid = gettid();
    sigset_t before, after;

    sigprocmask(SIG_SETMASK, NULL, &before);
    if (one->has_callback) {
        CHECK(cr_init() == 0);
        CHECK(cr_register_callback(count, &tid, CR_SIGNAL_CONTEXT) == (0 | CR_SIGNAL_CONTEXT));
    }
    __atomic_store_n(&one->ready, true, __ATOMIC_SEQ_CST);
    WAIT_FOR(LOAD(stop));
    sigprocmask(SIG_SETMASK, NULL, &after);
    CHECK(memcmp(&before, &after, sizeof(before)) == 0);
    return NULL;
}

static void many(void)
{
    struct one all[N_THREADS] = {0};

    for (int i = 0; i < CR_NUM_HOOKS; i++)
        CHECK(cr_register_hook((cr_hook_event_t)i, hook) == NULL);
    for (int i = 0; i < N_THREADS; i++) {
        all[i].has_callback = i % 3 == 0;
        CHECK(pthread_create(&all[i].thread, NULL, stand, &all[i]) == 0);
        WAIT_FOR(LOAD(all[i].ready));
    }
    tool_round(COOPERATION_CONTINUE);
    CHECK(n_callbacks == 2);
    expect_hooks(2, 1, N_THREADS - 2 + 1, 0, 0, 0); /* and the main thread */
    tool_round(COOPERATION_RESTART);
    CHECK(n_callbacks == 4);
    expect_hooks(0, 0, 0, 2, 1, N_THREADS - 2 + 1);
    __atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
    for (int i = 0; i < N_THREADS; i++)
        CHECK(pthread_join(all[i].thread, NULL) == 0);
    tool_round(COOPERATION_CONTINUE); /* their callbacks have gone with them */
    CHECK(n_callbacks == 4);
    expect_hooks(0, 1, 1, 0, 0, 0);
    for (int i = 0; i < CR_NUM_HOOKS; i++)
        CHECK(cr_register_hook((cr_hook_event_t)i, NULL) == hook);
    CHECK(cr_register_hook(CR_NUM_HOOKS, NULL) == CR_HOOK_FN_ERROR && errno == EINVAL);
}

/* ---- holds: who goes on before the thread callbacks have ended ---- */

static bool go_on, runner_waits, expect_free, is_free;

static int slow_after(void *arg)
{
    cr_checkpoint(CR_CHECKPOINT_READY);
    __atomic_store_n(&runner_waits, true, __ATOMIC_SEQ_CST);
    WAIT_FOR(LOAD(go_on));
    return 0;
}

static void tool_until_finished(void *arg)
{
    const enum cooperation_outcome *outcome = arg;
    uint32_t rounds = LOAD(tool_block->rounds);

    tool_pend(getpid());
    CHECK(tool_run_runner());
    tool_call_threads();
    tool_wait_for_threads();
    tool_tell(*outcome, 0);
    WAIT_FOR(LOAD(tool_block->finished) == tool_n_called && LOAD(runner_waits));
    WAIT_FOR(!expect_free || LOAD(is_free)); /* who isn't held goes on meanwhile */
    __atomic_store_n(&go_on, true, __ATOMIC_SEQ_CST);
    WAIT_FOR(LOAD(tool_block->rounds) != rounds);
}

/* This thread is made to run entry() in the middle of the wait. */
static void expect_held(enum cooperation_outcome outcome, bool held)
{
    struct tool_run run;

    go_on = runner_waits = is_free = false;
    expect_free = !held;
    tool_start(&run, tool_until_finished, &outcome);
    WAIT_FOR(LOAD(runner_waits));
    CHECK(LOAD(go_on) == held);
    __atomic_store_n(&is_free, true, __ATOMIC_SEQ_CST);
    tool_join(&run);
    tool_check_idle();
}

static void holds(void)
{
    CHECK(cr_replace_callback(0 | CR_THREAD_CONTEXT, slow_after, NULL, CR_THREAD_CONTEXT) == 0);
    CHECK(cr_hold_ctrl(CR_HOLD_SCOPE_THREAD, CR_HOLD_READ) == CR_HOLD_DFLT);
    CHECK(cr_hold_ctrl(CR_HOLD_SCOPE_INIT, CR_HOLD_READ) == CR_HOLD_BOTH);
    CHECK(cr_hold_ctrl(CR_HOLD_SCOPE_UNINIT, CR_HOLD_READ) == CR_HOLD_BOTH);
    CHECK(cr_hold_ctrl(CR_HOLD_SCOPE_INIT, CR_HOLD_DFLT) == -1 && errno == EINVAL);
    CHECK(cr_hold_ctrl(3, CR_HOLD_READ) == -1 && errno == EINVAL);
    expect_held(COOPERATION_CONTINUE, true);
    expect_held(COOPERATION_RESTART, true);
    CHECK(cr_hold_ctrl(CR_HOLD_SCOPE_INIT, CR_HOLD_RSTRT) == CR_HOLD_BOTH);
    expect_held(COOPERATION_CONTINUE, false);
    expect_held(COOPERATION_RESTART, true);
    CHECK(cr_hold_ctrl(CR_HOLD_SCOPE_THREAD, CR_HOLD_CONT) == CR_HOLD_DFLT);
    expect_held(COOPERATION_CONTINUE, true);
    expect_held(COOPERATION_RESTART, false);
    CHECK(cr_hold_ctrl(CR_HOLD_SCOPE_THREAD, CR_HOLD_DFLT) == CR_HOLD_CONT);
    CHECK(cr_hold_ctrl(CR_HOLD_SCOPE_INIT, CR_HOLD_BOTH) == CR_HOLD_RSTRT);
}

/* ---- ends ---- */

static int ends_thread(void *arg)
{
    pthread_exit(NULL);
}

static void *exits_in_callback(void *arg)
{
    struct one *one = arg;

    CHECK(cr_init() == 0 && cr_register_callback(ends_thread, NULL, CR_SIGNAL_CONTEXT) >= 0);
    __atomic_store_n(&one->ready, true, __ATOMIC_SEQ_CST);
    for (;;)
        pause();
}

static void end_in_callback(void)
{
    struct one one = {0};

    CHECK(cr_replace_callback(0 | CR_THREAD_CONTEXT, NULL, NULL, CR_THREAD_CONTEXT) == 0);
    CHECK(pthread_create(&one.thread, NULL, exits_in_callback, &one) == 0);
    WAIT_FOR(LOAD(one.ready));
    tool_round(COOPERATION_CONTINUE);
    CHECK(pthread_join(one.thread, NULL) == 0);
    CHECK(!(LOAD(tool_block->flags) & COOPERATION_WANTS_THREADS));
    tool_round(COOPERATION_CONTINUE);
}

/* Another one takes its place. */
static void runner_ends(void)
{
    pid_t before;

    CHECK(cr_replace_callback(0 | CR_THREAD_CONTEXT, ends_thread, NULL, CR_THREAD_CONTEXT) == 0);
    before = LOAD(tool_block->runner_tid);
    tool_round(COOPERATION_CONTINUE);
    WAIT_FOR(LOAD(tool_block->runner_tid) != before && LOAD(tool_block->runner_tid) != 0);
    CHECK(cr_replace_callback(0 | CR_THREAD_CONTEXT, nothing, NULL, CR_THREAD_CONTEXT) == 0);
    tool_round(COOPERATION_CONTINUE);
}

static pthread_key_t late_key;
static int n_late;

static void late(void *value)
{
    CHECK(cr_status() == CR_STATE_IDLE);
    if (++n_late < 2)
        pthread_setspecific(late_key, value);
    else
        CHECK(cr_dec_persist() == 1);
}

static void *persists(void *arg)
{
    CHECK(cr_inc_persist() == -1 && errno == CR_ENOINIT);
    CHECK(cr_init() == 0);
    CHECK(cr_dec_persist() == -1 && errno == ERANGE);
    CHECK(cr_inc_persist() == 0);
    CHECK(pthread_setspecific(late_key, arg) == 0);
    return NULL;
}

static void persistence(void)
{
    pthread_t thread;

    CHECK(pthread_key_create(&late_key, late) == 0);
    CHECK(pthread_create(&thread, NULL, persists, &thread) == 0);
    CHECK(pthread_join(thread, NULL) == 0 && n_late == 2);
}

static void *spin(void *arg)
{
    static int n;
    cr_spinlock_t *lock = arg;

    for (int i = 0; i < 20000; i++) {
        cr_spinlock_lock(lock);
        n++;
        cr_spinlock_unlock(lock);
    }
    return &n;
}

static void spinlocks(void)
{
    cr_spinlock_t lock = CR_SPINLOCK_INITIALIZER;
    pthread_t threads[2];
    void *n;

    CHECK(cr_spinlock_trylock(&lock) != 0 && cr_spinlock_trylock(&lock) == 0);
    cr_spinlock_init(&lock);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, spin, &lock) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], &n) == 0);
    CHECK(*(int *)n == 40000 && lock == CR_SPINLOCK_INITIALIZER);
}

int main(void)
{
    tool_begin();
    CHECK(cr_register_hook(CR_HOOK_CONT_NO_CALLBACKS, hook) == CR_HOOK_FN_ERROR &&
          errno == CR_ENOINIT);
    CHECK(cr_hold_ctrl(CR_HOLD_SCOPE_THREAD, CR_HOLD_READ) == -1 && errno == CR_ENOINIT);
    CHECK(cr_init() == 0);
    CHECK(cr_register_callback(nothing, NULL, CR_THREAD_CONTEXT) == (0 | CR_THREAD_CONTEXT));
    many();
    holds();
    end_in_callback();
    runner_ends();
    persistence();
    spinlocks();
    return 0;
}
