/* inject_target.c - a child whose threads are made to run functions */
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "inject_target.h"

struct shared *shared;

COOPERATION_RESTORER(restorer);

/* It disturbs what it may: all registers but those that a function keeps, and the restart block. */
void injected(void *arg, siginfo_t *info, void *context)
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

void is_ready(void)
{
    atomic_store(&shared->tid, gettid());
    atomic_fetch_add(&shared->ready, 1);
}

void make_threads(void *(*body)(void *), size_t n)
{
    pthread_t thread;

    for (size_t i = 0; i < n; i++)
        if (pthread_create(&thread, NULL, body, (void *)i) != 0)
            atomic_store(&shared->failed, __LINE__);
}

void *run_pause(void *arg)
{
    is_ready();
    pause();
    atomic_store(&shared->failed, __LINE__);
    return arg;
}

static void block_usr2(void)
{
    sigset_t usr2;

    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &usr2, NULL);
}

pid_t start_target(void (*run)(void), int n_threads)
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

void end_target(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(shared->pipe[0]);
    close(shared->pipe[1]);
    munmap(shared, sizeof(*shared));
}

void wait_until_moved(atomic_ulong *counter, unsigned long from, unsigned long by)
{
    for (int turn = 0; atomic_load(counter) < from + by; turn++) {
        assert_int_equal(atomic_load(&shared->failed), 0);
        assert_true(turn < LIMIT_S * 1000);
        usleep(1000);
    }
    assert_int_equal(atomic_load(&shared->failed), 0);
}
