/*
 * keeper.c - processes beside the caller's: the worker, and who waits for it
 *
 * The caller may have threads: a child of it may call only what a signal handler may, unless it was
 * made by fork(3), which sees to the locks of libc. That is done where `finish` needs it; a plain
 * clone(2) without an exit signal is quieter: neither the caller's handlers nor its wait() see it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "openpal/criu/keeper.h"

#define WORKER_FD    3
#define VERDICT_FD   4
#define DIRECTORY_FD 5
#define ABOVE        32 /* that number and those above it are free to hold copies */

extern char **environ;

static const int own_stdio[] = {0, 1, 2};

static pid_t clone_quietly(int exit_signal)
{
    return (pid_t)syscall(SYS_clone, (long)exit_signal, 0L, 0L, 0L, 0L);
}

/* As a program expects them: all signals arrive, and do what they do by default. */
static void reset_signals(void)
{
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &by_default, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Numbers out of the way of those that are about to be given. */
static int above(int fd)
{
    return fd < 0 ? fd : fcntl(fd, F_DUPFD, ABOVE);
}

static void close_between(unsigned first, unsigned last)
{
    if (first > last || syscall(SYS_close_range, first, last, 0U) == 0)
        return;
    for (unsigned fd = first; fd <= last && fd < 65536; fd++)
        close((int)fd);
}

static void put(int fd, int number)
{
    if (fd >= 0)
        dup2(fd, number);
    else
        close(number);
}

/* Nothing of the caller's stays open but these: it would be in the image as somebody else's too. */
static void arrange(const struct worker_how *how, int fd, int verdict_fd)
{
    int connection = above(fd), verdict = above(verdict_fd), words = above(how->stderr_fd);
    const int *given = how->stdio ? how->stdio : own_stdio;
    int stdio[3] = {above(given[0]), above(given[1]), above(given[2])};
    int null = above(open("/dev/null", O_RDWR));
    int directory = above(open(how->directory, O_RDONLY | O_DIRECTORY));
    dup2(null, 0);
    dup2(null, 1);
    dup2(words >= 0 ? words : how->finish && stdio[2] >= 0 ? stdio[2] : null, 2);
    put(connection, WORKER_FD);
    put(verdict, VERDICT_FD);
    put(directory, DIRECTORY_FD);
    close_between(DIRECTORY_FD + 1, ABOVE - 1);
    for (int i = 0; how->as_child && i < 3; i++)
        put(stdio[i], KEEPER_STDIO_FD + i);
    close_between(ABOVE, ~0U);
}

static _Noreturn void become_worker(const char *program)
{
    static char name[] = "criu", command[] = "swrk", number[] = "3";
    char *argv[] = {name, command, number, NULL};
    execve(program, argv, environ);
    _exit(127);
}

int keeper_start_child(const struct worker_how *how, int fd, pid_t *ret_pid)
{
    pid_t pid = clone_quietly(SIGCHLD);
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        reset_signals();
        arrange(how, fd, -1);
        become_worker(how->program);
    }
    *ret_pid = pid;
    return 0;
}

/* CRIU ends with 0 whatever it has answered. This file it writes last, and only on success. */
static bool is_complete(void)
{
    return faccessat(DIRECTORY_FD, "stats-dump", F_OK, 0) == 0;
}

struct keeping {
    const struct worker_how *how;
    int fd, verdict_fd;
};

/* Waits for the worker, finishes the work, tells. */
static void keep(const void *arg)
{
    const struct keeping *k = arg;
    const struct worker_how *how = k->how;
    struct verdict verdict = {.status = -1};
    arrange(how, k->fd, k->verdict_fd);
    pid_t worker = clone_quietly(SIGCHLD);
    if (worker == 0) {
        close(VERDICT_FD);
        become_worker(how->program);
    }
    close(WORKER_FD);
    signal(SIGPIPE, SIG_IGN);
    ssize_t written = write(VERDICT_FD, &worker, sizeof(worker));
    while (worker > 0 && waitpid(worker, &verdict.status, 0) < 0 && errno == EINTR)
        ;
    if (verdict.status == 0 && how->finish && is_complete())
        verdict.finish = how->finish(how->arg);
    written = write(VERDICT_FD, &verdict, sizeof(verdict));
    _exit(written != sizeof(verdict));
}

/* ---- orphans ---- */

/* Ends between the caller and a process that is nobody's child then. */
static _Noreturn void step_between(void (*body)(const void *), const void *arg)
{
    pid_t orphan = clone_quietly(0);
    if (orphan == 0) {
        setsid();
        reset_signals();
        body(arg);
        _exit(0);
    }
    _exit(orphan < 0 ? errno : 0);
}

static int exit_code_of(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, __WALL) < 0)
        if (errno != EINTR)
            return 0; /* another thread's wait() was faster, and saw that it has ended */
    return WIFEXITED(status) ? WEXITSTATUS(status) : EAGAIN;
}

static int start(bool by_fork, void (*body)(const void *), const void *arg)
{
    pid_t between = by_fork ? fork() : clone_quietly(0);
    if (between < 0)
        return -errno;
    if (between == 0)
        step_between(body, arg);
    return -exit_code_of(between);
}

/* Orphans below a subreaper are its children: it is none for that moment. */
static int start_orphan(bool by_fork, void (*body)(const void *), const void *arg)
{
    int subreaper = 0;
    prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
    if (subreaper)
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    int r = start(by_fork, body, arg);
    if (subreaper)
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    return r;
}

int keeper_start(const struct worker_how *how, int fd, int verdict_fd)
{
    struct keeping keeping = {how, fd, verdict_fd};
    return start_orphan(how->finish != NULL, keep, &keeping);
}

struct apart {
    void (*body)(void);
    const int *fds;
};

static void be_apart(const void *arg)
{
    const struct apart *a = arg;
    int moved[KEEPER_APART_FDS], null = above(open("/dev/null", O_RDWR));
    for (int i = 0; i < KEEPER_APART_FDS; i++)
        moved[i] = above(a->fds[i]);
    for (int number = 0; number < KEEPER_FIRST_FD; number++)
        put(null, number);
    for (int i = 0; i < KEEPER_APART_FDS; i++)
        put(moved[i], KEEPER_FIRST_FD + i);
    close_between(KEEPER_FIRST_FD + KEEPER_APART_FDS, ~0U);
    a->body();
}

int keeper_apart(void (*body)(void), const int fds[KEEPER_APART_FDS])
{
    struct apart apart = {body, fds};
    return start_orphan(false, be_apart, &apart);
}
