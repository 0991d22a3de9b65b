/* watcher.c - a process that waits for the tool's end */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kobj/watcher.h"

/* fds is sorted: all but these. */
static void close_others(const int *fds, size_t n)
{
    int from = 0;

    for (size_t i = 0; i < n; i++) {
        if (fds[i] > from)
            syscall(SYS_close_range, from, fds[i] - 1, 0);
        from = fds[i] + 1;
    }
    syscall(SYS_close_range, from, ~0u, 0);
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Made before there is a watcher: that may not ask for memory. */
static int *sorted_with(int tool, const int *fds, size_t n)
{
    int *kept = calloc(n + 1, sizeof(*kept));

    if (!kept)
        return NULL;
    memcpy(kept, fds, n * sizeof(*fds));
    kept[n] = tool;
    qsort(kept, n + 1, sizeof(*kept), compare);
    return kept;
}

/* A byte: it isn't needed. The end without one: it is. `kept` are the descriptors that it needs. */
static _Noreturn void watch(int tool, const int *kept, const int *fds, size_t n,
                            void (*take_back)(const int *fds, size_t n))
{
    ssize_t got;
    char byte;

    close_others(kept, n + 1);
    do
        got = read(tool, &byte, 1);
    while (got < 0 && errno == EINTR);
    if (got == 0)
        take_back(fds, n);
    _exit(0);
}

int watcher_start(const int *fds, size_t n, void (*take_back)(const int *fds, size_t n),
                  struct watcher *ret)
{
    sigset_t all, before;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    int *kept = sorted_with(ends[0], fds, n);
    if (!kept) {
        close(ends[0]);
        close(ends[1]);
        return -ENOMEM;
    }
    /* What is sent to the whole process group isn't meant for it; nor is its end for the caller. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (pid == 0)
        watch(ends[0], kept, fds, n, take_back);
    int r = pid < 0 ? -errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    free(kept);
    close(ends[0]);
    if (r < 0)
        close(ends[1]);
    else
        *ret = (struct watcher){ends[1], pid};
    return r;
}

void watcher_release(struct watcher *w)
{
    if (w->pid < 0)
        return;
    close(w->fd);
    while (waitpid(w->pid, NULL, __WCLONE) < 0 && errno == EINTR)
        ;
    *w = (struct watcher)WATCHER_NONE;
}

void watcher_dismiss(struct watcher *w)
{
    /* Where it has ended before, that is as good. */
    ssize_t told = w->pid >= 0 ? write(w->fd, "", 1) : 0;

    (void)told;
    watcher_release(w);
}
