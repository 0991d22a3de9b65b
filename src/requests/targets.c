/* targets.c - which processes a request means, and whether it may have them */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/io.h"
#include "engine/cooperation.h"
#include "kobj/supervisor_mark.h"
#include "libcr.h"
#include "proc/stat.h"
#include "proc/status.h"
#include "requests/request.h"

#define LIBRARY_TIME_US  500000
#define LIBRARY_SLEEP_US 5000
#define PF_EXITING       0x4 /* of the kernel */

/* ---- numbers ---- */

static int read_stat(pid_t pid, struct proc_stat *ret)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    int r = read_file(AT_FDCWD, path, 4096, &text);
    return r < 0 ? r : proc_stat_parse((const char *)text.data, ret);
}

static int read_status(pid_t pid, struct proc_status *ret)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    int r = read_file(AT_FDCWD, path, 1 << 20, &text);
    return r < 0 ? r : proc_status_parse((const char *)text.data, ret);
}

static bool same_pid_namespace(pid_t a, pid_t b)
{
    char path[40];
    struct stat x, y;

    snprintf(path, sizeof(path), "/proc/%d/ns/pid", a);
    if (stat(path, &x) < 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%d/ns/pid", b);
    return stat(path, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

pid_t targets_seen_by(pid_t of, pid_t pid)
{
    _cleanup_proc_status_ struct proc_status status = {0};

    if (pid <= 0)
        return 0;
    if (same_pid_namespace(of, getpid()))
        return pid;
    if (!same_pid_namespace(of, pid) || read_status(pid, &status) < 0)
        return 0;
    return status.inner_tgid;
}

pid_t targets_outer_pid(pid_t of, pid_t inner)
{
    _cleanup_closedir_ DIR *dir = NULL;

    if (same_pid_namespace(of, getpid()))
        return inner;
    dir = opendir("/proc");
    for (struct dirent *e; dir && (e = readdir(dir));) {
        _cleanup_proc_status_ struct proc_status status = {0};
        pid_t pid = atoi(e->d_name);
        if (pid > 0 && same_pid_namespace(of, pid) && read_status(pid, &status) == 0 &&
            status.inner_tgid == inner)
            return pid;
    }
    return 0;
}

int targets_root(struct request *q, unsigned scope, pid_t target, struct tree_root *ret)
{
    static const enum crs_scope scopes[] = {[CR_SCOPE_PROC] = CRS_ONLY,
                                            [CR_SCOPE_PGRP] = CRS_GROUP,
                                            [CR_SCOPE_SESS] = CRS_SESSION,
                                            [CR_SCOPE_TREE] = CRS_TREE};
    struct proc_stat stat;

    if (scope >= ELEMENTS(scopes))
        return request_fail(q, EINVAL, "%d is no scope of a request", (int)scope);
    if (target < 0)
        return request_fail(q, EINVAL, "%d is no process ID", target);
    *ret = (struct tree_root){target, scopes[scope]};
    if (target > 0)
        return 0;
    if (read_stat(q->requester, &stat) < 0)
        return request_fail(q, ESRCH, "the requester, process %d, has ended", q->requester);
    ret->id = scope == CR_SCOPE_PGRP   ? stat.group
              : scope == CR_SCOPE_SESS ? stat.session
                                       : q->requester;
    return 0;
}

/* ---- who traces whom ---- */

/* A tool of this project: its business is over soon. */
static bool is_own_tool(pid_t pid)
{
    _cleanup_free_ char *exe = NULL, *own = NULL;
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    if (read_link(AT_FDCWD, path, &exe) < 0 || read_link(AT_FDCWD, "/proc/self/exe", &own) < 0)
        return false;
    const char *name = strrchr(exe, '/');
    return strcmp(exe, own) == 0 ||
           (name && (strncmp(name, "/crs", 4) == 0 || strncmp(name, "/cr_checkpoint", 14) == 0));
}

static int omit(struct request *q, pid_t pid)
{
    pid_t *place = ARRAY_ADD(&q->omitted);

    if (!place)
        return request_fail(q, ENOMEM, "out of memory");
    *place = pid;
    return 1;
}

/* The processes that trace others, in any order. */
struct tracers {
    ARRAY_OF(pid_t) array;
};

static void tracers_clear(struct tracers *t)
{
    free(t->array.items);
}

/* The number after "TracerPid:", which is near the beginning of a status. */
static pid_t tracer_of(const char *pid)
{
    char path[280], text[512];

    snprintf(path, sizeof(path), "/proc/%s/status", pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return 0;
    text[n] = 0;
    const char *line = strstr(text, "\nTracerPid:");
    return line ? atoi(line + sizeof("\nTracerPid:") - 1) : 0;
}

static int find_tracers(struct request *q, struct tracers *ret)
{
    _cleanup_closedir_ DIR *dir = opendir("/proc");

    for (struct dirent *e; dir && (e = readdir(dir));) {
        _cleanup_proc_status_ struct proc_status status = {0};
        pid_t tracer = atoi(e->d_name) > 0 ? tracer_of(e->d_name) : 0;
        if (tracer <= 0 || read_status(tracer, &status) < 0)
            continue;
        pid_t *place = ARRAY_ADD(&ret->array);
        if (!place)
            return request_fail(q, ENOMEM, "out of memory");
        *place = status.tgid;
    }
    return 0;
}

/* A tracee may be any process, but mostly it's a child. */
static bool may_trace(pid_t pid)
{
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    _cleanup_closedir_ DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        _cleanup_bytes_ struct bytes text = {0};
        char children[280];
        snprintf(children, sizeof(children), "%s/children", e->d_name);
        if (e->d_name[0] != '.' &&
            (read_file(dirfd(dir), children, 64u << 20, &text) < 0 || text.size > 0))
            return true;
    }
    return false;
}

static int check_tracer(struct request *q, const struct tracers *tracers, pid_t pid)
{
    for (size_t i = 0; i < tracers->array.n; i++) {
        if (tracers->array.items[i] != pid)
            continue;
        if (q->options->flags & CR_CHKPT_PTRACER_SKIP)
            return omit(q, pid);
        return request_fail(q, CR_EPTRACER, "process %d traces others: let it detach before", pid);
    }
    return 0;
}

/* Nobody can hold a process that somebody else traces: it can't be allowed, only left out. */
static int check_traced(struct request *q, pid_t pid)
{
    char number[16];

    snprintf(number, sizeof(number), "%d", pid);
    pid_t tracer = tracer_of(number);
    if (tracer <= 0)
        return 0;
    if (is_own_tool(tracer))
        return request_fail(q, EBUSY, "process %d is being checkpointed by process %d", pid,
                            tracer);
    if (q->options->flags & CR_CHKPT_PTRACED_SKIP)
        return omit(q, pid);
    return request_fail(q, CR_EPTRACED,
                        "process %d is traced by process %d, and the kernel lets nobody else hold "
                        "it%s: let it detach before",
                        pid, tracer,
                        q->options->flags & CR_CHKPT_PTRACED_ALLOW ? ", allowed or not" : "");
}

/* ---- whether they want ---- */

/* Does it run, or could it? */
static bool is_there(pid_t pid)
{
    struct proc_stat stat;

    if (read_stat(pid, &stat) < 0)
        return false;
    return stat.threads > 1 || (!strchr("ZX", stat.state) && !(stat.flags & PF_EXITING));
}

/* A process that has just been started may be about to load its library, or another program that
 * has it. What is found then; -ENOENT: it has none for 0.5 s, or is gone. */
static int find_library_soon(pid_t pid, struct cooperation_found *ret, struct crs_error *err)
{
    uint64_t until = now_us() + LIBRARY_TIME_US;

    for (;;) {
        int r = cooperation_find(pid, ret, err);
        if (r != -ENOENT || !is_there(pid) || now_us() > until)
            return r;
        usleep(LIBRARY_SLEEP_US);
    }
}

static int find_block(struct request *q, pid_t pid, struct cooperation_found *ret)
{
    struct crs_error error = {0};
    int r = q->options->flags & REQUEST_ANY ? cooperation_find(pid, ret, &error)
                                            : find_library_soon(pid, ret, &error);

    if (r == 0 || !is_there(pid))
        return r < 0 ? -ESRCH : 0;
    if (r == -ENOENT && q->options->flags & REQUEST_ANY)
        return r;
    if (r == -ENOENT)
        return request_fail(q, CR_ENOSUPPORT, "process %d has no checkpoint library", pid);
    return request_fail_with(q, request_code(r, &error), &error);
}

static int check_block(struct request *q, pid_t pid)
{
    _cleanup_proc_status_ struct proc_status status = {0};
    struct cooperation_found found = {0};
    int r = find_block(q, pid, &found);

    if (r == -ENOENT || r == -ESRCH)
        return 0;
    if (r < 0)
        return r;
    if (found.block.kind == COOPERATION_OMIT)
        return omit(q, pid);
    r = member_check_free(q, pid, found.address, &found.block);
    if (r == 0 && read_status(pid, &status) == 0)
        q->has_called |= member_wants(status.inner_tgid, &found.block);
    return r;
}

/* The one that keeps the namespaces of a restarted program: it is the tool's, and made anew by the
 * next restart. */
static bool is_supervisor(pid_t pid)
{
    struct supervisor_found found = {.proc_fd = -1};
    int r = supervisor_at(pid, &found);

    cleanup_close(&found.proc_fd);
    return r == 0;
}

/* 1: it is left out. */
static int check_one(struct request *q, const struct tracers *tracers, pid_t pid)
{
    struct crs_error error = {0};
    int r;

    if (!is_there(pid))
        return 0; /* ended, and not waited for */
    if (is_supervisor(pid))
        return omit(q, pid);
    if (pid == q->requester && q->options->flags & CR_CHKPT_PROHIBIT_SELF)
        return request_fail(q, EDEADLK, "the requester, process %d, is among the targets", pid);
    r = check_traced(q, pid);
    if (r == 0)
        r = check_tracer(q, tracers, pid);
    if (r != 0)
        return r;
    r = tracee_check(pid, &error);
    if (r < 0)
        return is_there(pid) ? request_fail_with(q, request_code(r, &error), &error) : 0;
    return check_block(q, pid);
}

static bool is_omitted(const struct request *q, pid_t pid)
{
    for (size_t i = 0; i < q->omitted.n; i++)
        if (q->omitted.items[i] == pid)
            return true;
    return false;
}

/*
 * Only a look at all processes tells who traces others. It takes longer than the checkpoint of a
 * small one: where nobody has children, targets_check_tracer() has the answer in the freeze.
 */
static int find_likely_tracers(struct request *q, const struct tree_founds *founds,
                               struct tracers *ret)
{
    for (size_t i = 0; i < founds->array.n && !q->knows_tracers; i++)
        q->knows_tracers = may_trace(founds->array.items[i].pid);
    return q->knows_tracers ? find_tracers(q, ret) : 0;
}

int targets_check_tracer(struct request *q, struct tracee *t)
{
    _cleanup_(tracers_clear) struct tracers tracers = {0};
    int64_t result = 0;

    if (q->knows_tracers ||
        REMOTE(tracee_main(t), &result, NULL, SYS_waitid, P_ALL, 0, 0,
               WEXITED | WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT | __WALL) < 0)
        return 0;
    if (result == -ECHILD) /* neither children nor tracees */
        return 0;
    int r = find_tracers(q, &tracers);
    return r == 0 ? check_tracer(q, &tracers, t->pid) : r;
}

static int check_all(struct request *q, const struct tree_founds *founds)
{
    _cleanup_(tracers_clear) struct tracers tracers = {0};
    int r = find_likely_tracers(q, founds, &tracers);

    for (size_t i = 0; r >= 0 && i < founds->array.n; i++) {
        pid_t pid = founds->array.items[i].pid;
        if (is_omitted(q, pid) || pid == getpid() || member_find(q, pid))
            continue; /* known already, or not meant */
        r = request_check_time(q);
        if (r == 0)
            r = check_one(q, &tracers, pid);
    }
    return r < 0 ? r : 0;
}

static int count(const struct request *q, const struct tree_founds *founds)
{
    size_t n = 0;

    for (size_t i = 0; i < founds->array.n; i++)
        n += !is_omitted(q, founds->array.items[i].pid) && is_there(founds->array.items[i].pid);
    return n;
}

int targets_survey(struct request *q, const struct tree_choice *choice, size_t *ret_n)
{
    const struct tree tree = {.choice = choice, .tool = q->options->tool};
    _cleanup_tree_founds_ struct tree_founds founds = {0};
    struct crs_error error = {0};
    int r = tree_list(&tree, &founds, &error);

    if (r < 0)
        return request_fail_with(q, request_code(r, &error), &error);
    r = check_all(q, &founds);
    *ret_n = count(q, &founds);
    return r;
}
