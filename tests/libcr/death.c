/*
 * death.c - the tool dies: at every step all go on, and the next request works
 */
#include "tool.h"

static int n_callbacks, answer, forwarded;

/* One that has ended; `zombie`: and that nobody has waited for. */
static pid_t dead_process(bool zombie)
{
    siginfo_t info;
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    CHECK(pid > 0);
    CHECK(waitid(P_PID, pid, &info, WEXITED | (zombie ? WNOWAIT : 0)) == 0);
    return pid;
}

static int callback(void *arg)
{
    int r = cr_checkpoint(CR_CHECKPOINT_READY);

    __atomic_fetch_add(&n_callbacks, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&answer, r, __ATOMIC_SEQ_CST);
    return 0;
}

static int forwards(void *arg)
{
    CHECK(cr_forward_checkpoint(CR_SCOPE_PROC, 1) == -1);
    forwarded = errno;
    answer = cr_checkpoint(CR_CHECKPOINT_READY);
    return 0;
}

static void wait_for_end(uint32_t rounds)
{
    WAIT_FOR(LOAD(tool_block->rounds) == rounds + 1);
    tool_check_idle();
}

static void while_pending(pid_t dead)
{
    uint32_t rounds = LOAD(tool_block->rounds);

    tool_pend(dead);
    CHECK(cr_tryenter_cs(0) > 0);
    CHECK(cr_enter_cs(0) == 0);
    CHECK(LOAD(tool_block->rounds) == rounds + 1 && LOAD(tool_block->sections) == 1);
    tool_pend(dead);
    CHECK(cr_leave_cs(0) == 0);
    CHECK(LOAD(tool_block->rounds) == rounds + 2 && n_callbacks == 0);
    tool_check_idle();
}

static void in_the_runner(pid_t dead)
{
    uint32_t rounds = LOAD(tool_block->rounds);

    tool_pend(dead);
    tool_write(&tool_block->phase, COOPERATION_RUNNER_PHASE);
    wait_for_end(rounds);
    CHECK(n_callbacks == 1 && answer == -ECANCELED);
}

/* It has said that threads will come, and died before it could make any. */
static void before_threads(pid_t dead)
{
    uint32_t rounds = LOAD(tool_block->rounds);

    tool_pend(dead);
    CHECK(tool_run_runner());
    tool_block->expected = 5;
    tool_write(&tool_block->phase, COOPERATION_THREADS_PHASE);
    wait_for_end(rounds);
    CHECK(n_callbacks == 1 && answer == -ECANCELED);
}

static void die_in_threads(void *arg)
{
    uint32_t rounds = LOAD(tool_block->rounds);

    tool_pend(*(pid_t *)arg);
    CHECK(tool_run_runner());
    tool_call_threads();
    tool_block->expected = 5; /* more than were made to */
    wait_for_end(rounds);
}

static void in_threads(pid_t dead)
{
    struct tool_run run;

    tool_start(&run, die_in_threads, &dead);
    tool_join(&run);
    CHECK(n_callbacks == 2 && answer == -ECANCELED);
}

static void in_forward(pid_t dead)
{
    uint32_t rounds = LOAD(tool_block->rounds);

    CHECK(cr_replace_callback(0 | CR_THREAD_CONTEXT, forwards, NULL, CR_THREAD_CONTEXT) == 0);
    tool_pend(dead);
    tool_write(&tool_block->phase, COOPERATION_RUNNER_PHASE);
    wait_for_end(rounds);
    CHECK(forwarded == ECANCELED && answer == -ECANCELED);
    CHECK(cr_replace_callback(0 | CR_THREAD_CONTEXT, callback, NULL, CR_THREAD_CONTEXT) == 0);
}

static void next_works(void)
{
    n_callbacks = 0;
    tool_round(COOPERATION_CONTINUE);
    CHECK(n_callbacks == 2 && answer == 0);
    n_callbacks = 0;
}

int main(void)
{
    void (*const steps[])(pid_t) = {while_pending, in_the_runner, before_threads, in_threads,
                                    in_forward};

    tool_begin();
    CHECK(cr_init() == 0);
    CHECK(cr_register_callback(callback, NULL, CR_THREAD_CONTEXT) >= 0);
    CHECK(cr_register_callback(callback, NULL, CR_SIGNAL_CONTEXT) >= 0);
    for (int zombie = 0; zombie < 2; zombie++) {
        pid_t dead = dead_process(zombie);
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
            steps[i](dead);
            next_works();
        }
    }
    return 0;
}
