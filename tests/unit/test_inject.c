/*
 * test_inject.c - functions that threads of a live process are made to run
 *
 * The target is a child with threads that wait in many ways. A call that returns EINTR, that ends
 * too early, or a register or signal mask that has changed, is a failure, in `shared`.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>

#include "base/cooperation.h"
#include "base/cooperation_return.h"
#include "base/io.h"
#include "tracee/inject.h"

#define N_WAITS   16
#define LIMIT_S   60
#define WAIT_MS   1000
#define INJECT_AT 600 /* ms: restarted in full, a wait would take 1600 */

struct shared {
    atomic_int ready;   /* threads that are there */
    atomic_int tid;     /* of the last one */
    atomic_ulong runs;  /* of the injected function */
    atomic_ulong beats; /* of the threads that spin */
    atomic_int failed;  /* the line */
    atomic_int taken_ms[N_WAITS];
    atomic_int go;
    atomic_int handled; /* signals */
    atomic_int result;  /* of one call: 1: as it should be; 2: not */
    int pipe[2];
};
static struct shared *shared;

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition) && !atomic_load(&shared->failed))                                         \
            atomic_store(&shared->failed, __LINE__);                                               \
    } while (0)

COOPERATION_RESTORER(restorer);

/* ---- the function ---- */

/* It disturbs what it may: all registers but those that a function keeps, and the restart block. */
static void injected(void *arg, siginfo_t *info, void *context)
{
    const struct timespec tick = {0, 1000000};
    const ucontext_t *uc = context;
    sigset_t mask;

    EXPECT(arg == shared);
    EXPECT(info->si_errno == 0 || (info->si_errno >= 512 && info->si_errno <= 516));
    EXPECT(uc->uc_mcontext.fpregs);
    EXPECT((uintptr_t)__builtin_frame_address(0) % 16 == 0);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    EXPECT(sigismember(&mask, SIGUSR1) && sigismember(&mask, SIGTERM) &&
           sigismember(&mask, SIGRTMAX));
    nanosleep(&tick, NULL);
    __asm__ volatile("vpcmpeqd %%xmm0, %%xmm0, %%xmm0; vmovaps %%xmm0, %%xmm7;"
                     "vmovaps %%xmm0, %%xmm15; mov $0x1f80, %%r8; mov $-1, %%r9; mov $-1, %%r10;"
                     "mov $-1, %%r11; std; cld" ::
                         : "xmm0", "xmm7", "xmm15", "r8", "r9", "r10", "r11", "cc", "memory");
    atomic_fetch_add(&shared->runs, 1);
}

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

/* ---- the target ---- */

static void is_ready(void)
{
    atomic_store(&shared->tid, gettid());
    atomic_fetch_add(&shared->ready, 1);
}

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

/* ---- one thread, one call ---- */

static void make_threads(void *(*body)(void *), size_t n)
{
    pthread_t thread;

    for (size_t i = 0; i < n; i++)
        if (pthread_create(&thread, NULL, body, (void *)i) != 0)
            atomic_store(&shared->failed, __LINE__);
}

static void *run_pause(void *arg)
{
    is_ready();
    pause();
    atomic_store(&shared->failed, __LINE__);
    return arg;
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
    const struct timespec ts = {WAIT_MS / 1000, 0};
    uint64_t from_ms = now_ms();
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
    report(r == 0 && same && now_ms() - from_ms >= WAIT_MS - 1 &&
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

/* ---- many of them ---- */

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

static void block_usr2(void)
{
    sigset_t usr2;

    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &usr2, NULL);
}

static pid_t start_target(void (*run)(void), int n_threads)
{
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    assert_int_equal(pipe(shared->pipe), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        block_usr2();
        run();
        for (;;)
            pause();
    }
    for (int turn = 0; atomic_load(&shared->ready) < n_threads; turn++) {
        assert_true(turn < LIMIT_S * 1000);
        usleep(1000);
    }
    return pid;
}

static void end_target(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(shared->pipe[0]);
    close(shared->pipe[1]);
    munmap(shared, sizeof(*shared));
}

static void wait_until_moved(atomic_ulong *counter, unsigned long from, unsigned long by)
{
    for (int turn = 0; atomic_load(counter) < from + by; turn++) {
        assert_int_equal(atomic_load(&shared->failed), 0);
        assert_true(turn < LIMIT_S * 1000);
        usleep(1000);
    }
    assert_int_equal(atomic_load(&shared->failed), 0);
}

/* ---- the tool ---- */

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

/* ---- the tests ---- */

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

/* How long a thread has waited isn't known where it ran in between, as on a busy machine; then it
 * waits its whole time again. So each must do it in time once in a few tries, and never fail. */
static void timeouts_go_on(void **state)
{
    bool in_time[N_WAITS] = {0};
    size_t n_in_time = 0;

    for (int tries = 0; tries < 12 && n_in_time < ELEMENTS(waits); tries++) {
        pid_t pid = start_target(run_waits, ELEMENTS(waits));
        atomic_store(&shared->go, 1);
        usleep(INJECT_AT * 1000);
        inject_and_wait(pid, ELEMENTS(waits) + 1);
        for (int turn = 0; !all_have_ended(); turn++) {
            assert_int_equal(atomic_load(&shared->failed), 0);
            assert_true(turn < LIMIT_S * 1000);
            usleep(1000);
        }
        assert_int_equal(atomic_load(&shared->failed), 0);
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

/* ---- what becomes of one call ---- */

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
        cmocka_unit_test(registers_stay),    cmocka_unit_test(timeouts_go_on),
        cmocka_unit_test(many_threads),      cmocka_unit_test(death_of_the_tool),
        cmocka_unit_test(signals_end_calls), cmocka_unit_test(calls_are_made_again),
        cmocka_unit_test(ways_out),          cmocka_unit_test(cancellation),
        cmocka_unit_test(no_room),
    };
    return cmocka_run_group_tests_name("inject", tests, NULL, NULL);
}
