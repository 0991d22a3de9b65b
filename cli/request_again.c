/*
 * request_again.c - crs-request waits a moment for another request of the same process
 *
 * It does what a new one would do or says that it can't: what a process gets from who starts it
 * (user, groups, limits, namespaces, processors, ...) is compared with what it has itself.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "cli/request_again.h"
#include "cli/request_page.h"
#include "proc/stat.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif
#define TEXT_LIMIT   (1u << 20)
#define SENT_LOOKS   50
#define SENT_LOOK_MS 2

/* ---- is it what a new one would be? ---- */

/* Of /proc/PID/status: what exec(2) keeps. */
static const char *const kept_lines[] = {
    "\nUmask:",      "\nUid:",         "\nGid:",          "\nGroups:",
    "\nCapInh:",     "\nCapBnd:",      "\nCapAmb:",       "\nSeccomp:",
    "\nNoNewPrivs:", "\nTHP_enabled:", "\nCpus_allowed:", "\nMems_allowed:"};

/* Whose namespace of children would be its own. */
static const char *const namespaces[][2] = {{"pid_for_children", "pid"},
                                            {"time_for_children", "time"},
                                            {"mnt", "mnt"},
                                            {"net", "net"},
                                            {"ipc", "ipc"},
                                            {"uts", "uts"},
                                            {"user", "user"},
                                            {"cgroup", "cgroup"}};

static bool same_line(const char *a, const char *b, const char *key)
{
    const char *x = strstr(a, key), *y = strstr(b, key);

    if (!x || !y)
        return x == y;
    size_t n = strcspn(x + 1, "\n");
    return strcspn(y + 1, "\n") == n && memcmp(x + 1, y + 1, n) == 0;
}

static int read_both(int theirs, int ours, const char *name, struct bytes texts[2])
{
    int r = read_file(theirs, name, TEXT_LIMIT, &texts[0]);

    return r < 0 ? r : read_file(ours, name, TEXT_LIMIT, &texts[1]);
}

static bool same_status(int theirs, int ours, pid_t program)
{
    _cleanup_bytes_ struct bytes a = {0}, b = {0};
    char tgid[32];

    if (read_file(theirs, "status", TEXT_LIMIT, &a) < 0 ||
        read_file(ours, "status", TEXT_LIMIT, &b) < 0)
        return false;
    snprintf(tgid, sizeof(tgid), "\nTgid:\t%d\n", (int)program);
    bool same = strstr((char *)a.data, tgid) != NULL;
    for (size_t i = 0; i < sizeof(kept_lines) / sizeof(kept_lines[0]); i++)
        same = same && same_line((char *)a.data, (char *)b.data, kept_lines[i]);
    return same;
}

static bool same_text(int theirs, int ours, const char *name)
{
    struct bytes texts[2] = {{0}};
    bool same = read_both(theirs, ours, name, texts) == 0 && texts[0].size == texts[1].size &&
                memcmp(texts[0].data, texts[1].data, texts[0].size) == 0;

    bytes_clear(&texts[0]);
    bytes_clear(&texts[1]);
    return same;
}

static bool same_place(int theirs, const char *their_name, int ours, const char *our_name)
{
    struct stat a, b;

    return fstatat(theirs, their_name, &a, 0) == 0 && fstatat(ours, our_name, &b, 0) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static bool same_namespaces(int theirs, int ours)
{
    char a[40], b[40];

    for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++) {
        snprintf(a, sizeof(a), "ns/%s", namespaces[i][0]);
        snprintf(b, sizeof(b), "ns/%s", namespaces[i][1]);
        if (!same_place(theirs, a, ours, b))
            return false;
    }
    return true;
}

static bool same_scheduling(pid_t tid)
{
    struct sched_param a, b;

    return getpriority(PRIO_PROCESS, tid) == getpriority(PRIO_PROCESS, 0) &&
           sched_getscheduler(tid) == sched_getscheduler(0) && sched_getparam(tid, &a) == 0 &&
           sched_getparam(0, &b) == 0 && a.sched_priority == b.sched_priority;
}

static bool is_as_new(pid_t tid, pid_t program)
{
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d", tid);
    _cleanup_close_ int theirs = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int ours = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return theirs >= 0 && ours >= 0 && same_status(theirs, ours, program) &&
           same_text(theirs, ours, "limits") && same_text(theirs, ours, "cgroup") &&
           same_text(theirs, ours, "oom_score_adj") && same_namespaces(theirs, ours) &&
           same_place(theirs, "root", ours, "root") && same_scheduling(tid);
}

/* ---- the asking ---- */

static int get_fd(int pidfd, int number, int place)
{
    int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);

    if (fd < 0)
        return -errno;
    if (fd == place)
        return 0;
    int r = dup2(fd, place) < 0 ? -errno : 0;
    close(fd);
    return r;
}

/* Its descriptors may be those of the thread alone; kernels before 6.9 show those of the first. */
static int open_thread(const struct request_again *again, pid_t tid)
{
    int fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);

    return fd < 0 && errno == EINVAL && tid == again->program ? dup(again->pidfd) : fd;
}

/* Its page and destination; NULL: they can't be had. */
static struct request_page *fetch(const struct request_again *again, pid_t tid, int page_fd)
{
    _cleanup_close_ int pidfd = open_thread(again, tid);

    if (pidfd < 0 || get_fd(pidfd, page_fd, REQUEST_PAGE_FD) < 0)
        return NULL;
    struct request_page *page = request_page_map(REQUEST_PAGE_FD);
    if (page && (page->requester != again->program || !page->knows_again ||
                 get_fd(pidfd, page->destination, REQUEST_DESTINATION_FD) < 0)) {
        request_page_tell(&page->taken, REQUEST_REFUSED);
        munmap(page, sizeof(*page));
        page = NULL;
    }
    return page;
}

static bool wait_until_sent(struct request_page *page)
{
    const struct timespec look = {.tv_nsec = SENT_LOOK_MS * 1000000};
    _Atomic uint32_t *sent = (_Atomic uint32_t *)&page->sent;

    for (int i = 0; i < SENT_LOOKS && !atomic_load(sent); i++)
        syscall(SYS_futex, sent, FUTEX_WAIT, 0, &look, NULL, 0);
    return atomic_load(sent);
}

static bool take(const struct request_again *again, struct request_page *page, pid_t tid)
{
    uint32_t expected = REQUEST_NOT_TAKEN;
    bool fit = is_as_new(tid, again->program) && wait_until_sent(page);

    page->started = again->started;
    if (!atomic_compare_exchange_strong((_Atomic uint32_t *)&page->taken, &expected,
                                        fit ? REQUEST_TAKEN : REQUEST_REFUSED))
        return false; /* withdrawn */
    syscall(SYS_futex, &page->taken, FUTEX_WAKE, 1, NULL, NULL, 0);
    return fit;
}

struct request_page *request_again_wait(struct request_again *again)
{
    struct pollfd events[] = {{.fd = again->signal_fd, .events = POLLIN},
                              {.fd = again->pidfd, .events = POLLIN}};
    struct signalfd_siginfo info;

    if (again->signal_fd < 0 || poll(events, 2, REQUEST_AGAIN_MS) < 0 || events[1].revents != 0 ||
        read(again->signal_fd, &info, sizeof(info)) != sizeof(info) ||
        (pid_t)info.ssi_pid != again->program)
        return NULL;
    pid_t tid = (pid_t)(info.ssi_ptr >> 32);
    struct request_page *page = fetch(again, tid, (int)(info.ssi_ptr & 0xffffffff));
    if (page && take(again, page, tid))
        return page;
    return NULL;
}

/* ---- the beginning ---- */

static uint64_t own_start(void)
{
    _cleanup_bytes_ struct bytes text = {0};
    struct proc_stat stat;

    if (read_file(AT_FDCWD, "/proc/self/stat", 4096, &text) < 0 ||
        proc_stat_parse((const char *)text.data, &stat) < 0)
        return 0;
    return stat.start_time;
}

void request_again_begin(struct request_again *again, struct request_page *page)
{
    sigset_t asking;

    *again = (struct request_again){.program = page->requester, .pidfd = -1, .signal_fd = -1};
    if (!page->knows_again)
        return;
    sigemptyset(&asking);
    sigaddset(&asking, REQUEST_AGAIN_SIGNAL);
    sigprocmask(SIG_BLOCK, &asking, NULL);
    again->started = own_start();
    again->pidfd = (int)syscall(SYS_pidfd_open, again->program, 0);
    if (again->pidfd >= 0 && again->started > 0)
        again->signal_fd = signalfd(-1, &asking, SFD_CLOEXEC | SFD_NONBLOCK);
    if (again->signal_fd >= 0)
        page->started = again->started;
}
