/*
 * request_callbacks.c - requests of real checkpoints: what callbacks can do with them
 */
#include <sys/syscall.h>

#include "target.h"

static void without_callbacks(void)
{
    struct target t = start(nothing, NULL);

    CHECK(request(CR_SCOPE_PROC, t.pid, NULL) == 0);
    CHECK(request(CR_SCOPE_PROC, t.pid, NULL) == 0);
    end(&t);
}

static void of_each_context(void)
{
    struct target thread = start(with_thread, NULL), handler = start(with_signal, NULL),
                  both = start(with_both, NULL);

    for (int i = 0; i < 3; i++) {
        CHECK(request(CR_SCOPE_PROC, thread.pid, NULL) == 0);
        expect(&thread, "t=");
        CHECK(request(CR_SCOPE_PROC, handler.pid, NULL) == 0);
        expect(&handler, "s=");
        CHECK(request(CR_SCOPE_PROC, both.pid, NULL) == 0);
        expect(&both, "ts==");
        expect_silence(&both);
    }
    end(&thread);
    end(&handler);
    end(&both);
}

static void wishing(void *arg)
{
    wish = (int)(intptr_t)arg;
    with_thread(NULL);
}

static void temporary(void)
{
    struct target t = start(wishing, (void *)CR_CHECKPOINT_TEMP_FAILURE),
                  code = start(wishing, (void *)(intptr_t)CR_CHECKPOINT_TEMP_FAILURE_CODE(4711));

    CHECK(request(CR_SCOPE_PROC, t.pid, &(struct wishes){.signal = SIGKILL}) == CR_ETEMPFAIL);
    expect(&t, "t-");
    CHECK(request(CR_SCOPE_PROC, code.pid, NULL) == 4711);
    expect(&code, "t-");
    CHECK(request(CR_SCOPE_PROC, t.pid, NULL) == CR_ETEMPFAIL);
    expect(&t, "t-");
    end(&t);
    end(&code);
}

/* One fails, and all others of the request are told. */
static void temporary_for_all(void)
{
    struct target fails = start(wishing, (void *)CR_CHECKPOINT_TEMP_FAILURE),
                  other = start(with_both, NULL), plain = start(nothing, NULL);

    CHECK(request(CR_SCOPE_TREE, 0, NULL) == CR_ETEMPFAIL);
    expect(&fails, "t-");
    expect(&other, "t-");
    expect_silence(&other); /* the callback of the other context is not begun, or fails as well */
    end(&fails);
    end(&other);
    end(&plain);
}

static void permanent(void)
{
    struct target t = start(wishing, (void *)CR_CHECKPOINT_PERM_FAILURE),
                  code = start(wishing, (void *)(intptr_t)CR_CHECKPOINT_PERM_FAILURE_CODE(815));

    CHECK(request(CR_SCOPE_PROC, t.pid, NULL) == CR_EPERMFAIL);
    expect_killed(&t, SIGKILL);
    CHECK(request(CR_SCOPE_PROC, code.pid, NULL) == 815);
    expect_killed(&code, SIGKILL);
}

static void left_out(void)
{
    struct target out = start(wishing, (void *)CR_CHECKPOINT_OMIT), in;

    CHECK(request(CR_SCOPE_PROC, out.pid, NULL) == ESRCH);
    expect(&out, "to");
    in = start(with_thread, NULL);
    CHECK(request(CR_SCOPE_SESS, 0, NULL) == 0);
    expect(&out, "to");
    expect(&in, "t=");
    end(&out);
    end(&in);
}

static void failing_afterwards(void *arg)
{
    returns = 1;
    with_thread(NULL);
}

static void failure_afterwards(void)
{
    struct target t = start(failing_afterwards, NULL);

    CHECK(request(CR_SCOPE_PROC, t.pid, NULL) == CR_EPERMFAIL);
    expect_killed(&t, SIGKILL);
}

/* ---- forwarding ---- */

static int forward_result;
static cr_scope_t forward_scope;

static int forwarding(void *arg)
{
    pid_t pid = (pid_t)(intptr_t)arg;

    say('t');
    errno = 0;
    forward_result = cr_forward_checkpoint(forward_scope, pid) < 0 ? errno : 0;
    say(forward_result == 0 ? 'f' : forward_result == ESRCH ? '3' : '?');
    answer = cr_checkpoint(CR_CHECKPOINT_READY);
    say_answer();
    return 0;
}

static void forwarder(void *arg)
{
    nothing(NULL);
    CHECK(cr_register_callback(forwarding, arg, CR_THREAD_CONTEXT) >= 0);
}

static void forwarded(void)
{
    struct target to = start(with_both, NULL), from = start(forwarder, (void *)(intptr_t)to.pid);

    CHECK(request(CR_SCOPE_PROC, from.pid, NULL) == 0);
    expect(&from, "tf=");
    expect(&to, "ts==");
    CHECK(request(CR_SCOPE_SESS, 0, NULL) == 0); /* it is in the request already */
    expect(&from, "tf=");
    expect(&to, "ts==");
    kill(to.pid, SIGKILL);
    expect_killed(&to, SIGKILL);
    CHECK(request(CR_SCOPE_PROC, from.pid, NULL) == 0);
    expect(&from, "t3=");
    end(&from);
}

/* ---- critical sections ---- */

static int leave_fd;

static void in_section(void *arg)
{
    char letter;

    nothing(NULL);
    CHECK(cr_enter_cs(0) == 0);
    say('!');
    CHECK(read(leave_fd, &letter, 1) == 1);
    CHECK(cr_status() == CR_STATE_PENDING);
    say('l');
    CHECK(cr_leave_cs(0) == 0);
    say(cr_status() == CR_STATE_IDLE ? 'i' : '?'); /* it was taken before that returned */
}

static void sections(void)
{
    cr_checkpoint_handle_t handle;
    struct timeval now = {0};
    int fds[2];

    CHECK(pipe(fds) == 0);
    leave_fd = fds[0];
    struct target t = start(in_section, NULL);
    CHECK(ask(CR_SCOPE_PROC, t.pid, NULL, &handle) == 0);
    CHECK(cr_poll_checkpoint(&handle, &now) == 0);
    CHECK(write(fds[1], "x", 1) == 1);
    CHECK(reap(&handle) == 0);
    expect(&t, "li!");
    end(&t);
}

/* ---- forks ---- */

static pid_t forked_in_callback;

static int fork_in_callback(void *arg)
{
    forked_in_callback = fork();
    if (forked_in_callback == 0) {
        for (;;)
            pause();
    }
    say('t');
    answer = cr_checkpoint(CR_CHECKPOINT_READY);
    say_answer();
    kill(forked_in_callback, SIGKILL);
    waitpid(forked_in_callback, NULL, 0);
    return 0;
}

static void forking(void *arg)
{
    nothing(NULL);
    CHECK(cr_register_callback(fork_in_callback, NULL, CR_THREAD_CONTEXT) >= 0);
}

static void forks(void)
{
    struct target t = start(forking, NULL);

    CHECK(request(CR_SCOPE_TREE, t.pid, NULL) == 0);
    expect(&t, "t=");
    end(&t);
}

/* Made behind libc's back, it has a copy of its parent's words, in which a section is held. */
static void forking_raw(void *arg)
{
    nothing(NULL);
    CHECK(cr_enter_cs(0) == 0);
    if (syscall(SYS_fork) == 0)
        for (;;)
            pause();
    CHECK(cr_leave_cs(0) == 0);
}

static void raw_forks(void)
{
    struct target t = start(forking_raw, NULL), other = start(with_both, NULL);

    CHECK(request(CR_SCOPE_TREE, t.pid, NULL) == 0);
    CHECK(request(CR_SCOPE_SESS, 0, NULL) == 0);
    expect(&other, "ts==");
    end(&t);
    end(&other);
}

/* ---- ends ---- */

static int end_in_callback(void *arg)
{
    say('t');
    _exit(0);
}

static int exec_in_callback(void *arg)
{
    say('t');
    execlp("sleep", "sleep", "1000", NULL);
    return 1;
}

static void ending(void *arg)
{
    nothing(NULL);
    CHECK(cr_register_callback(end_in_callback, NULL, CR_THREAD_CONTEXT) >= 0);
}

static void executing(void *arg)
{
    nothing(NULL);
    CHECK(cr_register_callback(exec_in_callback, NULL, CR_THREAD_CONTEXT) >= 0);
}

/* Who ends, or becomes another program, is no part of the request any more. */
static void ends(void)
{
    struct target ends = start(ending, NULL), executes = start(executing, NULL);

    CHECK(request(CR_SCOPE_PROC, ends.pid, NULL) == ESRCH);
    expect(&ends, "t");
    CHECK(waitpid(ends.pid, NULL, 0) == ends.pid);
    CHECK(request(CR_SCOPE_PROC, executes.pid, NULL) == ESRCH);
    expect(&executes, "t");
    end(&executes);
    struct target other = start(with_both, NULL);
    ends = start(ending, NULL);
    executes = start(executing, NULL);
    CHECK(request(CR_SCOPE_SESS, 0, NULL) == 0);
    expect(&other, "ts==");
    expect(&ends, "t");
    expect(&executes, "t");
    CHECK(waitpid(ends.pid, NULL, 0) == ends.pid);
    end(&executes);
    end(&other);
}

/* ---- of oneself ---- */

static void of_oneself(void)
{
    cr_checkpoint_handle_t handle;
    int fds[2];
    char letters[2];

    CHECK(pipe(fds) == 0);
    words = fds[1];
    with_thread(NULL);
    CHECK(ask(CR_SCOPE_PROC, 0, NULL, &handle) == 0);
    CHECK(reap(&handle) == 0);
    CHECK(read(fds[0], letters, 2) == 2 && memcmp(letters, "t=", 2) == 0);
}

int main(void)
{
    static const struct test_case cases[] = {
        CASE(without_callbacks),  CASE(of_each_context),
        CASE(temporary),          CASE(temporary_for_all),
        CASE(permanent),          CASE(left_out),
        CASE(failure_afterwards), CASE(forwarded),
        CASE(sections),           CASE(forks),
        CASE(raw_forks),          CASE(ends),
        CASE(of_oneself),
    };

    return RUN_CASES(cases);
}
