/*
 * restart_request.c - asking for a restart
 *
 * crs-request makes the program, and the program has to become a child of who asked. Neither may be
 * seen by the caller's own wait(2) before that, nor what crs-request does with ptrace. So:
 *
 *     caller      a thread of the library's own makes a process between, which tells nobody of its
 *                 end (exit signal 0), and waits for it: only who asks for it by __WALL sees it;
 *     between     makes crs-request as its child, and waits for that; should it be killed, its
 *                 orphans come here, and are ended;
 *     crs-request restarts the program as its child, traced by it, another process; waits for the
 *                 callbacks, asks to leave, and ends when it may. Its end, and that of `between`,
 *                 make the program an orphan, which the nearest child subreaper above takes in;
 *     caller      is that subreaper, from the answer to the question until `between` has ended: a
 *                 millisecond, in which it would take in orphans of its other children as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "libcr/cri.h"
#include "libcr/futex.h"
#include "libcr/handle.h"
#include "libcr/launch.h"

#define EXPORTED __attribute__((visibility("default")))

#define KNOWN_FLAGS                                                                                \
    (CR_RSTRT_ASYNC_ERR | CR_RSTRT_RESTORE_PID | CR_RSTRT_RESTORE_PGID | CR_RSTRT_RESTORE_SID)
#define STACK_SIZE   ((size_t)64 * 1024)
#define LOW_FD       200 /* our descriptors are out of the way of those that the program may get */
#define LOOK_MS      100
#define ROOM_FOR_FDS 16

struct restart {
    struct cri_request *request;
    int page_fd, context_fd;
    char path[PATH_MAX];
    char **environment;
    char page_number[ROOM_FOR_FDS], context_number[ROOM_FOR_FDS];
    char *stacks; /* two */
};

static int fail(int errnum)
{
    errno = errnum;
    return -1;
}

static void restart_free(struct restart *restart)
{
    cleanup_close(&restart->page_fd);
    cleanup_close(&restart->context_fd);
    if (restart->request)
        cri_request_release(restart->request);
    if (restart->stacks)
        munmap(restart->stacks, 2 * STACK_SIZE);
    free(restart->environment);
    free(restart);
}
DEFINE_CLEANUP(struct restart, restart)

/* ---- in the new processes: system calls only ---- */

/* crs-request isn't there to do it itself. */
static int give_up(struct request_page *page, int errnum)
{
    page->error = errnum == ENOENT ? ENOSYS : errnum;
    cri_store(&page->leaving, REQUEST_ASKS_TO_LEAVE);
    syscall(SYS_futex, &page->leaving, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    return 1;
}

static int become_tool(void *arg)
{
    struct restart *restart = arg;
    char *arguments[] = {(char *)"crs-request", (char *)"restart", restart->page_number,
                         restart->context_number, NULL};

    cri_signals_as_new();
    if (fcntl(restart->page_fd, F_SETFD, 0) == 0 && fcntl(restart->context_fd, F_SETFD, 0) == 0)
        execve(restart->path, arguments, restart->environment);
    return give_up(restart->request->page, errno);
}

/* Sends SIGKILL to each of our children. How many there are. */
static unsigned kill_children(void)
{
    char path[64], text[4096];
    unsigned n = 0;
    pid_t pid = 0;

    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)syscall(SYS_gettid));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof(text));
    cleanup_close(&fd);
    for (ssize_t i = 0; i < size; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
            pid = pid * 10 + text[i] - '0';
            continue;
        }
        n += pid > 0 && kill(pid, SIGKILL) == 0;
        pid = 0;
    }
    return n;
}

/* crs-request was killed before the end: what it had let go is ours now, and goes with it. */
static void end_program(void)
{
    while (kill_children() > 0)
        while (waitpid(-1, NULL, __WALL) < 0 && errno == EINTR)
            continue;
}

/* Nothing of the caller's is held open here. */
static int stand_between(void *arg)
{
    struct restart *restart = arg;
    struct request_page *page = restart->request->page;

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t pid = clone(become_tool, restart->stacks + STACK_SIZE, SIGCHLD, restart);
    if (pid < 0)
        return give_up(page, errno);
    syscall(SYS_close_range, 0, ~0U, 0);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    if (cri_load(&page->leaving) == REQUEST_STAYS)
        end_program();
    return 0;
}

/* ---- the thread that watches ---- */

static bool has_ended(pid_t between)
{
    pid_t r = waitpid(between, NULL, WNOHANG | __WALL | __WNOTHREAD);

    return r == between || (r < 0 && errno == ECHILD);
}

/* Only one request at a time leaves: the property is the whole process'. */
static void let_leave(struct request_page *page, pid_t between)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    bool adopt = page->error == 0 && page->root > 0;
    int was = 0;

    pthread_mutex_lock(&lock);
    if (adopt) {
        prctl(PR_GET_CHILD_SUBREAPER, &was);
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    }
    cri_store(&page->leaving, REQUEST_MAY_LEAVE);
    syscall(SYS_futex, &page->leaving, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    while (waitpid(between, NULL, __WALL | __WNOTHREAD) < 0 && errno == EINTR)
        continue;
    if (adopt)
        prctl(PR_SET_CHILD_SUBREAPER, was);
    pthread_mutex_unlock(&lock);
}

static void finish(struct request_page *page)
{
    cri_store(&page->state, REQUEST_DONE);
    syscall(SYS_futex, &page->state, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void watch(struct request_page *page, pid_t between)
{
    const struct timespec look = {.tv_nsec = LOOK_MS * 1000000};

    while (cri_load(&page->leaving) == REQUEST_STAYS) {
        if (cri_futex_wait_for(&page->leaving, REQUEST_STAYS, &look, true) != -ETIMEDOUT ||
            !has_ended(between))
            continue;
        if (cri_load(&page->leaving) == REQUEST_STAYS && page->error == 0)
            page->error = EIO; /* it was killed */
        return;
    }
    let_leave(page, between);
}

static void *run(void *arg)
{
    _cleanup_(cleanup_restart) struct restart *restart = arg;
    struct request_page *page = restart->request->page;
    /* Not on the caller's memory: this process lives on while the caller does. */
    pid_t between = clone(stand_between, restart->stacks + 2 * STACK_SIZE, 0, restart);

    pthread_setname_np(pthread_self(), "libcr");
    cleanup_close(&restart->page_fd);
    cleanup_close(&restart->context_fd);
    restart->page_fd = restart->context_fd = -1;
    if (between < 0)
        page->error = errno;
    else
        watch(page, between);
    finish(page);
    return NULL;
}

static int start_thread(struct restart *restart)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;

    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 4 * STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&thread, &attributes, run, restart);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return r;
}

/* ---- making one ---- */

static int check(const cr_restart_args_t *args)
{
    if (!args)
        return EFAULT;
    if (args->cr_version != CR_RESTART_ARGS_VERSION || abs(args->cr_signal) > SIGRTMAX ||
        (args->cr_flags & ~KNOWN_FLAGS) ||
        (args->cr_relocate && args->cr_relocate->count > CR_MAX_RSTRT_RELOC))
        return EINVAL;
    return fcntl(args->cr_fd, F_GETFD) < 0 ? EBADF : 0;
}

/* With what has a meaning in OLD=NEW escaped. NULL: no room. */
static char *put_path(char *to, const char *end, const char *path)
{
    for (; path && *path; path++) {
        if (end - to < 3)
            return NULL;
        if (*path == '=' || *path == '\\')
            *to++ = '\\';
        *to++ = *path;
    }
    return path ? to : NULL;
}

static int put_moved(struct request_page *page, const struct cr_rstrt_relocate *moved)
{
    char *to = page->log, *end = page->log + sizeof(page->log);

    for (unsigned i = 0; moved && i < moved->count; i++) {
        to = put_path(to, end, moved->path[i].oldpath);
        if (!to)
            return EINVAL;
        *to++ = '=';
        to = put_path(to, end, moved->path[i].newpath);
        if (!to)
            return EINVAL;
        *to++ = 0;
        page->n_moved++;
    }
    return 0;
}

static int fill(struct request_page *page, const cr_restart_args_t *args)
{
    page->version = REQUEST_VERSION;
    page->requester = getpid();
    page->signal = args->cr_signal;
    page->flags = args->cr_flags;
    page->magic = REQUEST_MAGIC;
    return put_moved(page, args->cr_relocate);
}

static int take_descriptors(struct restart *restart, int page_fd, int context_fd)
{
    restart->page_fd = fcntl(page_fd, F_DUPFD_CLOEXEC, LOW_FD);
    restart->context_fd = fcntl(context_fd, F_DUPFD_CLOEXEC, LOW_FD);
    if (restart->page_fd < 0 || restart->context_fd < 0)
        return errno;
    snprintf(restart->page_number, ROOM_FOR_FDS, "%d", restart->page_fd);
    snprintf(restart->context_number, ROOM_FOR_FDS, "%d", restart->context_fd);
    return 0;
}

static int prepare(struct restart *restart, const cr_restart_args_t *args)
{
    _cleanup_close_ int page_fd = -1;
    int r = cri_request_new(&restart->request, &page_fd);

    if (r == 0)
        r = fill(restart->request->page, args);
    if (r == 0)
        r = take_descriptors(restart, page_fd, args->cr_fd);
    if (r == 0)
        r = cri_find_tool(restart->path);
    if (r != 0)
        return r;
    restart->environment = cri_tool_environment();
    void *stacks = mmap(NULL, 2 * STACK_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    restart->stacks = stacks == MAP_FAILED ? NULL : stacks;
    return restart->environment && restart->stacks ? 0 : ENOMEM;
}

/* The thread has it from here on; the request is in the table, so that both have it. */
static int begin(const cr_restart_args_t *args, cr_restart_handle_t *ret)
{
    _cleanup_(cleanup_restart) struct restart *restart = calloc(1, sizeof(*restart));

    if (!restart)
        return ENOMEM;
    restart->page_fd = restart->context_fd = -1;
    int r = prepare(restart, args);
    if (r != 0)
        return r;
    unsigned long handle = cri_request_list(restart->request);
    _cleanup_request_ struct cri_request *request = cri_request_find(handle);
    r = start_thread(restart);
    if (r == 0) {
        TAKE_PTR(restart);
        r = cri_request_wait_accepted(request);
    }
    if (r == 0)
        *ret = handle;
    else
        cri_request_unlist(request);
    return r;
}

EXPORTED int cr_request_restart(cr_restart_args_t *args, cr_restart_handle_t *handle)
{
    int r = handle ? check(args) : EFAULT;

    if (r == 0)
        r = begin(args, handle);
    return r == 0 ? 0 : fail(r);
}

/* ---- waiting for it: as for a checkpoint, but for what is reaped ---- */

EXPORTED int cr_wait_restart(cr_restart_handle_t *handle, struct timeval *timeout)
{
    return cr_wait_checkpoint(handle, timeout);
}

EXPORTED int cr_log_restart(cr_restart_handle_t *handle, unsigned int size, char *text)
{
    return cr_log_checkpoint(handle, size, text);
}

EXPORTED int cr_reap_restart(cr_restart_handle_t *handle)
{
    _cleanup_request_ struct cri_request *request = handle ? cri_request_find(*handle) : NULL;
    int r = cr_reap_checkpoint(handle);

    return r < 0 || !request ? r : request->page->root;
}

EXPORTED int cr_poll_restart_msg(cr_restart_handle_t *handle, struct timeval *timeout, char **msg)
{
    _cleanup_request_ struct cri_request *request = handle ? cri_request_find(*handle) : NULL;
    int r = cr_poll_checkpoint_msg(handle, timeout, msg);

    return r <= 0 || !request ? r : request->page->root;
}

EXPORTED int cr_poll_restart(cr_restart_handle_t *handle, struct timeval *timeout)
{
    return cr_poll_restart_msg(handle, timeout, NULL);
}
