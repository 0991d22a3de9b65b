/*
 * test_inject_return.c - functions that threads of a live process are made to run: the ways back
 *
 * Into a call that was interrupted, also when signals come meanwhile; and ways that don't lead
 * back. And threads that have no room for a function.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cooperation_return.h"
#include "base/io.h"
#include "inject_target.h"
#include "tracee/inject.h"

#define SLEEP_MS 1000

/* A signal comes for the thread itself. */
static void disturbed(void *arg, siginfo_t *info, void *context)
{
    raise(SIGUSR1);
    injected(arg, info, context);
}

/* Likewise, and the function doesn't end an interrupted call for it. */
static void disturbed_and_returned(void *arg, siginfo_t *info, void *context)
{
    disturbed(arg, info, context);
    cooperation_return(info, context);
}

static void returned(void *arg, siginfo_t *info, void *context)
{
    injected(arg, info, context);
    cooperation_return(info, context);
}

static sigjmp_buf jump;

static void jumping(void *arg, siginfo_t *info, void *context)
{
    atomic_fetch_add(&shared->runs, 1);
    siglongjmp(jump, 1);
}

static void ending(void *arg, siginfo_t *info, void *context)
{
    atomic_fetch_add(&shared->runs, 1);
    syscall(SYS_exit, 0);
}

/* It takes the stack that anything below the thread's stack pointer would be on. */
static void handle_usr1(int number)
{
    volatile char stack[16384];

    for (size_t i = 0; i < sizeof(stack); i++)
        stack[i] = (char)0xee;
    atomic_fetch_add(&shared->handled, 1);
}

static void catch_usr1(int flags)
{
    struct sigaction action = {.sa_handler = handle_usr1, .sa_flags = flags};

    sigaction(SIGUSR1, &action, NULL);
}

static void report(bool good)
{
    atomic_store(&shared->result, good ? 1 : 2);
}

static void *pauses(void *arg)
{
    catch_usr1(SA_RESTART);
    is_ready();
    report(pause() < 0 && errno == EINTR && atomic_load(&shared->handled) == 1);
    return NULL;
}

/* The signal is blocked but in the call. */
static void *suspends(void *arg)
{
    sigset_t none, usr1;

    catch_usr1(SA_RESTART);
    sigemptyset(&none);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    is_ready();
    bool interrupted = sigsuspend(&none) < 0 && errno == EINTR;
    pthread_sigmask(SIG_SETMASK, NULL, &none);
    report(interrupted && atomic_load(&shared->handled) == 1 && sigismember(&none, SIGUSR1));
    return NULL;
}

static void *reads(void *arg)
{
    char byte;

    catch_usr1(0);
    is_ready();
    report(read(shared->pipe[0], &byte, 1) < 0 && errno == EINTR);
    return NULL;
}

static void *reads_again(void *arg)
{
    char byte;

    catch_usr1(SA_RESTART);
    is_ready();
    report(read(shared->pipe[0], &byte, 1) == 1 && atomic_load(&shared->handled) == 1);
    return NULL;
}

static void *polls(void *arg)
{
    catch_usr1(SA_RESTART);
    is_ready();
    report(poll(NULL, 0, LIMIT_S * 1000) < 0 && errno == EINTR);
    return NULL;
}

/* The handler runs first, and then the call is made again, with what was left for it. */
static void *sleeps(void *arg)
{
    const struct timespec ts = {SLEEP_MS / 1000, 0};
    uint64_t from_us = now_us();
    long r;

    catch_usr1(0);
    is_ready();
    register const struct timespec *first __asm__("rdi") = &ts;
    register long second __asm__("rsi") = 0;
    __asm__ volatile("syscall"
                     : "=a"(r), "+r"(first), "+r"(second)
                     : "0"(SYS_nanosleep)
                     : "rcx", "r11", "memory");
    bool same = first == &ts && second == 0;
    report(r == 0 && same && now_us() - from_us >= (SLEEP_MS - 1) * 1000 &&
           atomic_load(&shared->handled) == 1);
    return NULL;
}

static void *polls_registers(void *arg)
{
    struct pollfd end = {.fd = shared->pipe[0], .events = POLLIN};
    struct pollfd *before = &end;
    long r;

    is_ready();
    register struct pollfd *first __asm__("rdi") = before;
    register long second __asm__("rsi") = 1;
    register long third __asm__("rdx") = LIMIT_S * 1000;
    __asm__ volatile("syscall"
                     : "=a"(r), "+r"(first), "+r"(second), "+r"(third)
                     : "0"(SYS_poll)
                     : "rcx", "r11", "memory");
    report(r == 1 && end.revents == POLLIN && first == before && second == 1 &&
           third == LIMIT_S * 1000);
    return NULL;
}

static void *jumps(void *arg)
{
    sigset_t mask;
    int value = sigsetjmp(jump, 1);

    if (value == 0) {
        is_ready();
        pause();
    }
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    report(value == 1 && !sigismember(&mask, SIGTERM) && sigismember(&mask, SIGUSR2));
    return NULL;
}

static void cleaned_up(void *arg)
{
    atomic_fetch_add(&shared->handled, 1);
}

static void *is_cancelled(void *arg)
{
    const struct timespec ts = {LIMIT_S, 0};

    pthread_cleanup_push(cleaned_up, NULL);
    is_ready();
    nanosleep(&ts, NULL);
    pthread_cleanup_pop(0);
    return NULL;
}

static void *(*chosen)(void *);

static void run_chosen(void)
{
    make_threads(chosen, 1);
}

/* Cancelled when the function has run. */
static void run_cancelled(void)
{
    pthread_t thread;
    void *result = NULL;

    pthread_create(&thread, NULL, is_cancelled, NULL);
    while (atomic_load(&shared->runs) == 0)
        usleep(1000);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    report(result == PTHREAD_CANCELED && atomic_load(&shared->handled) == 1);
}

/* On an alternate stack that is just large enough for the handler. */
static void stay_in_handler(int number)
{
    is_ready();
    for (;;)
        pause();
}

static void *is_on_alternate_stack(void *arg)
{
    static char room[256 << 10]; /* there is memory below the stack, but not for it */
    struct sigaction action = {.sa_handler = stay_in_handler, .sa_flags = SA_ONSTACK};
    stack_t stack = {.ss_sp = room + sizeof(room) - (12 << 10), .ss_size = 12 << 10};

    memset(room, 1, sizeof(room));
    sigaltstack(&stack, NULL);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    return NULL;
}

static void run_small_stack(void)
{
    pthread_attr_t attr;
    pthread_t thread;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 16384);
    if (pthread_create(&thread, &attr, run_pause, NULL) != 0)
        atomic_store(&shared->failed, __LINE__);
}

/* The thread is asleep in its call: the tool may come. */
static void wait_until_asleep(pid_t pid)
{
    char path[64];

    for (int turn = 0;; turn++) {
        _cleanup_bytes_ struct bytes text = {0};
        snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, atomic_load(&shared->tid));
        assert_int_equal(read_file(AT_FDCWD, path, 4096, &text), 0);
        if (text.data[0] >= '0' && text.data[0] <= '9')
            return;
        assert_true(turn < LIMIT_S * 1000);
        usleep(1000);
    }
}

/* The target's other thread runs `function`; it gets a signal while it is held. */
static int inject_one(pid_t pid, void (*function)(void *, siginfo_t *, void *), bool signalled,
                      struct crs_error *err)
{
    _cleanup_(cleanup_tracee) struct tracee *t = NULL;
    int r = tracee_freeze(pid, 0, &t, err);

    assert_int_equal(r, 0);
    assert_int_equal(t->n_threads, 2);
    r = tracee_inject(&t->threads[1], (uint64_t)function, (uint64_t)restorer, (uint64_t)shared,
                      err);
    if (signalled)
        syscall(SYS_tgkill, pid, t->threads[1].tid, SIGUSR1);
    assert_int_equal(tracee_thaw(t, false, err), 0);
    return r;
}

static void wait_for_result(void)
{
    for (int turn = 0; atomic_load(&shared->result) == 0; turn++) {
        assert_true(turn < LIMIT_S * 1000);
        usleep(1000);
    }
    assert_int_equal(atomic_load(&shared->result), 1);
    assert_int_equal(atomic_load(&shared->failed), 0);
}

static void try_call(void *(*body)(void *), void (*function)(void *, siginfo_t *, void *),
                     bool signalled, bool end_read)
{
    struct crs_error err = {0};

    chosen = body;
    pid_t pid = start_target(run_chosen, 1);
    wait_until_asleep(pid);
    int r = inject_one(pid, function, signalled, &err);
    if (r < 0)
        print_error("%s\n", err.text);
    assert_int_equal(r, 0);
    wait_until_moved(&shared->runs, 0, 1);
    if (end_read)
        assert_int_equal(write(shared->pipe[1], "x", 1), 1);
    wait_for_result();
    end_target(pid);
}

/* A signal that comes meanwhile ends the calls that it would have ended without us. */
static void signals_end_calls(void **state)
{
    try_call(pauses, disturbed_and_returned, false, false);
    try_call(pauses, returned, true, false);
    try_call(reads, disturbed_and_returned, false, false);
    try_call(reads, returned, true, false);
    try_call(polls, disturbed_and_returned, false, false);
    try_call(suspends, returned, true, false);
    try_call(reads_again, disturbed_and_returned, false, true);
    try_call(reads_again, returned, true, true);
}

/* What a call that is made again points to isn't lost to a handler; nor are registers changed. */
static void calls_are_made_again(void **state)
{
    try_call(sleeps, disturbed, false, false);
    try_call(polls_registers, injected, false, true);
}

static void ways_out(void **state)
{
    struct crs_error err = {0};

    try_call(jumps, jumping, false, false);
    chosen = run_pause;
    pid_t pid = start_target(run_chosen, 1);
    wait_until_asleep(pid);
    assert_int_equal(inject_one(pid, ending, false, &err), 0);
    wait_until_moved(&shared->runs, 0, 1);
    for (int turn = 0, n = 2; n != 1; turn++) { /* the thread has ended, the process lives */
        struct tracee *t = NULL;
        assert_int_equal(tracee_freeze(pid, 0, &t, &err), 0);
        n = (int)t->n_threads;
        tracee_free(t);
        assert_true(turn < LIMIT_S * 1000);
        usleep(1000);
    }
    end_target(pid);
}

/* Unwinding finds its way out of a call that is made again. */
static void cancellation(void **state)
{
    struct crs_error err = {0};
    pid_t pid = start_target(run_cancelled, 1);

    wait_until_asleep(pid);
    assert_int_equal(inject_one(pid, injected, false, &err), 0);
    wait_for_result();
    end_target(pid);
}

static void assert_refused(void (*run)(void), const char *words)
{
    struct crs_error err = {0};
    pid_t pid = start_target(run, 1);

    wait_until_asleep(pid);
    assert_int_equal(inject_one(pid, injected, false, &err), -ENOSPC);
    if (!strstr(err.text, words))
        print_error("%s\n", err.text);
    assert_non_null(strstr(err.text, words));
    assert_int_equal(atomic_load(&shared->runs), 0);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    end_target(pid);
}

static void no_room(void **state)
{
    assert_refused(run_small_stack, "the stack of thread");
    chosen = is_on_alternate_stack;
    assert_refused(run_chosen, "alternate stack of thread");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_end_calls), cmocka_unit_test(calls_are_made_again),
        cmocka_unit_test(ways_out),          cmocka_unit_test(cancellation),
        cmocka_unit_test(no_room),
    };
    return cmocka_run_group_tests_name("inject_return", tests, NULL, NULL);
}
