/*
 * launch.c - starting crs-request, so that the program doesn't notice
 *
 * A process between the two is made that tells nobody of its end (exit signal 0): no SIGCHLD, and
 * wait(2) doesn't see it. It makes crs-request, and ends; so crs-request is somebody else's child.
 * Both run on the caller's memory until the exec, as after vfork(): a large program isn't copied,
 * and of its threads only the calling one stands still. All signals are blocked meanwhile, because
 * a handler that ran there would change the program's memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/request_page.h"
#include "libcr/launch.h"
#include "libcr/slice.h"

#define STACK_SIZE ((size_t)32 * 1024)
#define SHARED     (CLONE_VM | CLONE_VFORK)
/* What the kernel takes for a set of signals: libc's own ones are in it. */
#define KERNEL_SET_SIZE 8

struct launch {
    char path[PATH_MAX];
    char **environment;
    int page_fd, destination_fd;
    char *stacks; /* two */
    pid_t pid;
    int errnum;
};

/* ---- in the new processes: system calls only ---- */

void cri_signals_as_new(void)
{
    struct sigaction action;
    sigset_t none;

    for (int number = 1; number < _NSIG; number++)
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL) {
            memset(&action, 0, sizeof(action));
            sigaction(number, &action, NULL);
        }
    sigemptyset(&none);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, KERNEL_SET_SIZE);
}

/* Without /dev/null something that can't be read takes its place: nothing else may get 0 to 2. */
static int open_nothing(void)
{
    int fd = open("/dev/null", O_RDWR);

    return fd >= 0 ? fd : open("/", O_RDONLY | O_DIRECTORY);
}

static int descriptors_as_agreed(const struct launch *l)
{
    int first = REQUEST_DESTINATION_FD + 1;
    int page = fcntl(l->page_fd, F_DUPFD, first);
    int destination = fcntl(l->destination_fd, F_DUPFD, first);
    int nothing = open_nothing();

    if (page < 0 || destination < 0 || nothing < 0)
        return -1;
    for (int fd = 0; fd <= 2; fd++)
        if (fd != nothing && dup2(nothing, fd) < 0)
            return -1;
    if (dup2(page, REQUEST_PAGE_FD) < 0 || dup2(destination, REQUEST_DESTINATION_FD) < 0)
        return -1;
    return (int)syscall(SYS_close_range, first, ~0U, 0);
}

/* close_range(2) is of Linux 5.9. */
static void close_others(void)
{
    long max = sysconf(_SC_OPEN_MAX);

    for (int fd = REQUEST_DESTINATION_FD + 1; fd < max; fd++)
        close(fd);
}

static int become_request(void *arg)
{
    struct launch *l = arg;
    char *arguments[] = {(char *)"crs-request", NULL};

    setsid();
    cri_signals_as_new();
    if (descriptors_as_agreed(l) < 0) {
        if (errno != ENOSYS) {
            l->errnum = errno;
            return 1;
        }
        close_others();
    }
    execve(l->path, arguments, l->environment);
    l->errnum = errno;
    return 1;
}

static int make_request(void *arg)
{
    struct launch *l = arg;

    cri_slice_be_short();
    l->pid = clone(become_request, l->stacks + STACK_SIZE, SHARED | SIGCHLD, l);
    if (l->pid < 0)
        l->errnum = errno;
    else if (l->errnum != 0)
        waitpid(l->pid, NULL, 0);
    return 0;
}

/* ---- in the program ---- */

/* What the program preloads is not for the tool. */
static bool is_kept(const char *variable)
{
    return strncmp(variable, "LD_PRELOAD=", 11) != 0 && strncmp(variable, "LD_AUDIT=", 9) != 0;
}

char **cri_tool_environment(void)
{
    size_t n = 0, kept = 0;
    char **copy;

    while (environ && environ[n])
        n++;
    copy = calloc(n + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < n; i++)
        if (is_kept(environ[i]))
            copy[kept++] = environ[i];
    return copy;
}

int cri_find_tool(char path[PATH_MAX])
{
    const char *place = secure_getenv("CRS_LIBEXEC");
    int n = snprintf(path, PATH_MAX, "%s/crs-request", place && *place ? place : CRS_LIBEXECDIR);

    return n < PATH_MAX ? 0 : ENAMETOOLONG;
}

static void run(struct launch *l)
{
    sigset_t all, before;
    pid_t between;
    int state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state); /* a new process would be cancelled */
    memset(&all, 0xff, KERNEL_SET_SIZE);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, KERNEL_SET_SIZE);
    between = clone(make_request, l->stacks + 2 * STACK_SIZE, SHARED, l);
    if (between < 0)
        l->errnum = errno;
    else
        while (waitpid(between, NULL, __WALL) < 0 && errno == EINTR)
            continue;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, KERNEL_SET_SIZE);
    pthread_setcancelstate(state, NULL);
}

int cri_launch(int page_fd, int destination_fd, pid_t *ret_pid)
{
    struct launch l = {.page_fd = page_fd, .destination_fd = destination_fd};
    _cleanup_free_ char **environment = cri_tool_environment();
    int r = cri_find_tool(l.path);

    if (r != 0 || !environment)
        return r != 0 ? r : ENOMEM;
    l.environment = environment;
    l.stacks = mmap(NULL, 2 * STACK_SIZE, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (l.stacks == MAP_FAILED)
        return ENOMEM;
    run(&l);
    munmap(l.stacks, 2 * STACK_SIZE);
    if (l.errnum != 0)
        return l.errnum == ENOENT ? ENOSYS : l.errnum;
    *ret_pid = l.pid;
    return 0;
}
