/*
 * callbacks.c - order, nesting, what cr_checkpoint() returns, failures, replacement, information
 */
#include "tool.h"

static char story[4096];
static int answer; /* of the last cr_checkpoint() */
static pid_t thread_of[2];

static void tell(const char *word)
{
    size_t n = strlen(story);

    snprintf(story + n, sizeof(story) - n, "%s%s", n ? " " : "", word);
}

static void expect_story(const char *wanted)
{
    if (strcmp(story, wanted) != 0) {
        fprintf(stderr, "told:   %s\nwanted: %s\n", story, wanted);
        _exit(1);
    }
    story[0] = '\0';
}

static int usual(void *arg)
{
    char word[32];

    CHECK(cr_status() == CR_STATE_ACTIVE);
    CHECK(cr_enter_cs(CR_ID_CALLBACK) == 0 && cr_leave_cs(CR_ID_CALLBACK) == 0);
    tell(arg);
    answer = cr_checkpoint(CR_CHECKPOINT_READY);
    snprintf(word, sizeof(word), "%s%s", (char *)arg, answer == 0 ? "=" : answer > 0 ? "+" : "-");
    tell(word);
    return 0;
}

static int implicit(void *arg)
{
    tell(arg);
    return 0;
}

static int where(void *arg)
{
    thread_of[(intptr_t)arg] = gettid();
    return 0;
}

static void order(void)
{
    tool_round(COOPERATION_CONTINUE);
    expect_story("");
    CHECK(cr_register_callback(usual, "t1", CR_THREAD_CONTEXT) == (0 | CR_THREAD_CONTEXT));
    CHECK(cr_register_callback(usual, "t2", CR_THREAD_CONTEXT) == (1 | CR_THREAD_CONTEXT));
    CHECK(cr_register_callback(usual, "s1", CR_SIGNAL_CONTEXT) == (0 | CR_SIGNAL_CONTEXT));
    CHECK(cr_register_callback(implicit, "s2", CR_SIGNAL_CONTEXT) == (1 | CR_SIGNAL_CONTEXT));
    CHECK(cr_register_callback(usual, "s3", CR_SIGNAL_CONTEXT) == (2 | CR_SIGNAL_CONTEXT));
    CHECK(LOAD(tool_block->runner_tid) != 0);
    CHECK(LOAD(tool_block->flags) & COOPERATION_WANTS_THREADS);
    /* after the checkpoint both contexts go on at the same time: only one of them here */
    CHECK(cr_replace_callback(0 | CR_THREAD_CONTEXT, NULL, NULL, CR_THREAD_CONTEXT) == 0);
    CHECK(cr_replace_callback(1 | CR_THREAD_CONTEXT, implicit, "t", CR_THREAD_CONTEXT) == 0);
    tool_round(COOPERATION_CONTINUE);
    expect_story("t s3 s2 s1 s1= s3=");
    CHECK(answer == 0);
    tool_block->restarter = 77;
    tool_round(COOPERATION_RESTART);
    expect_story("t s3 s2 s1 s1+ s3+");
    CHECK(answer == 77);
    tool_block->restarter = 0;
    tool_round(COOPERATION_RESTART);
    expect_story("t s3 s2 s1 s1+ s3+");
    CHECK(answer == 1);
    CHECK(tool_block->callback_error == 0);
    for (int i = 0; i < 3; i++)
        CHECK(cr_replace_callback(i | CR_SIGNAL_CONTEXT, NULL, NULL, CR_SIGNAL_CONTEXT) == 0);
    CHECK(cr_replace_callback(0 | CR_THREAD_CONTEXT, usual, "t1", CR_THREAD_CONTEXT) == 0);
    CHECK(cr_replace_callback(1 | CR_THREAD_CONTEXT, usual, "t2", CR_THREAD_CONTEXT) == 0);
    tool_round(COOPERATION_CONTINUE);
    expect_story("t2 t1 t1= t2=");
}

/* In which threads; and with all replaced by nothing the block has no wishes. */
static void threads(void)
{
    CHECK(cr_replace_callback(0 | CR_THREAD_CONTEXT, where, (void *)0, CR_THREAD_CONTEXT) == 0);
    CHECK(cr_replace_callback(1 | CR_THREAD_CONTEXT, NULL, NULL, CR_THREAD_CONTEXT) == 0);
    CHECK(cr_replace_callback(0 | CR_SIGNAL_CONTEXT, where, (void *)1, CR_SIGNAL_CONTEXT) == 0);
    tool_round(COOPERATION_CONTINUE);
    CHECK(thread_of[0] == tool_block->runner_tid && thread_of[0] != gettid());
    CHECK(thread_of[1] == gettid());
    CHECK(cr_replace_callback(0 | CR_THREAD_CONTEXT, NULL, NULL, CR_THREAD_CONTEXT) == 0);
    CHECK(cr_replace_callback(0 | CR_SIGNAL_CONTEXT, NULL, NULL, CR_SIGNAL_CONTEXT) == 0);
    CHECK(LOAD(tool_block->runner_tid) == 0 &&
          !(LOAD(tool_block->flags) & COOPERATION_WANTS_THREADS));
}

static int flags_of_failure;

static int failing(void *arg)
{
    tell(arg);
    answer = cr_checkpoint(flags_of_failure);
    CHECK(cr_checkpoint(CR_CHECKPOINT_READY) == -CR_ENOTCB); /* once */
    return answer;
}

/* Callbacks of the same group that have not begun are skipped. */
static void fail_with(int context, int flags, uint32_t abort, int result)
{
    flags_of_failure = flags;
    CHECK(cr_replace_callback(0 | context, usual, "skipped", context) == 0);
    CHECK(cr_replace_callback(1 | context, failing, "failing", context) == 0);
    CHECK(tool_round(COOPERATION_CONTINUE) == abort);
    expect_story("failing");
    CHECK(answer == result);
    CHECK(tool_block->callback_error == 0); /* there was no checkpoint */
    CHECK(cr_replace_callback(0 | context, NULL, NULL, context) == 0);
    CHECK(cr_replace_callback(1 | context, NULL, NULL, context) == 0);
}

static int wrong(void *arg)
{
    CHECK(cr_checkpoint(8) == -EINVAL);
    CHECK(cr_checkpoint(3) == -EINVAL);
    return cr_checkpoint(CR_CHECKPOINT_READY);
}

static void failures(void)
{
    const int contexts[] = {CR_THREAD_CONTEXT, CR_SIGNAL_CONTEXT};

    for (int i = 0; i < 2; i++) {
        fail_with(contexts[i], CR_CHECKPOINT_TEMP_FAILURE, COOPERATION_ABORT_TEMPORARY,
                  -CR_ETEMPFAIL);
        fail_with(contexts[i], CR_CHECKPOINT_TEMP_FAILURE_CODE(99),
                  COOPERATION_ABORT_TEMPORARY | 99 << 16, -99);
        fail_with(contexts[i], CR_CHECKPOINT_PERM_FAILURE_CODE(0xffff),
                  COOPERATION_ABORT_PERMANENT | 0xffffu << 16, -0xffff);
        fail_with(contexts[i], CR_CHECKPOINT_OMIT, COOPERATION_ABORT_OMIT, -CR_EOMITTED);
        CHECK(cr_replace_callback(0 | contexts[i], wrong, NULL, contexts[i]) == 0);
        CHECK(tool_round(COOPERATION_CONTINUE) == 0);
        CHECK(cr_replace_callback(0 | contexts[i], NULL, NULL, contexts[i]) == 0);
    }
}

static int refused(void *arg)
{
    CHECK(cr_register_callback(implicit, NULL, CR_THREAD_CONTEXT) == -1 && errno == EBUSY);
    CHECK(cr_replace_callback(0 | CR_THREAD_CONTEXT, implicit, NULL, CR_THREAD_CONTEXT) == -1 &&
          errno == EBUSY);
    CHECK(cr_register_hook(CR_HOOK_CONT_NO_CALLBACKS, NULL) == CR_HOOK_FN_ERROR && errno == EBUSY);
    CHECK(cr_replace_self(implicit, NULL, CR_SIGNAL_CONTEXT) == -1 && errno == EINVAL);
    tell("first");
    CHECK(cr_replace_self(implicit, "second", CR_THREAD_CONTEXT) == 0);
    return 0;
}

static int informed(void *arg)
{
    const struct cr_checkpoint_info *info = cr_get_checkpoint_info();

    CHECK(info && info->requester == 4711 && info->target == getpid() && info->signal == 0);
    CHECK(info->scope == CR_SCOPE_TREE && strcmp(info->dest, "/some/where/context.1") == 0);
    CHECK(cr_get_restart_info() == NULL);
    int r = cr_checkpoint(CR_CHECKPOINT_READY);
    CHECK(cr_get_checkpoint_info() == NULL);
    const struct cr_restart_info *restart = cr_get_restart_info();
    CHECK((r > 0) == (restart != NULL));
    if (restart)
        CHECK(restart->requester == 77 && strcmp(restart->src, "/from/here") == 0);
    tell(r > 0 ? "restart" : "continue");
    return 0;
}

static void rest(void)
{
    const int id = 0 | CR_THREAD_CONTEXT;

    CHECK(cr_replace_callback(id, refused, NULL, CR_THREAD_CONTEXT) == 0);
    tool_round(COOPERATION_CONTINUE);
    CHECK(tool_block->callback_error == 0);
    tool_round(COOPERATION_CONTINUE);
    expect_story("first second");
    CHECK(cr_replace_callback(id, informed, NULL, CR_THREAD_CONTEXT) == 0);
    tool_round(COOPERATION_CONTINUE);
    tool_block->restarter = 77;
    strcpy(tool_block->source, "/from/here");
    tool_round(COOPERATION_RESTART);
    expect_story("continue restart");
    CHECK(cr_replace_callback(id, NULL, NULL, CR_THREAD_CONTEXT) == 0);
}

static int forwards(void *arg)
{
    CHECK(cr_forward_checkpoint((cr_scope_t)9, 1) == -1 && errno == EINVAL);
    CHECK(cr_forward_checkpoint(CR_SCOPE_PGRP, 1234) == 0);
    CHECK(cr_forward_checkpoint(CR_SCOPE_PROC, 4321) == -1 && errno == ESRCH);
    CHECK(cr_checkpoint(CR_CHECKPOINT_READY) == 0);
    CHECK(cr_forward_checkpoint(CR_SCOPE_PROC, 4321) == -1 && errno == CR_ENOTCB);
    return 0;
}

static void answer_forward(uint32_t scope, int target, int result)
{
    WAIT_FOR(LOAD(tool_block->forward) == COOPERATION_FORWARD_ASKED);
    CHECK(tool_block->forward_scope == scope && tool_block->forward_target == target);
    tool_block->forward_result = result;
    tool_write(&tool_block->forward, COOPERATION_FORWARD_ANSWERED);
}

static void forward(void)
{
    uint32_t rounds = LOAD(tool_block->rounds);

    CHECK(cr_replace_callback(0 | CR_THREAD_CONTEXT, forwards, NULL, CR_THREAD_CONTEXT) == 0);
    CHECK(cr_hold_ctrl(CR_HOLD_SCOPE_INIT, CR_HOLD_NONE) == CR_HOLD_BOTH);
    CHECK(cr_hold_ctrl(CR_HOLD_SCOPE_UNINIT, CR_HOLD_NONE) == CR_HOLD_BOTH);
    CHECK(!(LOAD(tool_block->flags) &
            COOPERATION_WANTS_THREADS)); /* nobody but the runner is needed */
    tool_pend(getpid());
    tool_write(&tool_block->phase, COOPERATION_RUNNER_PHASE);
    answer_forward(CR_SCOPE_PGRP, 1234, 0);
    answer_forward(CR_SCOPE_PROC, 4321, ESRCH);
    WAIT_FOR(LOAD(tool_block->runner) == COOPERATION_ARRIVED);
    tool_tell(COOPERATION_CONTINUE, 0);
    WAIT_FOR(LOAD(tool_block->rounds) != rounds);
    tool_check_idle();
}

/* A request that fails before the callbacks have begun runs none. */
static void early_failure(void)
{
    uint32_t rounds = LOAD(tool_block->rounds);

    CHECK(cr_replace_callback(0 | CR_THREAD_CONTEXT, usual, "never", CR_THREAD_CONTEXT) == 0);
    tool_pend(getpid());
    tool_tell(COOPERATION_FAILED, EIO);
    tool_write(&tool_block->phase, COOPERATION_RUNNER_PHASE);
    WAIT_FOR(LOAD(tool_block->rounds) != rounds);
    tool_check_idle();
    expect_story("");
}

int main(void)
{
    tool_begin();
    CHECK(cr_register_callback(implicit, NULL, CR_THREAD_CONTEXT) == -1 && errno == CR_ENOINIT);
    CHECK(cr_replace_callback(0, implicit, NULL, 0) == -1 && errno == CR_ENOINIT);
    CHECK(cr_status() == -1 && errno == CR_ENOINIT);
    CHECK(cr_init() == 0 && cr_init() == 1 && cr_init() == 2);
    CHECK(cr_register_callback(implicit, NULL, 0) == -1 && errno == EINVAL);
    CHECK(cr_register_callback(implicit, NULL, CR_SIGNAL_CONTEXT | CR_THREAD_CONTEXT) == -1 &&
          errno == EINVAL);
    CHECK(cr_replace_callback(0 | CR_SIGNAL_CONTEXT, implicit, NULL, CR_SIGNAL_CONTEXT) == -1 &&
          errno == EINVAL);
    CHECK(cr_replace_self(implicit, NULL, CR_SIGNAL_CONTEXT) == -1 && errno == CR_ENOTCB);
    CHECK(cr_checkpoint(CR_CHECKPOINT_READY) == -CR_ENOTCB);
    CHECK(cr_get_checkpoint_info() == NULL && cr_get_restart_info() == NULL);
    CHECK(cr_forward_checkpoint(CR_SCOPE_PROC, 1) == -1 && errno == CR_ENOTCB);
    order();
    CHECK(cr_replace_callback(0 | CR_SIGNAL_CONTEXT, implicit, NULL, CR_THREAD_CONTEXT) == -1 &&
          errno == EINVAL);
    threads();
    failures();
    rest();
    forward();
    early_failure();
    CHECK(cr_checkpoint(CR_CHECKPOINT_READY) == -CR_ENOTCB);
    return 0;
}
