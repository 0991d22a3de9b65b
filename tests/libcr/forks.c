/*
 * forks.c - a child of fork() has nothing of its parent's part in checkpoints
 */
#include "tool.h"

static pid_t child;
static int n_callbacks;

static int count(void *arg)
{
    n_callbacks++;
    return 0;
}

static void nothing(cr_hook_event_t event)
{
}

static void expect_good_end(pid_t pid)
{
    int status;

    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* All of it can be had again. */
static void in_child(void)
{
    CHECK(tool_block->pid == getpid() && tool_block->runner_tid == 0 &&
          (tool_block->flags & ~COOPERATION_HOLDABLE) == 0);
    tool_check_idle();
    CHECK(tool_block->sections == 0);
    CHECK(cr_status() == -1 && errno == CR_ENOINIT);
    CHECK(cr_leave_cs(0) == -1 && errno == CR_ENOINIT);
    CHECK(cr_init() == 0);
    CHECK(cr_status() == CR_STATE_IDLE);
    CHECK(cr_hold_ctrl(CR_HOLD_SCOPE_INIT, CR_HOLD_READ) == CR_HOLD_BOTH);
    CHECK(cr_register_hook(CR_HOOK_CONT_NO_CALLBACKS, NULL) == NULL);
    n_callbacks = 0;
    CHECK(cr_register_callback(count, NULL, CR_THREAD_CONTEXT) == (0 | CR_THREAD_CONTEXT));
    CHECK(cr_register_callback(count, NULL, CR_SIGNAL_CONTEXT) == (0 | CR_SIGNAL_CONTEXT));
    CHECK(cr_enter_cs(0) == 0 && cr_leave_cs(0) == 0);
    tool_round(COOPERATION_CONTINUE);
    CHECK(n_callbacks == 2);
}

static void plain(void)
{
    CHECK(cr_enter_cs(0) == 0);
    child = fork();
    if (child == 0) {
        in_child();
        _exit(0);
    }
    expect_good_end(child);
    CHECK(LOAD(tool_block->sections) == 1);
    CHECK(cr_leave_cs(0) == 0);
}

/* A callback forks, and the child returns from it like the parent. */
static int forks(void *arg)
{
    child = fork();
    if (child == 0)
        CHECK(cr_checkpoint(CR_CHECKPOINT_READY) == -CR_ENOTCB);
    else
        CHECK(cr_checkpoint(CR_CHECKPOINT_READY) == 0);
    return 0;
}

/* In signal context the child goes on where its parent was. */
static void in_signal_context(void)
{
    struct tool_run run = {.wanted = COOPERATION_CONTINUE};
    pid_t self = getpid();

    CHECK(cr_replace_callback(0 | CR_SIGNAL_CONTEXT, forks, NULL, CR_SIGNAL_CONTEXT) == 0);
    tool_start(&run, NULL, NULL);
    WAIT_FOR(child != -1);
    if (getpid() != self) {
        in_child();
        _exit(0);
    }
    tool_join(&run);
    expect_good_end(child);
    CHECK(cr_replace_callback(0 | CR_SIGNAL_CONTEXT, NULL, NULL, CR_SIGNAL_CONTEXT) == 0);
}

/* In thread context the child's only thread is the runner, which ends: and so does the child. */
static void in_thread_context(void)
{
    CHECK(cr_replace_callback(0 | CR_THREAD_CONTEXT, forks, NULL, CR_THREAD_CONTEXT) == 0);
    tool_round(COOPERATION_CONTINUE);
    expect_good_end(child);
    CHECK(cr_replace_callback(0 | CR_THREAD_CONTEXT, count, NULL, CR_THREAD_CONTEXT) == 0);
}

int main(void)
{
    tool_begin();
    CHECK(cr_init() == 0);
    CHECK(cr_register_callback(count, NULL, CR_THREAD_CONTEXT) >= 0);
    CHECK(cr_register_callback(count, NULL, CR_SIGNAL_CONTEXT) >= 0);
    CHECK(cr_register_hook(CR_HOOK_CONT_NO_CALLBACKS, nothing) == NULL);
    CHECK(cr_hold_ctrl(CR_HOLD_SCOPE_INIT, CR_HOLD_CONT) == CR_HOLD_BOTH);
    plain();
    child = -1;
    in_signal_context();
    in_thread_context();
    n_callbacks = 0;
    tool_round(COOPERATION_CONTINUE);
    CHECK(n_callbacks == 1);
    return 0;
}
