/*
 * unix_guard.c - a guardian of SO_PEEK_OFF
 *
 * To look beyond the first record in a socket without taking it, SO_PEEK_OFF must be set, which
 * the program's own MSG_PEEK would see. We put it back at once; but if this process is killed in
 * between, the program goes on, and it stays. So a second process shares our table of descriptors
 * and sleeps until we die.
 */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kobj/unix_socket.h"

/* In memory that both see. */
struct shared {
    volatile int fd; /* whose SO_PEEK_OFF is another now; -1: none */
    volatile int value;
    volatile int done;
};

struct unix_guard {
    pid_t pid;
    struct shared *shared;
};

/* Only plain system calls: it is the copy of one thread of many. */
static _Noreturn void watch(struct shared *shared, pid_t parent, const sigset_t *all)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    while (!shared->done && getppid() == parent) {
        siginfo_t info;
        sigwaitinfo(all, &info); /* somebody else's signal wakes it for nothing */
    }
    int fd = shared->fd, value = shared->value;
    if (!shared->done && fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &value, sizeof(value));
    _exit(0);
}

/* Without a signal at its end it is no child that the caller of the library would see. */
static pid_t start(struct shared *shared)
{
    sigset_t all, before;
    pid_t parent = getpid();

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    long pid = syscall(SYS_clone, CLONE_FILES, 0, 0, 0, 0);
    if (pid == 0)
        watch(shared, parent, &all);
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return pid;
}

int unix_guard_get(struct kobj_dump *ctx, struct unix_guard **ret, struct crs_error *err)
{
    if (ctx->unix_guard) {
        *ret = ctx->unix_guard;
        return 0;
    }
    struct unix_guard *guard = calloc(1, sizeof(*guard));
    if (!guard)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    guard->shared = mmap(NULL, sizeof(*guard->shared), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (guard->shared == MAP_FAILED) {
        free(guard);
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    }
    guard->shared->fd = -1;
    guard->pid = start(guard->shared);
    if (guard->pid < 0) {
        crs_fail_errno(err, CRS_FAILED, "can't start a process");
        munmap(guard->shared, sizeof(*guard->shared));
        free(guard);
        return -EAGAIN;
    }
    *ret = ctx->unix_guard = guard;
    return 0;
}

void unix_guard_hold(struct unix_guard *guard, int fd, int value)
{
    guard->shared->value = value;
    __sync_synchronize();
    guard->shared->fd = fd;
}

void unix_guard_release(struct unix_guard *guard)
{
    guard->shared->fd = -1;
}

void unix_guard_end(struct kobj_dump *ctx)
{
    struct unix_guard *guard = ctx->unix_guard;
    int saved = errno;

    if (!guard)
        return;
    guard->shared->done = 1;
    kill(guard->pid, SIGTERM);
    while (waitpid(guard->pid, NULL, __WCLONE) < 0 && errno == EINTR)
        ;
    munmap(guard->shared, sizeof(*guard->shared));
    free(guard);
    ctx->unix_guard = NULL;
    errno = saved;
}
