/*
 * proof.h - what the programs beside it share: written to libcr.h, as a user of BLCR writes
 *
 * A check that doesn't hold says where, and ends the program with 1. Children end with the program.
 */
#ifndef PROOF_H
#define PROOF_H

#include <errno.h>
#include <fcntl.h>
#include <libcr.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(holds)                                                                               \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            int errnum_ = errno;                                                                   \
            dprintf(2, "%s:%d: %s doesn't hold (errno %d: %s)\n", __FILE__, __LINE__, #holds,      \
                    errnum_, cr_strerror(errnum_));                                                \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* Numbers are shown. */
#define CHECK_IS(got, expected)                                                                    \
    do {                                                                                           \
        long got_ = (long)(got), expected_ = (long)(expected);                                     \
        if (got_ != expected_) {                                                                   \
            dprintf(2, "%s:%d: %s is %ld (%s), not %ld\n", __FILE__, __LINE__, #got, got_,         \
                    cr_strerror((int)(got_ < 0 ? -got_ : got_)), expected_);                       \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* ---- requests ---- */

static inline void fill(cr_checkpoint_args_t *args, cr_scope_t scope, pid_t target, int fd)
{
    CHECK(cr_initialize_checkpoint_args_t(args) == 0);
    args->cr_scope = scope;
    args->cr_target = target;
    args->cr_fd = fd;
}

/* Until it has ended; 0 or the errno value. `log`: NULL or the messages, to be freed. */
static inline int finish_with_log(cr_checkpoint_handle_t *handle, char **log)
{
    int r;

    do
        r = cr_poll_checkpoint_msg(handle, NULL, log);
    while (r == CR_POLL_CHKPT_ERR_PRE && errno == EINTR);
    CHECK(r > 0 || r == CR_POLL_CHKPT_ERR_POST);
    CHECK(*handle == (cr_checkpoint_handle_t)-1);
    return r > 0 ? 0 : errno;
}

static inline int finish(cr_checkpoint_handle_t *handle)
{
    return finish_with_log(handle, NULL);
}

/* All of a request; 0 or the errno value. */
static inline int request(cr_checkpoint_args_t *args)
{
    cr_checkpoint_handle_t handle;

    return cr_request_checkpoint(args, &handle) == 0 ? finish(&handle) : errno;
}

static inline int open_nowhere(void)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    CHECK(fd >= 0);
    return fd;
}

/* To nowhere. */
static inline int checkpoint(cr_scope_t scope, pid_t target)
{
    cr_checkpoint_args_t args;
    int r;

    fill(&args, scope, target, open_nowhere());
    r = request(&args);
    close(args.cr_fd);
    return r;
}

static inline int create(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CHECK(fd >= 0);
    return fd;
}

/* ---- children ---- */

struct child {
    pid_t pid;
    int to, from; /* pipes */
};

static inline void say(int fd, char what)
{
    CHECK(write(fd, &what, 1) == 1);
}

/* 0: the other side has closed it. */
static inline char hear(int fd)
{
    char what = 0;
    ssize_t n;

    do
        n = read(fd, &what, 1);
    while (n < 0 && errno == EINTR);
    CHECK(n >= 0);
    return n == 1 ? what : 0;
}

/* Runs `run`, to whose end it lives, with the descriptors of its pipes. */
static inline struct child start(void (*run)(int from, int to))
{
    struct child child;
    int down[2], up[2];
    pid_t parent = getpid();

    CHECK(pipe2(down, O_CLOEXEC) == 0 && pipe2(up, O_CLOEXEC) == 0);
    child.pid = fork();
    CHECK(child.pid >= 0);
    if (child.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        close(down[1]);
        close(up[0]);
        run(down[0], up[1]);
        _exit(0);
    }
    close(down[0]);
    close(up[1]);
    child.to = down[1];
    child.from = up[0];
    return child;
}

/* The wait status, after its pipes were closed. */
static inline int end(struct child *child)
{
    int status;

    close(child->to);
    CHECK(waitpid(child->pid, &status, 0) == child->pid);
    close(child->from);
    return status;
}

static inline void end_well(struct child *child)
{
    int status = end(child);

    CHECK(WIFEXITED(status));
    CHECK_IS(WEXITSTATUS(status), 0);
}

/* Says that it is there, and waits until it may go. */
static inline void wait_and_go(int from, int to)
{
    CHECK(cr_init() >= 0);
    say(to, 'r');
    hear(from);
}

/* ---- conditions ---- */

static inline double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline void nap(void)
{
    struct timespec time = {0, 1000000};

    nanosleep(&time, NULL);
}

#define LIMIT_S 60

/* With a generous limit. */
#define WAIT_UNTIL(condition)                                                                      \
    do {                                                                                           \
        double until_ = now_s() + LIMIT_S;                                                         \
        while (!(condition)) {                                                                     \
            CHECK(now_s() < until_ || !#condition);                                                \
            nap();                                                                                 \
        }                                                                                          \
    } while (0)

/* ---- what happened, in which order ---- */

static char events[256];
static unsigned n_events;

static inline void note(char what)
{
    unsigned n = __atomic_fetch_add(&n_events, 1, __ATOMIC_SEQ_CST);

    CHECK(n < sizeof(events) - 1);
    events[n] = what;
}

static inline void forget_events(void)
{
    memset(events, 0, sizeof(events));
    n_events = 0;
}

#define CHECK_EVENTS(expected)                                                                     \
    do {                                                                                           \
        if (strcmp(events, expected) != 0) {                                                       \
            dprintf(2, "%s:%d: happened: '%s', not '%s'\n", __FILE__, __LINE__, events, expected); \
            _exit(1);                                                                              \
        }                                                                                          \
        forget_events();                                                                           \
    } while (0)

#endif
