/*
 * target.h - processes that take part in checkpoints, and say what happens to them
 *
 * Each is a child of the test with a role: a function that sets it up. What it says goes through a
 * pipe, a letter for each thing. All waits are for such a letter, or a state, with a limit.
 */
#ifndef TESTS_LIBCR_TARGET_H
#define TESTS_LIBCR_TARGET_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libcr.h"

#define LIMIT_S 60

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            check_failed(#condition, __FILE__, __LINE__);                                          \
    } while (0)

static pid_t test_pid;
static char last_log[4096];

static void check_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: not so: %s (errno %d, %s); the last request's log: %s\n", file, line,
            what, errno, cr_strerror(errno), last_log);
    _exit(1);
}

#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        time_t wait_until = time(NULL) + LIMIT_S;                                                  \
        while (!(condition)) {                                                                     \
            if (time(NULL) > wait_until)                                                           \
                check_failed("in time: " #condition, __FILE__, __LINE__);                          \
            usleep(1000);                                                                          \
        }                                                                                          \
    } while (0)

/* ---- in a target ---- */

static int words = -1; /* where it says what happens */

static void say(char letter)
{
    CHECK(write(words, &letter, 1) == 1);
}

/* Its callbacks: what they do before the checkpoint is "t" or "s", after it "=", "-" or "o". */
static int wish = CR_CHECKPOINT_READY; /* of the thread's callback */
static int returns;                    /* likewise */
static int answer;

static void say_answer(void)
{
    say(answer == 0 ? '=' : answer == -CR_EOMITTED ? 'o' : '-');
}

static int __attribute__((unused)) in_thread(void *arg)
{
    say('t');
    answer = cr_checkpoint(wish);
    say_answer();
    return returns;
}

static int __attribute__((unused)) in_signal(void *arg)
{
    say('s');
    answer = cr_checkpoint(CR_CHECKPOINT_READY);
    say_answer();
    return 0;
}

#define ROLE static void __attribute__((unused))

ROLE nothing(void *arg)
{
    CHECK(cr_init() >= 0);
}

ROLE with_thread(void *arg)
{
    nothing(NULL);
    CHECK(cr_register_callback(in_thread, NULL, CR_THREAD_CONTEXT) >= 0);
}

ROLE with_signal(void *arg)
{
    nothing(NULL);
    CHECK(cr_register_callback(in_signal, NULL, CR_SIGNAL_CONTEXT) >= 0);
}

ROLE with_both(void *arg)
{
    with_thread(NULL);
    CHECK(cr_register_callback(in_signal, NULL, CR_SIGNAL_CONTEXT) >= 0);
}

/* ---- in the test ---- */

struct target {
    pid_t pid;
    int words;
};

/* It has set itself up when this returns; then it waits for its end. */
static struct target start(void (*role)(void *arg), void *arg)
{
    struct target target;
    int fds[2];
    char letter;

    CHECK(pipe(fds) == 0);
    target.pid = fork();
    CHECK(target.pid >= 0);
    if (target.pid == 0) {
        close(fds[0]);
        words = fds[1];
        role(arg);
        say('!');
        for (;;)
            pause();
    }
    close(fds[1]);
    target.words = fds[0];
    CHECK(read(target.words, &letter, 1) == 1 && letter == '!');
    return target;
}

/* These letters come next, in this order. */
static void expect(const struct target *target, const char *letters)
{
    struct pollfd word = {.fd = target->words, .events = POLLIN};
    char letter = 0;

    for (const char *p = letters; *p; p++) {
        CHECK(poll(&word, 1, LIMIT_S * 1000) == 1);
        CHECK(read(target->words, &letter, 1) == 1);
        if (letter != *p)
            fprintf(stderr, "process %d says %c, not %c of %s\n", target->pid, letter, *p, letters);
        CHECK(letter == *p);
    }
}

/* And nothing more. */
static void __attribute__((unused)) expect_silence(const struct target *target)
{
    struct pollfd word = {.fd = target->words, .events = POLLIN};

    CHECK(poll(&word, 1, 0) == 0);
}

static char state_of(pid_t pid)
{
    char path[40], text[512];
    FILE *file;
    size_t n;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    file = fopen(path, "r");
    if (!file)
        return 0;
    n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[n] = 0;
    return n > 0 ? strrchr(text, ')')[2] : 0;
}

/* It lives, is not held by anybody, and is neither stopped nor stuck. */
static void expect_alive(const struct target *target)
{
    WAIT_FOR(state_of(target->pid) == 'S');
}

static void expect_killed(const struct target *target, int sig)
{
    int status;

    CHECK(waitpid(target->pid, &status, 0) == target->pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == sig);
    close(target->words);
}

static void __attribute__((unused)) end(const struct target *target)
{
    expect_alive(target);
    CHECK(kill(target->pid, SIGKILL) == 0);
    expect_killed(target, SIGKILL);
}

/* ---- requests ---- */

struct wishes {
    int fd; /* 0: /dev/null */
    int signal;
    unsigned flags, timeout_s;
};

/* 0, or the errno of a request that isn't accepted. */
static int ask(cr_scope_t scope, pid_t target, const struct wishes *w,
               cr_checkpoint_handle_t *ret_handle)
{
    cr_checkpoint_args_t args;
    int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC), r;

    CHECK(null_fd >= 0);
    cr_initialize_checkpoint_args_t(&args);
    args.cr_scope = scope;
    args.cr_target = target;
    args.cr_fd = w && w->fd ? w->fd : null_fd;
    args.cr_signal = w ? w->signal : 0;
    args.cr_flags = w ? w->flags : 0;
    args.cr_timeout = w ? w->timeout_s : 0;
    r = cr_request_checkpoint(&args, ret_handle) < 0 ? errno : 0;
    close(null_fd);
    return r;
}

/* How one that was accepted ends: 0 or an errno. Its log is in last_log. */
static int reap(cr_checkpoint_handle_t *handle)
{
    char *log = NULL;
    int r;

    do
        r = cr_poll_checkpoint_msg(handle, NULL, &log);
    while (r == CR_POLL_CHKPT_ERR_PRE && errno == EINTR);
    r = r > 0 ? 0 : errno;
    snprintf(last_log, sizeof(last_log), "%s", log ? log : "");
    free(log);
    return r;
}

static int request(cr_scope_t scope, pid_t target, const struct wishes *w)
{
    cr_checkpoint_handle_t handle;
    int r = ask(scope, target, w, &handle);

    return r != 0 ? r : reap(&handle);
}

struct test_case {
    const char *name;
    void (*run)(void);
};

/* Each in a process of its own, so that one's groups and sessions are nobody else's. */
static int run_cases(const struct test_case *cases, size_t n)
{
    int failed = 0, status;

    test_pid = getpid();
    for (size_t i = 0; i < n; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            setsid();
            cases[i].run();
            _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        if (status != 0) {
            fprintf(stderr, "failed: %s (%#x)\n", cases[i].name, status);
            failed++;
        }
        kill(-pid, SIGKILL);
    }
    return failed ? 1 : 0;
}

#define CASE(function)                                                                             \
    {                                                                                              \
#function, function                                                                        \
    }
#define RUN_CASES(cases) run_cases((cases), sizeof(cases) / sizeof((cases)[0]))

#endif
