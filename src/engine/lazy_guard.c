/*
 * lazy_guard.c - the end of a program whose pages can't be brought
 *
 * Where no page can be brought any more, none may be made up. Processes that were restarted, and
 * those that they have made, are killed. One that can't be found (its parents have ended) gets
 * SIGBUS for whatever it touches that isn't there.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/passing.h"
#include "engine/lazy_mark.h"
#include "engine/lazy_server.h"
#include "engine/lazy_uffd.h"

#define MAX_PIDS     8192
#define SHORT_NAP_US 2000
#define LONG_NAP_US  200000

/* ---- who it is ---- */

/* Here, since there may be no memory for it: only one thread of a process ever gives up. */
static pid_t pids[MAX_PIDS];
static size_t n_pids;

static bool is_known(pid_t pid)
{
    for (size_t i = 0; i < n_pids; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

static void add_pid(pid_t pid)
{
    if (pid > 0 && n_pids < MAX_PIDS && !is_known(pid)) {
        pids[n_pids++] = pid;
        kill(pid, SIGSTOP); /* it makes no more */
    }
}

static ssize_t read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, size - 1) : -1;

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    return n;
}

static pid_t parent_of(pid_t pid)
{
    char path[40], text[512];

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (read_text(path, text, sizeof(text)) <= 0)
        return 0;
    const char *end = strrchr(text, ')');
    return end && strlen(end) > 4 ? atoi(end + 4) : 0; /* ") S PPID" */
}

static pid_t pid_behind(int pidfd)
{
    char path[40], text[512];

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
    if (read_text(path, text, sizeof(text)) <= 0)
        return 0;
    const char *line = strstr(text, "\nPid:");
    return line ? atoi(line + 5) : 0;
}

struct entry { /* struct linux_dirent64 */
    uint64_t inode;
    int64_t offset;
    unsigned short size;
    unsigned char type;
    char name[];
};

/* Children of those that are known. */
static void add_children(void)
{
    _Alignas(8) static char buffer[32768];
    int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long n;

    if (fd < 0)
        return;
    while ((n = syscall(SYS_getdents64, fd, buffer, sizeof(buffer))) > 0)
        for (long at = 0; at < n;) {
            const struct entry *e = (const void *)(buffer + at);
            pid_t pid = atoi(e->name);
            at += e->size;
            if (pid > 0 && !is_known(pid) && is_known(parent_of(pid)))
                add_pid(pid);
        }
    close(fd);
}

static void kill_program(const struct lazy_shared *shared)
{
    size_t before;

    for (size_t i = 0; i < shared->n_pidfds; i++)
        if (syscall(SYS_pidfd_send_signal, shared->pidfds[i], 0, NULL, 0) == 0)
            add_pid(pid_behind(shared->pidfds[i]));
    do {
        before = n_pids;
        add_children();
    } while (n_pids > before);
    for (size_t i = 0; i < n_pids; i++)
        kill(pids[i], SIGKILL);
    for (size_t i = 0; i < shared->n_pidfds; i++)
        syscall(SYS_pidfd_send_signal, shared->pidfds[i], SIGKILL, NULL, 0);
}

/* ---- what is left ---- */

static bool is_uffd(int fd)
{
    static const char name[] = "anon_inode:[userfaultfd]";
    char path[40], target[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return readlink(path, target, sizeof(target)) == sizeof(name) - 1 &&
           memcmp(target, name, sizeof(name) - 1) == 0;
}

/* A child that is just being forked gets a descriptor here, too: reading it makes that. */
static void answer(struct lazy_shared *shared, int fd)
{
    struct uffd_msg m;

    while (read(fd, &m, sizeof(m)) == sizeof(m)) {
        if (m.event == UFFD_EVENT_FORK && (int)m.arg.fork.ufd > shared->highest_fd)
            shared->highest_fd = m.arg.fork.ufd;
        if (m.event == UFFD_EVENT_PAGEFAULT) {
            uint64_t page = m.arg.pagefault.address & ~(LAZY_PAGE - 1);
            if (lazy_uffd_poison(fd, page, LAZY_PAGE) == -EEXIST)
                lazy_uffd_wake(fd, page, LAZY_PAGE);
        }
    }
}

/* Until nobody could touch a page that isn't there. */
static void answer_all(struct lazy_shared *shared)
{
    for (unsigned nap = SHORT_NAP_US;; nap = nap < LONG_NAP_US ? 2 * nap : nap) {
        bool left = false;
        for (int fd = 0; fd <= shared->highest_fd + 16; fd++) {
            if (!is_uffd(fd))
                continue;
            if (!lazy_uffd_alive(fd, shared->unreadable)) {
                close(fd);
                continue;
            }
            answer(shared, fd);
            /* Who waits for what is known to nobody any more asks again. So does who has asked just
             * now, and hasn't done it yet: that is for the next time. */
            lazy_uffd_wake_all(fd);
            left = true;
        }
        if (!left)
            return;
        usleep(nap);
    }
}

void lazy_give_up(struct lazy_shared *shared, const struct crs_error *why)
{
    struct lazy_report report = {.error = *why};

    /* First, so that who sees the program's end finds the reason. */
    if (pass_record(shared->report_fd, &report, sizeof(report), -1) < 0 && shared->says)
        dprintf(STDERR_FILENO, "crs restart: %s\n", why->text);
    kill_program(shared);
    answer_all(shared);
    shared->done = true;
}

/* ---- the guard ---- */

static void explain(struct crs_error *ret)
{
    crs_fail(ret, CRS_FAILED, EPIPE,
             "the process that brought the program's memory (crs-fill) was killed before all was "
             "there: the program was killed");
}

_Noreturn static void guard(struct lazy_shared *shared, int server_pidfd)
{
    struct pollfd end = {.fd = server_pidfd, .events = POLLIN};
    struct crs_error why = {0};

    prctl(PR_SET_NAME, LAZY_GUARD_NAME);
    while (poll(&end, 1, -1) <= 0)
        ;
    if (!shared->done) {
        explain(&why);
        lazy_give_up(shared, &why);
    }
    _exit(0);
}

int lazy_guard_start(struct lazy_shared *shared, pid_t *ret_pid, int *ret_pidfd)
{
    int server_pidfd = syscall(SYS_pidfd_open, getpid(), 0);

    if (server_pidfd < 0)
        return -errno;
    /* As fork(2), with one table of descriptors for both. */
    pid_t pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        guard(shared, server_pidfd);
    if (pid < 0)
        return -errno;
    int fd = syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0) {
        int errnum = errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return -errnum;
    }
    *ret_pid = pid;
    *ret_pidfd = fd;
    return 0;
}
