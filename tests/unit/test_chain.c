/*
 * test_chain.c - several calls of a live thread with one stop: their results, the signal that ends
 * them, and what the program sees of it
 *
 * That the tool may die in the middle of one is tested in test_tracee.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tracee/arch/x86_64/internal.h"
#include "tracee/task.h"

struct shared {
    atomic_int ready, seen;
    atomic_ulong beats;
};
static struct shared *shared;

static void on_signal(int signal)
{
    atomic_fetch_add(&shared->seen, 1);
}

/* `handled` and `blocked`: signals, as bits from 0 for signal 1. */
static pid_t start_target(uint64_t handled, uint64_t blocked)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    double x = 1.5;

    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    pid_t pid = fork();
    if (pid != 0) {
        for (int turn = 0; !atomic_load(&shared->ready) && turn < 20000; turn++)
            usleep(1000);
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 1; i < 32; i++)
        if (handled >> (i - 1) & 1)
            sigaction(i, &action, NULL);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &blocked, NULL, sizeof(blocked));
    atomic_store(&shared->ready, 1);
    for (;;) {
        __asm__ volatile("" : "+x"(x));
        if (x != 1.5)
            atomic_store(&shared->seen, 1000);
        atomic_fetch_add(&shared->beats, 1);
    }
}

static void end_target(pid_t pid)
{
    unsigned long before = atomic_load(&shared->beats);

    for (int turn = 0; atomic_load(&shared->beats) == before && turn < 20000; turn++)
        usleep(1000);
    assert_int_not_equal(atomic_load(&shared->beats), before);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    munmap(shared, sizeof(*shared));
}

static uint64_t bit(int signal)
{
    return 1ULL << (signal - 1);
}

/* More than fit into one, with arguments that nothing loads, and one that fails. */
static void results_of_all(void **state)
{
    enum { N = 80 };
    struct remote_call calls[N] = {0};
    struct crs_error err = {0};
    struct tracee *t = NULL;
    struct rlimit limits[N], own;
    pid_t pid = start_target(0, 0);

    assert_int_equal(tracee_freeze(pid, 0, &t, &err), 0);
    assert_int_equal(tracee_prepare_calls(t, &err), 0);
    for (int i = 0; i < N; i++)
        calls[i] = (struct remote_call){
            .number = SYS_prlimit64,
            .args = {i % 2 ? pid : 0, RLIMIT_NOFILE, 0, t->scratch + i * sizeof(own)}};
    calls[7] = (struct remote_call){.number = SYS_getppid};
    calls[8] = (struct remote_call){.number = SYS_close, .args = {-1}};
    assert_int_equal(tracee_calls(tracee_main(t), calls, N, &err), 0);
    assert_int_equal(tracee_read(t, t->scratch, limits, sizeof(limits), &err), 0);
    getrlimit(RLIMIT_NOFILE, &own);
    for (int i = 0; i < N; i++) {
        int64_t expected = i == 7 ? getpid() : i == 8 ? -EBADF : 0;
        assert_int_equal(calls[i].result, expected);
        if (i != 7 && i != 8)
            assert_int_equal(limits[i].rlim_cur, own.rlim_cur);
    }
    tracee_free(t);
    assert_int_equal(atomic_load(&shared->seen), 0);
    end_target(pid);
}

static int signal_for(uint64_t handled, uint64_t blocked)
{
    pid_t pid = start_target(handled, blocked);
    struct crs_error err = {0};
    struct tracee *t = NULL;
    struct remote_call calls[2] = {{.number = SYS_getpid}, {.number = SYS_getpid}};

    assert_int_equal(tracee_freeze(pid, 0, &t, &err), 0);
    assert_int_equal(tracee_prepare_calls(t, &err), 0);
    int signal = chain_signal(tracee_main(t));
    assert_int_equal(tracee_calls(tracee_main(t), calls, 2, &err), 0);
    assert_int_equal(calls[1].result, pid);
    tracee_free(t);
    assert_int_equal(atomic_load(&shared->seen), 0);
    end_target(pid);
    return signal;
}

/* None that the program would know of: without one, calls are made one by one. */
static void choice_of_the_signal(void **state)
{
    assert_int_equal(signal_for(0, 0), SIGURG);
    assert_int_equal(signal_for(bit(SIGURG), 0), SIGWINCH);
    assert_int_equal(signal_for(0, bit(SIGURG)), SIGWINCH);
    assert_int_equal(signal_for(bit(SIGURG) | bit(SIGWINCH), 0), 0);
    assert_int_equal(signal_for(bit(SIGWINCH), bit(SIGURG)), SIGURG);
    assert_int_equal(signal_for(0, bit(SIGURG) | bit(SIGWINCH)), SIGURG);
    assert_int_equal(signal_for(bit(SIGURG), bit(SIGURG) | bit(SIGWINCH)), SIGWINCH);
}

/* One that waits already goes on waiting, and the other one is taken. */
static void waiting_signals(void **state)
{
    pid_t pid = start_target(0, bit(SIGURG) | bit(SIGWINCH));
    struct crs_error err = {0};
    struct tracee *t = NULL;

    assert_int_equal(tracee_freeze(pid, 0, &t, &err), 0);
    assert_int_equal(tracee_prepare_calls(t, &err), 0);
    struct tracee_thread *th = tracee_main(t);
    assert_int_equal(chain_signal(th), SIGURG);
    kill(pid, SIGURG);
    tracee_forget_status(th);
    assert_int_equal(chain_signal(th), SIGWINCH);
    struct remote_call calls[2] = {{.number = SYS_getpid}, {.number = SYS_getppid}};
    assert_int_equal(tracee_calls(th, calls, 2, &err), 0);
    assert_int_equal(calls[0].result, pid);
    assert_int_equal(calls[1].result, getpid());
    tracee_forget_status(th);
    assert_int_equal(task_read(t->proc_fd, pid, "status", &th->status), 0);
    assert_non_null(strstr((char *)th->status.data, "ShdPnd:\t0000000000400000"));
    tgkill(pid, pid, SIGWINCH);
    tracee_forget_status(th);
    assert_int_equal(chain_signal(th), 0);
    tracee_free(t);
    end_target(pid);
}

/* Somebody else sends the same one all the time, and signals that are handled. */
static void signals_from_others(void **state)
{
    pid_t pid = start_target(bit(SIGUSR1), 0), sender = fork();
    struct crs_error err = {0};
    struct tracee *t = NULL;

    if (sender == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (unsigned i = 0;; i++)
            kill(pid, i % 2 ? SIGURG : SIGUSR1);
    }
    assert_int_equal(tracee_freeze(pid, 0, &t, &err), 0);
    int seen = atomic_load(&shared->seen);
    for (int i = 0; i < 300; i++) {
        struct remote_call calls[3] = {
            {.number = SYS_getpid}, {.number = SYS_getppid}, {.number = SYS_getpid}};
        assert_int_equal(tracee_calls(tracee_main(t), calls, 3, &err), 0);
        assert_int_equal(calls[0].result, pid);
        assert_int_equal(calls[1].result, getpid());
        assert_int_equal(calls[2].result, pid);
    }
    assert_int_equal(atomic_load(&shared->seen), seen);
    tracee_free(t);
    for (int turn = 0; atomic_load(&shared->seen) == seen && turn < 20000; turn++)
        usleep(1000);
    kill(sender, SIGKILL);
    waitpid(sender, NULL, 0);
    assert_int_not_equal(atomic_load(&shared->seen), seen);
    end_target(pid);
}

static uint64_t waiting(const struct tracee_thread *th, const char *which)
{
    const char *text = strstr((const char *)th->status.data, which);

    assert_non_null(text);
    return strtoull(text + strlen(which), NULL, 16);
}

/* Somebody else sends the same one all the time, to a thread that blocks it, or to its process.
 * Each goes on waiting, with all that belongs to it. */
static void stays_blocked(bool to_thread)
{
    pid_t pid = start_target(0, bit(SIGURG) | bit(SIGWINCH));
    struct __ptrace_peeksiginfo_args which = {.flags = to_thread ? 0 : PTRACE_PEEKSIGINFO_SHARED,
                                              .nr = 1};
    siginfo_t info = {.si_signo = SIGURG, .si_code = SI_QUEUE, .si_pid = getpid()};
    struct crs_error err = {0};
    struct tracee *t = NULL;

    info.si_value.sival_int = 42;
    assert_int_equal(tracee_freeze(pid, 0, &t, &err), 0);
    assert_int_equal(tracee_prepare_calls(t, &err), 0);
    struct tracee_thread *th = tracee_main(t);
    assert_int_equal(chain_signal(th), SIGURG); /* from then on it isn't seen that one waits */
    pid_t sender = fork();
    if (sender == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            syscall(to_thread ? SYS_rt_tgsigqueueinfo : SYS_rt_sigqueueinfo, pid,
                    to_thread ? pid : SIGURG, to_thread ? (long)SIGURG : (long)&info, &info);
    }
    for (int i = 0; i < 300; i++) {
        struct remote_call calls[3] = {
            {.number = SYS_getpid}, {.number = SYS_getppid}, {.number = SYS_getpid}};
        assert_int_equal(tracee_calls(th, calls, 3, &err), 0);
        assert_int_equal(calls[0].result, pid);
        assert_int_equal(calls[1].result, getpid());
        assert_int_equal(calls[2].result, pid);
        usleep(100);
    }
    kill(sender, SIGKILL);
    waitpid(sender, NULL, 0);
    tracee_forget_status(th);
    assert_int_equal(task_read(t->proc_fd, pid, "status", &th->status), 0);
    assert_int_equal(waiting(th, "SigPnd:\t"), to_thread ? bit(SIGURG) : 0);
    assert_int_equal(waiting(th, "ShdPnd:\t"), to_thread ? 0 : bit(SIGURG));
    memset(&info, 0, sizeof(info));
    assert_int_equal(ptrace(PTRACE_PEEKSIGINFO, th->tid, &which, &info), 1);
    assert_int_equal(info.si_code, SI_QUEUE);
    assert_int_equal(info.si_value.sival_int, 42);
    tracee_free(t);
    end_target(pid);
}

static void blocked_signals_from_others(void **state)
{
    stays_blocked(false);
    stays_blocked(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_of_all),
        cmocka_unit_test(choice_of_the_signal),
        cmocka_unit_test(waiting_signals),
        cmocka_unit_test(signals_from_others),
        cmocka_unit_test(blocked_signals_from_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
