/* sandbox.c - programs under seccomp: who may hold them, and how */
#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "tracee/rehearsal.h"
#include "tracee/sandbox.h"
#include "tracee/task.h"

#define ANCESTORS_MAX 1000

/* ---- what a thread is under ---- */

struct seccomp_state {
    unsigned mode;      /* SECCOMP_MODE_* */
    unsigned n_filters; /* 0 on kernels before 5.9, which don't tell */
    pid_t parent;
};

static void parse_state(const char *status, struct seccomp_state *ret)
{
    *ret = (struct seccomp_state){
        .mode = task_status_number(status, "\nSeccomp:", false),
        .n_filters = task_status_number(status, "\nSeccomp_filters:", false),
        .parent = task_status_number(status, "\nPPid:", false),
    };
}

static int read_state(const char *path, struct seccomp_state *ret)
{
    _cleanup_bytes_ struct bytes text = {0};
    int r = read_record(AT_FDCWD, path, 1 << 20, &text);

    if (r == 0)
        parse_state((const char *)text.data, ret);
    return r;
}

static int read_process_state(pid_t pid, struct seccomp_state *ret)
{
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    return read_state(path, ret);
}

static int own_state(struct seccomp_state *ret, struct crs_error *err)
{
    int r = read_state("/proc/thread-self/status", ret);

    return r < 0 ? crs_fail(err, CRS_FAILED, -r, "can't read /proc/thread-self/status: %s",
                            strerror(-r))
                 : 0;
}

int sandbox_own_filters(unsigned *ret_n, struct crs_error *err)
{
    struct seccomp_state state;
    int r = own_state(&state, err);

    if (r == 0)
        *ret_n = state.n_filters;
    return r;
}

/* ---- may its filters be suspended? ---- */

static bool in_first_user_namespace(void)
{
    _cleanup_bytes_ struct bytes map = {0};
    unsigned inside, outside, n;

    return read_file(AT_FDCWD, "/proc/self/uid_map", 4096, &map) < 0 ||
           (sscanf((const char *)map.data, "%u %u %u", &inside, &outside, &n) == 3 && inside == 0 &&
            outside == 0 && n == UINT32_MAX);
}

/* As the kernel judges it: who is under seccomp may not lift it from others. */
static bool may_suspend(const struct seccomp_state *own)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {0};

    return own->mode == SECCOMP_MODE_DISABLED && syscall(SYS_capget, &header, data) == 0 &&
           (data[0].effective >> CAP_SYS_ADMIN & 1) && in_first_user_namespace();
}

/* ---- are they the tool's own? ---- */

/* Those that have as many filters as we, from our process upwards without a gap. *ret_outside: they
 * go on outside of what is seen here, as in a container that was entered. */
static size_t list_own_line(unsigned n_filters, pid_t pids[ANCESTORS_MAX], bool *ret_outside)
{
    struct seccomp_state state = {0};
    size_t n = 0;

    *ret_outside = false;
    for (pid_t pid = getpid(); n < ANCESTORS_MAX; pid = state.parent) {
        *ret_outside = pid == 0;
        if (pid == 0 || read_process_state(pid, &state) < 0 || state.n_filters != n_filters)
            return n;
        pids[n++] = pid;
    }
    return n;
}

/*
 * Filters are inherited and never go away. A process that has as many as we, and a common ancestor
 * with us that has as many, with nobody in between who has fewer, has the same. Who was put into a
 * container from outside, as its first process is, has those of the container.
 */
static bool comes_from_own_line(pid_t pid, unsigned n_filters)
{
    pid_t line[ANCESTORS_MAX];
    struct seccomp_state state = {0};
    bool outside;
    size_t n = list_own_line(n_filters, line, &outside);

    for (int depth = 0; depth < ANCESTORS_MAX; depth++, pid = state.parent) {
        if (pid == 0)
            return outside;
        for (size_t i = 0; i < n; i++)
            if (line[i] == pid)
                return true;
        if (read_process_state(pid, &state) < 0 || state.n_filters != n_filters)
            return false;
    }
    return false;
}

static bool is_inherited(pid_t pid, const struct seccomp_state *state,
                         const struct seccomp_state *own)
{
    return state->mode == SECCOMP_MODE_FILTER && own->mode == SECCOMP_MODE_FILTER &&
           state->n_filters > 0 && state->n_filters == own->n_filters &&
           comes_from_own_line(pid, own->n_filters);
}

/* ---- the check ---- */

static int refuse(pid_t pid, pid_t tid, const struct seccomp_state *state,
                  const struct seccomp_state *own, struct crs_error *err)
{
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                    "thread %d of process %d runs under %s, which would judge the calls of a "
                    "checkpoint as its own and can be read only by root%s: checkpoint it as root "
                    "(CAP_SYS_ADMIN) of the machine, or run the program without its sandbox",
                    tid, pid,
                    state->mode == SECCOMP_MODE_STRICT ? "seccomp's strict mode"
                                                       : "a seccomp filter of its own",
                    own->mode != SECCOMP_MODE_DISABLED ? " that is under none itself" : "");
}

static int check_state(pid_t pid, pid_t tid, const struct seccomp_state *state,
                       struct crs_error *err)
{
    struct seccomp_state own;

    if (state->mode == SECCOMP_MODE_DISABLED)
        return 0;
    int r = own_state(&own, err);
    if (r < 0 || may_suspend(&own) || is_inherited(pid, state, &own))
        return r;
    return refuse(pid, tid, state, &own, err);
}

int sandbox_check(pid_t pid, struct crs_error *err)
{
    char path[64];
    int r = 0;

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    _cleanup_closedir_ DIR *dir = opendir(path);
    for (struct dirent *e; r == 0 && dir && (e = readdir(dir));) {
        struct seccomp_state state;
        pid_t tid = atoi(e->d_name);
        if (tid <= 0)
            continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
        if (read_state(path, &state) == 0) /* else it has ended */
            r = check_state(pid, tid, &state, err);
    }
    return r;
}

/* ---- held threads ---- */

static int set_options(struct tracee_thread *th, long options)
{
    return ptrace(PTRACE_SETOPTIONS, th->tid, 0, (void *)options) < 0 ? -errno : 0;
}

void sandbox_suspend_stub(struct tracee_thread *th)
{
    set_options(th, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_SUSPEND_SECCOMP);
}

static int rehearse_with(struct tracee *t, struct crs_error *err)
{
    return t->rehearsal ? 0 : rehearsal_new(&t->rehearsal, err);
}

/* The calls that are made whatever is asked for, and the one that a signal frame ends with. */
static int rehearse_basics(struct tracee *t, struct crs_error *err)
{
    static const long numbers[] = {SYS_getpid, SYS_getcpu, SYS_rt_sigreturn};
    int r = 0;

    for (size_t i = 0; r == 0 && i < ELEMENTS(numbers); i++)
        r = rehearsal_try(t, &(struct remote_call){.number = numbers[i]}, err);
    return r;
}

static int enter_inherited(struct tracee_thread *th, struct crs_error *err)
{
    const struct remote_call restart = {.number = SYS_restart_syscall};
    struct tracee *t = th->owner;
    bool first = !t->rehearsal;
    int r = rehearse_with(t, err);

    if (r == 0 && first)
        r = rehearse_basics(t, err);
    th->filters_inherited = r == 0;
    if (r == 0 && rehearsal_try(t, &restart, NULL) < 0)
        r = arch_avoid_restart(th, err);
    return r;
}

static int enter_thread(struct tracee_thread *th, struct crs_error *err)
{
    struct tracee *t = th->owner;
    struct seccomp_state state, own;
    int r = task_read(t->proc_fd, th->tid, "status", &th->status);

    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't read the status of thread %d: %s", th->tid,
                        strerror(-r));
    parse_state((const char *)th->status.data, &state);
    th->seccomp = state.mode;
    th->n_filters = state.n_filters;
    if (state.mode == SECCOMP_MODE_DISABLED)
        return 0;
    r = own_state(&own, err);
    if (r < 0)
        return r;
    if (may_suspend(&own) && set_options(th, PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP) == 0)
        return arch_avoid_restart(th, err);
    if (is_inherited(t->pid, &state, &own))
        return enter_inherited(th, err);
    return refuse(t->pid, th->tid, &state, &own, err);
}

int sandbox_enter(struct tracee *t, struct crs_error *err)
{
    int r = 0;

    tracee_for_each_thread (t, th) {
        if (r == 0)
            r = enter_thread(th, err);
    }
    return r;
}

int sandbox_read_filter(struct tracee_thread *th, unsigned place, struct sock_filter *code,
                        size_t *ret_n, uint32_t *ret_flags, struct crs_error *err)
{
    struct __ptrace_seccomp_metadata metadata = {.filter_off = place};
    long n = ptrace(PTRACE_SECCOMP_GET_FILTER, th->tid, (void *)(long)place, code);

    if (n < 0 && errno == ENOENT)
        n = 0;
    if (n < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, errno,
                        "can't read seccomp filter %u of thread %d: %s%s", place, th->tid,
                        strerror(errno),
                        errno == EIO || errno == EINVAL
                            ? " (the kernel was built without CONFIG_CHECKPOINT_RESTORE)"
                            : "");
    *ret_flags = 0;
    if (n > 0 && ptrace(PTRACE_SECCOMP_GET_METADATA, th->tid, (void *)sizeof(metadata),
                        &metadata) >= (long)sizeof(metadata))
        *ret_flags = metadata.flags;
    *ret_n = n;
    return 0;
}
