/*
 * test_inject.c - functions that threads of a live process are made to run: what stays as it was
 *
 * Threads that wait in many ways: none sees EINTR, or waits shorter or much longer than it asked.
 * Threads that count: no register changes. Many at once; and the tool killed in the middle.
 */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "inject_target.h"
#include "tracee/inject.h"

#define WAIT_MS   1000
#define INJECT_AT 600 /* ms: restarted in full, a wait would take 1600 */

static uint64_t now_ms(void)
{
    return now_us() / 1000;
}

static long wait_nanosleep(void)
{
    const struct timespec ts = {WAIT_MS / 1000, 0};
    return nanosleep(&ts, NULL);
}

static long wait_nanosleep_rest(void)
{
    struct timespec ts = {WAIT_MS / 1000, 0};
    return nanosleep(&ts, &ts);
}

static long wait_clock_nanosleep(void)
{
    const struct timespec ts = {WAIT_MS / 1000, 0};
    return syscall(SYS_clock_nanosleep, CLOCK_BOOTTIME, 0, &ts, NULL);
}

static long wait_clock_absolute(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += WAIT_MS / 1000;
    return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static long wait_poll(void)
{
    return poll(NULL, 0, WAIT_MS);
}

static long wait_ppoll(void)
{
    const struct timespec ts = {WAIT_MS / 1000, 0};
    return ppoll(NULL, 0, &ts, NULL);
}

static long wait_select(void)
{
    struct timeval tv = {WAIT_MS / 1000, 0};
    return select(0, NULL, NULL, NULL, &tv);
}

static long wait_epoll(void)
{
    struct epoll_event event;
    int fd = epoll_create1(0);
    long r = epoll_wait(fd, &event, 1, WAIT_MS);

    close(fd);
    return r;
}

static long wait_epoll_pwait2(void)
{
    const struct timespec ts = {WAIT_MS / 1000, 0};
    struct epoll_event event;
    int fd = epoll_create1(0);
    long r = syscall(SYS_epoll_pwait2, fd, &event, 1, &ts, NULL, 8);

    close(fd);
    return r;
}

static long wait_futex(void)
{
    const struct timespec ts = {WAIT_MS / 1000, 0};
    uint32_t word = 0;
    long r = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0);

    return r < 0 && errno == ETIMEDOUT ? 0 : -1;
}

static long wait_futex_absolute(void)
{
    struct timespec ts;
    uint32_t word = 0;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += WAIT_MS / 1000;
    long r = syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &ts, NULL, ~0u);
    return r < 0 && errno == ETIMEDOUT ? 0 : -1;
}

static long wait_signal(void)
{
    const struct timespec ts = {WAIT_MS / 1000, 0};
    sigset_t usr2;

    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    return sigtimedwait(&usr2, NULL, &ts) < 0 && errno == EAGAIN ? 0 : -1;
}

static long wait_semaphore(void)
{
    const struct timespec ts = {WAIT_MS / 1000, 0};
    struct sembuf op = {.sem_op = -1};
    int id = semget(IPC_PRIVATE, 1, 0600);
    long r = semtimedop(id, &op, 1, &ts);

    r = r < 0 && errno == EAGAIN ? 0 : -1;
    semctl(id, 0, IPC_RMID);
    return r;
}

static long (*const waits[])(void) = {
    wait_nanosleep,    wait_nanosleep_rest, wait_clock_nanosleep, wait_clock_absolute,
    wait_poll,         wait_ppoll,          wait_select,          wait_epoll,
    wait_futex,        wait_futex_absolute, wait_signal,          wait_semaphore,
    wait_epoll_pwait2,
};

static const char *const wait_names[] = {
    "nanosleep",    "nanosleep, rest", "clock_nanosleep", "clock_nanosleep, absolute",
    "poll",         "ppoll",           "select",          "epoll_wait",
    "futex",        "futex, absolute", "rt_sigtimedwait", "semtimedop",
    "epoll_pwait2",
};

static void check_mask(void)
{
    sigset_t now;

    pthread_sigmask(SIG_SETMASK, NULL, &now);
    EXPECT(sigismember(&now, SIGUSR2) && !sigismember(&now, SIGTERM));
}

static void *run_wait(void *arg)
{
    size_t i = (size_t)arg;

    is_ready();
    while (!atomic_load(&shared->go))
        usleep(100);
    uint64_t from_ms = now_ms();
    errno = 0;
    long r = waits[i]();
    int taken_ms = (int)(now_ms() - from_ms);
    if (r != 0)
        print_error("%s: %ld, %s\n", wait_names[i], r, strerror(errno));
    EXPECT(r == 0);
    EXPECT(taken_ms >= WAIT_MS - 1);
    check_mask();
    atomic_store(&shared->taken_ms[i], taken_ms);
    return NULL;
}

/* All registers, over and over, with values that nothing else has. */
static void *run_spin(void *arg)
{
    static const uint64_t pattern[4] = {0x1111111111111111, 0x2222222222222222, 0x3333333333333333,
                                        0x4444444444444444};
    bool wide = __builtin_cpu_supports("avx");

    is_ready();
    for (;;) {
        uint64_t out[4] = {0}, low[2] = {0}, bad = 0;
        if (wide)
            __asm__ volatile("vmovdqu %1, %%ymm5; mov $300000, %%ecx; 1: dec %%ecx; jnz 1b;"
                             "vmovdqu %%ymm5, %0; vzeroupper"
                             : "=m"(out)
                             : "m"(pattern)
                             : "ecx", "xmm5", "cc");
        EXPECT(!wide || memcmp(out, pattern, sizeof(out)) == 0);
        __asm__ volatile("movdqu %2, %%xmm5; movdqu %2, %%xmm15; mov $0x11, %%r8; mov $0x22, %%r9;"
                         "mov $0x33, %%r10; mov $0x44, %%r11; mov $0x55, %%rsi; mov $0x66, %%rdi;"
                         "movq $0x77, -8(%%rsp); mov $300000, %%ecx; stc; 1: dec %%ecx; jnz 1b;"
                         "sbb $0, %1; cmpq $0x77, -8(%%rsp); jne 2f; cmp $0x11, %%r8; jne 2f;"
                         "cmp $0x22, %%r9; jne 2f; cmp $0x33, %%r10; jne 2f; cmp $0x44, %%r11;"
                         "jne 2f; cmp $0x55, %%rsi; jne 2f; cmp $0x66, %%rdi; jne 2f; jmp 3f;"
                         "2: add $2, %1; 3: add $1, %1; movdqu %%xmm15, %0"
                         : "=m"(low), "+r"(bad)
                         : "m"(pattern)
                         : "ecx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm5", "xmm15", "cc",
                           "memory");
        EXPECT(bad == 0 && memcmp(low, pattern, sizeof(low)) == 0);
        check_mask();
        atomic_fetch_add(&shared->beats, 1);
    }
    return arg;
}

static void *run_read(void *arg)
{
    char byte;

    is_ready();
    for (;;) {
        EXPECT(read(shared->pipe[0], &byte, 1) == 1);
        atomic_fetch_add(&shared->beats, 1);
    }
    return arg;
}

static int inject_all(struct tracee *t, int *ret_n, struct crs_error *err)
{
    int n = 0;

    tracee_for_each_thread (t, th) {
        int r = tracee_inject(th, (uint64_t)injected, (uint64_t)restorer, (uint64_t)shared, err);
        if (r < 0)
            return r;
        n++;
    }
    *ret_n = n;
    return 0;
}

static int hold_and_inject(pid_t pid, struct crs_error *err)
{
    _cleanup_(cleanup_tracee) struct tracee *t = NULL;
    int n = 0, r = tracee_freeze(pid, 0, &t, err);

    if (r == 0)
        r = inject_all(t, &n, err);
    if (r == 0)
        r = tracee_thaw(t, false, err);
    return r < 0 ? r : n;
}

/* All threads run it; then they are let go on for a while. */
static void inject_and_wait(pid_t pid, int n_threads)
{
    unsigned long runs = atomic_load(&shared->runs);
    struct crs_error err = {0};
    int n = hold_and_inject(pid, &err);

    if (n < 0)
        print_error("%s\n", err.text);
    assert_int_equal(n, n_threads);
    wait_until_moved(&shared->runs, runs, n);
}

static void run_spinning(void)
{
    make_threads(run_spin, 2);
    make_threads(run_read, 1);
}

static void registers_stay(void **state)
{
    pid_t pid = start_target(run_spinning, 3);

    for (int i = 0; i < 50; i++) {
        inject_and_wait(pid, 4);
        unsigned long beats = atomic_load(&shared->beats);
        assert_int_equal(write(shared->pipe[1], "x", 1), 1);
        wait_until_moved(&shared->beats, beats, 3);
    }
    end_target(pid);
}

static void run_waits(void)
{
    make_threads(run_wait, ELEMENTS(waits));
}

static bool all_have_ended(void)
{
    for (size_t i = 0; i < ELEMENTS(waits); i++)
        if (atomic_load(&shared->taken_ms[i]) == 0)
            return false;
    return true;
}

static void wait_until_all_ended(void)
{
    for (int turn = 0; !all_have_ended(); turn++) {
        assert_int_equal(atomic_load(&shared->failed), 0);
        assert_true(turn < LIMIT_S * 1000);
        usleep(1000);
    }
    assert_int_equal(atomic_load(&shared->failed), 0);
}

/* How long a thread has waited isn't known where it ran in between, as on a busy machine; then it
 * waits its whole time again. So each must do it in time once in a few tries, and never fail. */
static void timeouts_go_on(void **state)
{
    bool in_time[ELEMENTS(waits)] = {0};
    size_t n_in_time = 0;

    for (int tries = 0; tries < 12 && n_in_time < ELEMENTS(waits); tries++) {
        pid_t pid = start_target(run_waits, ELEMENTS(waits));
        atomic_store(&shared->go, 1);
        usleep(INJECT_AT * 1000);
        inject_and_wait(pid, ELEMENTS(waits) + 1);
        wait_until_all_ended();
        n_in_time = 0;
        for (size_t i = 0; i < ELEMENTS(waits); i++) {
            in_time[i] |= atomic_load(&shared->taken_ms[i]) < WAIT_MS + INJECT_AT;
            n_in_time += in_time[i];
        }
        end_target(pid);
    }
    for (size_t i = 0; i < ELEMENTS(waits); i++)
        if (!in_time[i])
            print_error("%s waited its whole time again, each time\n", wait_names[i]);
    assert_int_equal(n_in_time, ELEMENTS(waits));
}

/* Held again before they have gone on with their calls, and while these are made again. */
static void over_and_over(void **state)
{
    pid_t pid = start_target(run_waits, ELEMENTS(waits));
    struct crs_error err = {0};
    struct tracee *t;

    atomic_store(&shared->go, 1);
    for (int i = 0; i < 120; i++) {
        if (i % 3 == 2) {
            assert_true(hold_and_inject(pid, &err) > 0);
            continue;
        }
        assert_int_equal(tracee_freeze(pid, 0, &t, &err), 0);
        tracee_free(t);
    }
    wait_until_all_ended();
    end_target(pid);
}

static void run_many(void)
{
    make_threads(run_pause, 63);
}

static void many_threads(void **state)
{
    pid_t pid = start_target(run_many, 63);

    for (int i = 0; i < 5; i++)
        inject_and_wait(pid, 64);
    end_target(pid);
}

/* One try of a tool that is killed at any moment, once all are held. */
static void kill_a_tool(pid_t pid)
{
    struct crs_error err = {0};
    struct tracee *t;
    int ready[2], n;
    char byte;

    assert_int_equal(pipe(ready), 0);
    pid_t tool = fork();
    if (tool == 0) {
        int r = tracee_freeze(pid, 0, &t, &err);
        if (r < 0 || write(ready[1], "r", 1) != 1)
            _exit(1);
        r = inject_all(t, &n, &err);
        EXPECT(r == 0 || r == -EAGAIN); /* a thread is still on its way back from the last call */
        _exit(0);
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) == 1)
        usleep(random() % 1500);
    close(ready[0]);
    kill(tool, SIGKILL);
    waitpid(tool, NULL, 0);
}

static void death_of_the_tool(void **state)
{
    pid_t pid = start_target(run_spinning, 3);

    srandom(1);
    for (int i = 0; i < 200; i++) {
        kill_a_tool(pid);
        unsigned long beats = atomic_load(&shared->beats);
        assert_int_equal(write(shared->pipe[1], "x", 1), 1);
        wait_until_moved(&shared->beats, beats, 3);
    }
    assert_true(atomic_load(&shared->runs) > 0);
    end_target(pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_stay),    cmocka_unit_test(timeouts_go_on),
        cmocka_unit_test(over_and_over),     cmocka_unit_test(many_threads),
        cmocka_unit_test(death_of_the_tool),
    };
    return cmocka_run_group_tests_name("inject", tests, NULL, NULL);
}
