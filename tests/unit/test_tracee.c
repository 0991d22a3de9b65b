/*
 * test_tracee.c - holding a live process: calls in it, and the tool's death in the middle of them
 *
 * The target is a child with several threads that blocks in many ways, counts, and ends with 1 when
 * a call returns EINTR, a register or a vector register changes, or its state does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/io.h"
#include "tracee/arch/arch.h"
#include "tracee/tracee.h"

struct shared {
    atomic_ulong beats[4];
    atomic_int failed;
};
static struct shared *shared;

static void fail_target(int code)
{
    atomic_store(&shared->failed, code);
}

/* Registers and vector registers hold their values over millions of turns. */
static void *spin(void *arg)
{
    double x[4] = {1.5, 2.5, 3.5, 4.5};
    register unsigned long a __asm__("r12") = 0x1234567890abcdef;

    for (;;) {
        for (int i = 0; i < 1000; i++) {
            __asm__ volatile("" : "+r"(a), "+x"(x[0]), "+x"(x[1]), "+x"(x[2]), "+x"(x[3]));
        }
        if (a != 0x1234567890abcdef || x[0] != 1.5 || x[3] != 4.5)
            fail_target(1);
        atomic_fetch_add(&shared->beats[0], 1);
    }
    return NULL;
}

static void *epolls(void *arg)
{
    int e = epoll_create1(0);
    struct epoll_event event;

    for (;;) {
        if (epoll_wait(e, &event, 1, 5) != 0)
            fail_target(2);
        atomic_fetch_add(&shared->beats[1], 1);
    }
    return NULL;
}

static void *polls(void *arg)
{
    for (;;) {
        if (poll(NULL, 0, 3) != 0)
            fail_target(3);
        struct timespec ts = {0, 2000000};
        if (nanosleep(&ts, NULL) != 0)
            fail_target(4);
        atomic_fetch_add(&shared->beats[2], 1);
    }
    return NULL;
}

static void run_target(void)
{
    void *(*const bodies[])(void *) = {spin, epolls, polls};
    sigset_t usr1, now;
    pthread_t thread;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &usr1, NULL);
    for (int i = 0; i < 3; i++)
        pthread_create(&thread, NULL, bodies[i], NULL);
    for (;;) {
        struct timespec ts = {0, 3000000};
        if (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) != 0)
            fail_target(5);
        pthread_sigmask(SIG_SETMASK, NULL, &now);
        if (memcmp(&now, &usr1, 8) != 0)
            fail_target(6);
        atomic_fetch_add(&shared->beats[3], 1);
    }
}

static pid_t start_target(void)
{
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    pid_t pid = fork();
    if (pid == 0)
        run_target();
    for (int i = 0; i < 4; i++) /* all threads run */
        for (int turn = 0; atomic_load(&shared->beats[i]) == 0; turn++) {
            assert_true(turn < 20000);
            usleep(1000);
        }
    return pid;
}

/* All four threads make progress, nothing has failed. */
static void assert_alive(pid_t pid)
{
    unsigned long before[4];

    for (int i = 0; i < 4; i++)
        before[i] = atomic_load(&shared->beats[i]);
    for (int turn = 0; turn < 2000; turn++) {
        int moved = 0;
        for (int i = 0; i < 4; i++)
            moved += atomic_load(&shared->beats[i]) != before[i];
        if (moved == 4)
            break;
        usleep(1000);
    }
    for (int i = 0; i < 4; i++)
        assert_int_not_equal(atomic_load(&shared->beats[i]), before[i]);
    assert_int_equal(atomic_load(&shared->failed), 0);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
}

static void end_target(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    munmap(shared, sizeof(*shared));
}

/* Hold it, say so on ready_fd, and call getpid and gettid in every thread `turns` times. */
static int hold_and_call(pid_t pid, int turns, int ready_fd)
{
    struct crs_error err = {0};
    _cleanup_(cleanup_tracee) struct tracee *t = NULL;

    if (tracee_freeze(pid, 0, &t, &err) < 0)
        return print_error("freeze: %s\n", err.text), -1;
    if (ready_fd >= 0 && write(ready_fd, "r", 1) != 1)
        return -1;
    for (int i = 0; i < turns; i++) {
        tracee_for_each_thread (t, th) {
            struct remote_call calls[] = {{.number = SYS_getpid}, {.number = SYS_gettid}};
            int r = tracee_calls(th, calls, 2, &err);
            if (r < 0)
                return print_error("call: %s\n", err.text), r;
            if (calls[0].result != pid || calls[1].result != th->tid)
                return -1;
        }
    }
    if (t->n_threads != 4)
        return -1;
    return tracee_thaw(t, false, &err);
}

static void calls_leave_no_trace(void **state)
{
    pid_t pid = start_target();

    for (int i = 0; i < 20; i++) {
        int r = -EAGAIN;
        for (int tries = 0; tries < 5000 && r == -EAGAIN; tries++) { /* as the engine does */
            usleep(tries ? 1000 : 0);
            r = hold_and_call(pid, 2, -1);
        }
        assert_int_equal(r, 0);
        if (i % 5 == 0)
            assert_alive(pid);
    }
    assert_alive(pid);
    end_target(pid);
}

/* As the engine does it: what ptrace holds ends with the thread that holds it. */
static void *hold_too_late(void *pid)
{
    struct crs_error err = {0};
    struct tracee *t = NULL;
    int r = tracee_freeze(*(pid_t *)pid, 1, &t, &err);

    if (r < 0 && err.kind != CRS_TIMED_OUT)
        print_error("%s\n", err.text);
    tracee_free(t);
    return r < 0 && err.kind == CRS_TIMED_OUT ? pid : NULL;
}

static pid_t start_waiting_target(void)
{
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        epolls(NULL);
    }
    return pid;
}

/* A thread that is told to stop and doesn't come to it in time has had its call interrupted. */
static void too_late_is_harmless(void **state)
{
    pid_t pid = start_waiting_target();
    int late = 0;

    for (int i = 0; i < 1000; i++) {
        pthread_t thread;
        void *was_late;
        assert_int_equal(pthread_create(&thread, NULL, hold_too_late, &pid), 0);
        pthread_join(thread, &was_late);
        late += was_late != NULL;
        assert_int_equal(atomic_load(&shared->failed), 0);
    }
    assert_true(late > 0);
    for (unsigned long end = atomic_load(&shared->beats[1]) + 3;
         atomic_load(&shared->beats[1]) < end;)
        usleep(1000);
    assert_int_equal(atomic_load(&shared->failed), 0);
    end_target(pid);
}

/*
 * The instant between a thread's stop and the repair of the call that it was in is not a part of
 * this: there the command's second process protects the program (see docs/architecture.md).
 */
static void death_in_a_call_is_harmless(void **state)
{
    pid_t pid = start_target();

    srandom(1);
    for (int i = 0; i < 100; i++) {
        int ready[2];
        char byte;
        assert_int_equal(pipe(ready), 0);
        pid_t tool = fork();
        if (tool == 0)
            _exit(hold_and_call(pid, 1000000, ready[1]) < 0);
        close(ready[1]);
        /* 0: a thread was still on its way back from the tool before this one */
        if (read(ready[0], &byte, 1) == 1)
            usleep(random() % 8000);
        close(ready[0]);
        kill(tool, SIGKILL);
        waitpid(tool, NULL, 0);
        if (i % 10 == 0)
            assert_alive(pid);
    }
    assert_alive(pid);
    end_target(pid);
}

/* ---- a control group that freezes it in the middle ---- */

static int put(const char *group, const char *file, const char *text)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", group, file);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

/* Calls can't return any more: that is told. What can't be let go ends with the holder. */
static int hold_while_frozen(pid_t pid, const char *group, const char *file, const char *frozen)
{
    struct crs_error err = {0};
    _cleanup_(cleanup_tracee) struct tracee *t = NULL;
    int64_t result;

    if (tracee_freeze(pid, 0, &t, &err) < 0 ||
        REMOTE(tracee_main(t), &result, &err, SYS_getpid) < 0)
        return print_error("%s\n", err.text), 1;
    if (put(group, file, frozen) < 0)
        return 2;
    int r = REMOTE(tracee_main(t), &result, &err, SYS_getpid);
    if (r != -EBUSY || err.kind != CRS_BUSY || !strstr(err.text, "frozen by its control group"))
        return print_error("%d: %s\n", r, err.text), 3;
    return 0;
}

static void run_frozen(const char *group, const char *file, const char *frozen, const char *thawed)
{
    pid_t pid = start_target();
    char number[16];
    int status;

    snprintf(number, sizeof(number), "%d", pid);
    assert_int_equal(put(group, "cgroup.procs", number), 0);
    pid_t tool = fork();
    if (tool == 0)
        _exit(hold_while_frozen(pid, group, file, frozen));
    assert_int_equal(waitpid(tool, &status, 0), tool);
    assert_int_equal(status, 0);
    assert_int_equal(put(group, file, thawed), 0);
    assert_alive(pid);
    end_target(pid);
}

static void frozen_in_a_call(void **state)
{
    static const char *const groups[][4] = {
        {"/sys/fs/cgroup", "cgroup.freeze", "1", "0"},
        {"/sys/fs/cgroup/unified", "cgroup.freeze", "1", "0"},
        {"/sys/fs/cgroup/freezer", "freezer.state", "FROZEN", "THAWED"},
    };
    int n_done = 0;

    for (size_t i = 0; i < ELEMENTS(groups); i++) {
        const char *const *g = groups[i];
        char group[128], path[256];
        snprintf(path, sizeof(path), "%s/cgroup.procs", g[0]);
        snprintf(group, sizeof(group), "%s/crs-test-tracee-%d", g[0], (int)getpid());
        if (access(path, W_OK) < 0 || mkdir(group, 0755) < 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", group, g[1]);
        if (access(path, W_OK) == 0) {
            run_frozen(group, g[1], g[2], g[3]);
            n_done++;
        }
        for (int tries = 0; rmdir(group) < 0 && tries < 1000; tries++)
            usleep(1000);
    }
    if (n_done == 0)
        skip();
}

static void blocks_and_memory(void **state)
{
    pid_t pid = start_target();
    struct crs_error err = {0};
    struct tracee *t = NULL;
    struct timespec ts = {0};
    int64_t result = -1;

    assert_int_equal(tracee_freeze(pid, 0, &t, &err), 0);
    assert_int_equal(tracee_call_with_block(tracee_main(t), &result, &err, SYS_clock_gettime,
                                            (uint64_t[6]){CLOCK_MONOTONIC}, 1, NULL, &ts,
                                            sizeof(ts)),
                     0);
    assert_int_equal(result, 0);
    assert_true(ts.tv_sec > 0 || ts.tv_nsec > 0);
    assert_true(tracee_read(t, 16, &ts, sizeof(ts), &err) < 0);
    assert_non_null(strstr(err.text, "0x10"));
    tracee_free(t);
    assert_alive(pid);
    end_target(pid);
}

#define MANY 300

static void *wait_for_ever(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static pid_t start_many(void)
{
    int made[2];
    char byte;

    assert_int_equal(pipe(made), 0);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_attr_t small;
        pthread_t thread;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 65536);
        for (int i = 1; i < MANY; i++)
            if (pthread_create(&thread, &small, wait_for_ever, NULL) != 0)
                _exit(1);
        if (write(made[1], "m", 1) == 1)
            wait_for_ever(NULL);
        _exit(1);
    }
    close(made[1]);
    assert_int_equal(read(made[0], &byte, 1), 1);
    close(made[0]);
    return pid;
}

/* Each thread once, the first of the process first, all with their registers. */
static void many_threads(void **state)
{
    pid_t pid = start_many();
    struct crs_error err = {0};
    struct tracee *t = NULL;

    assert_int_equal(tracee_freeze(pid, 0, &t, &err), 0);
    assert_int_equal(t->n_threads, MANY);
    assert_int_equal(t->threads[0].tid, pid);
    for (size_t i = 0; i < t->n_threads; i++) {
        assert_ptr_equal(t->threads[i].owner, t);
        assert_int_equal(t->threads[i].inner_tid, t->threads[i].tid);
        assert_true(arch_program_counter(&t->threads[i].regs) != 0);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(t->threads[i].tid, t->threads[j].tid);
    }
    tracee_free(t);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* Which timeouts have to be measured: relative ones of which nobody else keeps the rest. */
static void measured_timeouts(void **state)
{
    static const struct {
        long number;
        uint64_t args[6];
        const char *wchan;
        bool measured;
    } calls[] = {
        {SYS_futex, {0x1000, 0, 0, 0x2000}, "", true},        /* FUTEX_WAIT */
        {SYS_futex, {0x1000, 128, 0, 0x2000}, "", true},      /* private */
        {SYS_futex, {0x1000, 128, 0, 0}, "", false},          /* for ever */
        {SYS_futex, {0x1000, 128 + 9, 0, 0x2000}, "", false}, /* FUTEX_WAIT_BITSET: absolute */
        {SYS_poll, {0x1000, 1, 100}, "", true},
        {SYS_poll, {0x1000, 1, 0xffffffff}, "", false},
        {SYS_epoll_wait, {4, 0x1000, 1, 5000}, "", true},
        {SYS_epoll_wait, {4, 0x1000, 1, 0xffffffff}, "", false},
        {SYS_epoll_pwait2, {4, 0x1000, 1, 0}, "", false},
        {SYS_nanosleep, {0x1000, 0}, "", true},
        {SYS_nanosleep, {0x1000, 0x2000}, "", false}, /* the kernel writes the rest */
        {SYS_clock_nanosleep, {CLOCK_MONOTONIC, 0, 0x1000, 0}, "", true},
        {SYS_clock_nanosleep, {CLOCK_MONOTONIC, TIMER_ABSTIME, 0x1000, 0}, "", false},
        {SYS_clock_nanosleep, {CLOCK_MONOTONIC, 0, 0x1000, 0x2000}, "", false},
        {SYS_restart_syscall, {0x1000, 128, 0, 0x2000}, "futex_do_wait", true},
        {SYS_restart_syscall, {0x1000, 128 + 9, 0, 0x2000}, "futex_do_wait", false},
        {SYS_restart_syscall, {0x1000, 1, 100}, "do_poll", true},
        {SYS_restart_syscall, {CLOCK_MONOTONIC, 0, 0x1000, 0}, "hrtimer_nanosleep", true},
        {SYS_restart_syscall, {0x1000, 0x2000}, "hrtimer_nanosleep", false},
        {SYS_restart_syscall, {0x1000, 128 + 9, 0, 0x2000}, "0", true}, /* whatever it is */
        {SYS_read, {4, 0x1000, 1}, "", false},
        {SYS_pause, {0}, "", false},
    };

    for (size_t i = 0; i < ELEMENTS(calls); i++) {
        bool measured = arch_call_has_timeout(calls[i].number) &&
                        arch_call_needs_measure(calls[i].number, calls[i].args, calls[i].wchan);
        if (measured != calls[i].measured)
            fail_msg("call %ld, row %zu", calls[i].number, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_leave_no_trace), cmocka_unit_test(death_in_a_call_is_harmless),
        cmocka_unit_test(frozen_in_a_call),     cmocka_unit_test(blocks_and_memory),
        cmocka_unit_test(many_threads),         cmocka_unit_test(measured_timeouts),
        cmocka_unit_test(too_late_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
