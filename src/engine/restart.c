/*
 * restart.c - restart a program: the policy for its PIDs, and the interface
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/io.h"
#include "base/passing.h"
#include "base/units.h"
#include "engine/clocks.h"
#include "engine/lazy.h"
#include "engine/lazy_server.h"
#include "engine/manifest_info.h"
#include "engine/options.h"
#include "engine/relocate.h"
#include "engine/restart.h"
#include "engine/supervisor.h"
#include "proc/stat.h"
#include "proc/status.h"
#include "store/snapshot.h"

#define ENDING_TIME_US    1000000 /* for what was killed to end and be waited for by its parent */
#define KERNEL_PF_EXITING 0x4     /* in the flags of /proc/PID/stat */

/* ---- policies ---- */

static bool has_capability(int capability)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {0};

    return syscall(SYS_capget, &header, data) == 0 &&
           (data[capability / 32].effective >> (capability % 32) & 1);
}

/* 0 is what a process calls one outside of its namespace. */
static bool is_free(pid_t id)
{
    return id == 0 || (kill(id, 0) < 0 && errno != EPERM);
}

/* Is the saved session, or group, of the root and its like to be made again? */
static bool makes(enum crs_membership wish, uint32_t saved, pid_t own)
{
    return wish == CRS_MEMBERSHIP_RESTORE && saved != (uint32_t)own;
}

/* Of the process and its threads; and of its session and group, whose leaders may be gone: the
 * first ID that is taken; 0: none. */
static pid_t taken_id(const struct rebuild *b, const Crs__Process *p)
{
    const Crs__Process *root = b->loaded->tree->processes[0];

    if (!is_free(p->pid))
        return p->pid;
    if ((p->session != root->session || makes(b->session, p->session, getsid(0))) &&
        !is_free(p->session))
        return p->session;
    if ((p->group != root->group || makes(b->group, p->group, getpgrp())) && !is_free(p->group))
        return p->group;
    for (size_t i = 0; i < p->n_threads; i++)
        if (!is_free(p->threads[i]->tid))
            return p->threads[i]->tid;
    return 0;
}

/* It has ended, and only its parent's wait for it keeps the number; or it was killed, and is about
 * to end: a thread that has to go has SIGKILL waiting, whichever signal it was. */
static bool is_thread_ending(const char *task, const char *tid)
{
    _cleanup_bytes_ struct bytes text = {0}, status_text = {0};
    _cleanup_proc_status_ struct proc_status status = {0};
    struct proc_stat stat;
    char path[80];

    snprintf(path, sizeof(path), "%s/%.10s/stat", task, tid);
    if (read_file(AT_FDCWD, path, 8192, &text) < 0)
        return true;
    if (proc_stat_parse((const char *)text.data, &stat) < 0)
        return false;
    if (stat.state == 'Z' || stat.state == 'X' || stat.flags & KERNEL_PF_EXITING)
        return true;
    snprintf(path, sizeof(path), "%s/%.10s/status", task, tid);
    return read_file(AT_FDCWD, path, 1 << 20, &status_text) == 0 &&
           proc_status_parse((const char *)status_text.data, &status) == 0 &&
           status.signals_pending >> (SIGKILL - 1) & 1;
}

/* All threads of the process with this ID, or a thread of that. */
static bool is_ending(pid_t id)
{
    char task[40];

    snprintf(task, sizeof(task), "/proc/%d/task", id);
    _cleanup_closedir_ DIR *dir = opendir(task);
    bool ending = dir != NULL;
    for (struct dirent *e; ending && (e = readdir(dir));)
        ending = e->d_name[0] == '.' || is_thread_ending(task, e->d_name);
    return ending;
}

static bool ids_are_ending(const Crs__Process *p)
{
    bool ending = !is_free(p->pid) && is_ending(p->pid);

    for (size_t i = 0; i < p->n_threads && !ending; i++)
        ending = !is_free(p->threads[i]->tid) && is_ending(p->threads[i]->tid);
    return ending;
}

/* A program that was just ended (crs checkpoint --terminate, cr_checkpoint --term) is waited for by
 * its parents, or by init, in a moment. */
static void wait_for_ends(const Crs__Tree *tree)
{
    uint64_t until = now_us() + ENDING_TIME_US;

    for (size_t i = 0; i < tree->n_processes; i++)
        while (ids_are_ending(tree->processes[i]) && now_us() < until)
            usleep(500);
}

bool restart_may_choose_pids(void)
{
    return has_capability(CAP_SYS_ADMIN) || has_capability(CAP_CHECKPOINT_RESTORE);
}

/* Could the saved PIDs be had here? For the default's choice; the last word is the kernel's. */
static bool same_pids_look_possible(const struct rebuild *b)
{
    const Crs__Tree *tree = b->loaded->tree;

    if (!restart_may_choose_pids())
        return false;
    wait_for_ends(tree);
    for (size_t i = 0; i < tree->n_processes; i++)
        if (taken_id(b, tree->processes[i]))
            return false;
    return true;
}

/* Before anything is started. What is about to end is waited for where its number is needed. */
static int check_same_pids(const struct rebuild *b, struct crs_error *err)
{
    const Crs__Tree *tree = b->loaded->tree;
    _cleanup_bytes_ struct bytes comm = {0};
    pid_t taken = 0;
    char path[40];

    wait_for_ends(tree);
    for (size_t i = 0; i < tree->n_processes && !taken; i++) {
        taken = taken_id(b, tree->processes[i]);
        if (taken && is_ending(taken))
            taken = 0;
    }
    if (!taken)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/comm", taken);
    if (read_file(AT_FDCWD, path, 256, &comm) == 0)
        comm.data[strcspn((char *)comm.data, "\n")] = 0;
    return crs_fail(err, CRS_BUSY, EEXIST,
                    "PID %d is in use%s%s: wait until it is free, or restart with "
                    "--pids=namespace or --pids=new",
                    taken, comm.data ? " by " : "", comm.data ? (char *)comm.data : "");
}

/* As a child of the caller, under the saved PIDs or new ones. */
static int restart_as_child(struct rebuild *b, struct crs_restarted *ret, struct crs_error *err)
{
    int clocks_fd = -1;
    pid_t pid;

    b->clocks_go_on = !b->own_clocks && clocks_enter(b->loaded->tree, &clocks_fd) == 0;
    int r = rebuild_process(b, &pid, err);
    clocks_leave(clocks_fd);
    if (r < 0)
        return r;
    *ret = (struct crs_restarted){.pid = pid, .wait_pid = pid, .pids = b->pids, .status_fd = -1};
    return 0;
}

static int make_inside(const struct supervisor_work *work, int report_fd, pid_t *ret_pid,
                       struct crs_error *err)
{
    struct rebuild b = *(const struct rebuild *)work->arg;

    supervisor_forget_signals();
    b.progress = supervisor_report;
    b.progress_arg = &report_fd;
    b.clocks_go_on = clocks_enter(b.loaded->tree, NULL) == 0;
    if (!b.clocks_go_on && b.namespaces & NAMESPACE_TIME)
        return crs_fail(err, CRS_CANT_RESTART, ENOTSUP,
                        "the program had a time namespace of its own (--isolate=time), which can't "
                        "be made here");
    if (b.detach && b.session == CRS_MEMBERSHIP_DEFAULT)
        setsid();
    return rebuild_process(&b, ret_pid, err);
}

/* As the child of a supervisor, in namespaces of its own. */
static int restart_inside(const struct rebuild *b, struct crs_restarted *ret, struct crs_error *err)
{
    const struct supervisor_work work = {
        .namespaces = b->namespaces,
        .make = make_inside,
        .arg = b,
        .progress = b->progress,
        .progress_arg = b->progress_arg,
    };

    return supervisor_start(&work, ret, err);
}

static int restart_with(struct rebuild *b, enum crs_pids pids, struct crs_restarted *ret,
                        struct crs_error *err)
{
    int r = 0;

    b->pids = pids;
    if (pids == CRS_PIDS_SAME && restart_may_choose_pids())
        r = check_same_pids(b, err);
    if (r < 0)
        return r;
    return pids == CRS_PIDS_NAMESPACE ? restart_inside(b, ret, err) : restart_as_child(b, ret, err);
}

/* Objects of its own IPC namespace and its connections exist only in one like it. */
static bool must_be_inside(const struct rebuild *b)
{
    return b->namespaces & (NAMESPACE_IPC | NAMESPACE_NET);
}

static int check_policy(const struct rebuild *b, struct crs_error *err)
{
    if (!must_be_inside(b) || b->pids == CRS_PIDS_DEFAULT || b->pids == CRS_PIDS_NAMESPACE)
        return 0;
    return crs_fail(err, CRS_CANT_RESTART, EINVAL,
                    "the program had an IPC or network namespace of its own (crs run --isolate), "
                    "and comes back in one only: restart it with --pids=namespace");
}

/* The first that works: only a refusal of the policy itself leads to the next one. */
static int restart_by_default(struct rebuild *b, struct crs_restarted *ret, struct crs_error *err)
{
    struct crs_error refusal = {0};

    if (must_be_inside(b))
        return restart_with(b, CRS_PIDS_NAMESPACE, ret, err);
    if (!(b->namespaces & NAMESPACE_PID) && same_pids_look_possible(b)) {
        int r = restart_with(b, CRS_PIDS_SAME, ret, &refusal);
        if (r != -EEXIST && r != -EPERM) {
            if (r < 0 && err)
                *err = refusal;
            return r;
        }
    }
    int r = restart_with(b, CRS_PIDS_NAMESPACE, ret, &refusal);
    if (r == 0 || refusal.kind != CRS_NOT_PERMITTED) {
        if (r < 0 && err)
            *err = refusal;
        return r;
    }
    return restart_with(b, CRS_PIDS_NEW, ret, err);
}

/* To be asked outside of a new PID namespace, where groups have their numbers. */
static bool in_foreground(void)
{
    _cleanup_close_ int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

    return tty >= 0 && tcgetpgrp(tty) == getpgrp();
}

/* ---- what takes the place of what leads outside ---- */

struct given {
    struct kobj_given *items;
    size_t n;
};

static void given_clear(struct given *given)
{
    for (size_t i = 0; i < given->n; i++)
        cleanup_close(&given->items[i].fd);
    free(given->items);
}

/* "N=M" or "N=PATH". The descriptor is held before others of ours can get its number. */
static int parse_given(const char *text, struct kobj_given *ret, struct crs_error *err)
{
    const char *value = text ? strchr(text, '=') : NULL;
    uint64_t number, fd;
    char digits[16];

    snprintf(digits, sizeof(digits), "%.*s", value ? (int)(value - text) : 0, text ? text : "");
    if (!value || !value[1] || parse_number(digits, INT32_MAX, &number) < 0)
        return crs_fail(err, CRS_USAGE, EINVAL,
                        "'%s' doesn't say what is given for which descriptor: N=M or N=PATH",
                        text ? text : "");
    *ret = (struct kobj_given){.number = number, .fd = -1, .path = value + 1};
    if (strspn(ret->path, "0123456789") != strlen(ret->path))
        return 0;
    ret->fd = parse_number(ret->path, INT32_MAX, &fd) < 0 ? -1 : fcntl((int)fd, F_DUPFD_CLOEXEC, 3);
    return ret->fd < 0 ? crs_fail(err, CRS_USAGE, EBADF,
                                  "%s: the restarter has no descriptor %s to give", text, ret->path)
                       : 0;
}

static int take_given(const struct crs_restart_options *o, struct given *ret, struct crs_error *err)
{
    int r = 0;

    if (o->n_fds == 0)
        return 0;
    ret->items = calloc(o->n_fds, sizeof(*ret->items));
    if (!ret->items)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && i < o->n_fds; i++) {
        r = parse_given(o->fds[i], &ret->items[i], err);
        ret->n++;
    }
    return r;
}

/* ---- the interface ---- */

static int check_options(const char *path, const struct crs_restart_options *o,
                         struct crs_error *err)
{
    if ((int)o->pids < CRS_PIDS_DEFAULT || o->pids > CRS_PIDS_NEW)
        return crs_fail(err, CRS_USAGE, EINVAL, "an unknown policy for PIDs: %d", o->pids);
    if ((int)o->group < CRS_MEMBERSHIP_DEFAULT || o->group > CRS_MEMBERSHIP_RESTORE ||
        (int)o->session < CRS_MEMBERSHIP_DEFAULT || o->session > CRS_MEMBERSHIP_RESTORE)
        return crs_fail(err, CRS_USAGE, EINVAL, "an unknown wish for process group or session");
    if (!path && !o->snapshot)
        return crs_fail(err, CRS_USAGE, EINVAL, "neither a path nor an open snapshot is given");
    return 0;
}

static uint64_t saved_bytes(const struct loaded *loaded)
{
    return json_integer_value(
        json_object_get(store_reader_manifest(loaded->reader), "memory_bytes"));
}

/* ---- what has moved ---- */

static int take_moved(const struct crs_restart_options *o, struct relocations *ret,
                      struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < o->n_relocate; i++)
        r = relocations_add(ret, o->relocate[i], err);
    return r;
}

/* ---- in order ---- */

static int check_and_start(struct rebuild *b, enum crs_pids pids, bool inside_where_needed,
                           struct crs_restarted *ret, struct crs_error *err)
{
    int r = namespaces_recorded(b->loaded->tree, &b->namespaces, err);

    if (inside_where_needed && must_be_inside(b))
        pids = CRS_PIDS_NAMESPACE;
    b->pids = pids;
    if (r == 0)
        r = check_policy(b, err);
    if (r == 0)
        r = manifest_check_machine(store_reader_manifest(b->loaded->reader), err);
    if (r == 0)
        r = rebuild_check(b, err);
    if (r < 0)
        return r;
    return pids == CRS_PIDS_DEFAULT ? restart_by_default(b, ret, err)
                                    : restart_with(b, pids, ret, err);
}

/* ---- memory that comes later ---- */

/* An end of a pair for the server of the memory, where there can be one. */
static int prepare_fill(const struct crs_restart_options *o, int *ret_ours, int *ret_theirs,
                        struct crs_error *err)
{
    struct crs_error why = {0};
    int pair[2];

    if (!o->lazy)
        return 0;
    if (lazy_probe(&why) < 0) {
        kobj_warn(o->progress, o->progress_arg, "all memory is read before the program runs: %s",
                  why.text);
        return 0;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't make a socket pair");
    *ret_ours = pair[0];
    *ret_theirs = pair[1];
    return 0;
}

/* Is there a server, or was there? Then the first record says so. */
static bool has_server(int fill_fd)
{
    struct lazy_report report;

    return fill_fd >= 0 && take_record(fill_fd, &report, sizeof(report), MSG_DONTWAIT, NULL) == 0 &&
           report.begun;
}

/* Those who have an older crs.h have no room for what is new. */
static void hand_over(const struct crs_restarted *restarted,
                      const struct crs_restart_options *given, struct crs_restarted *ret)
{
    bool old = given && given->struct_size <= offsetof(struct crs_restart_options, lazy);

    memcpy(ret, restarted, old ? offsetof(struct crs_restarted, lazy) : sizeof(*ret));
}

static int restart_loaded(struct loaded *loaded, const struct crs_restart_options *o,
                          const struct restart_extras *extras, const struct given *given,
                          const struct relocations *pairs, int fill_fd, struct crs_restarted *ret,
                          struct crs_error *err)
{
    _cleanup_(kobj_relocating_clear) struct kobj_relocating moved = {.pairs = pairs};
    struct rebuild b = {.loaded = loaded,
                        .detach = o->detach,
                        .stopped = o->stopped,
                        .group = o->group,
                        .session = o->session,
                        .held = extras ? extras->held : NULL,
                        .held_arg = extras ? extras->held_arg : NULL,
                        .restarter = extras ? extras->restarter : 0,
                        .gives_own = extras && extras->gives_own,
                        .own_clocks = extras && extras->own_clocks,
                        .in_foreground = in_foreground(),
                        .progress = o->progress,
                        .progress_arg = o->progress_arg,
                        .given = given->items,
                        .n_given = given->n,
                        .lazy = fill_fd >= 0,
                        .fill_fd = fill_fd};
    int r = pairs->array.n > 0 ? relocate_loaded(loaded, &moved, err) : 0;

    if (r == 0)
        r = check_and_start(&b, o->pids, extras && extras->inside_where_needed, ret, err);
    return relocate_explain(&moved, r, err);
}

int restart_run(const char *path, const struct crs_restart_options *options,
                const struct restart_extras *extras, struct crs_restarted *ret,
                struct crs_error *err)
{
    struct crs_restart_options own = CRS_RESTART_OPTIONS_INIT, *o = &own;
    uint64_t started_us = now_us(), own_limit = 0;
    _cleanup_(relocations_clear) struct relocations pairs = {0};
    _cleanup_(given_clear) struct given given = {0};
    _cleanup_close_ int fill_fd = -1, server_fd = -1;
    struct crs_restarted restarted = {.status_fd = -1, .fill_fd = -1};
    struct loaded loaded;

    int r = options_take(&own, sizeof(own), options, RESTART_OPTIONS_FIRST_SIZE, err);
    if (r == 0)
        r = check_options(path, o, err);
    if (r == 0)
        r = take_given(o, &given, err);
    if (r == 0)
        r = take_moved(o, &pairs, err);
    if (r == 0)
        r = descriptors_reserve(&own_limit, err);
    if (r == 0)
        r = prepare_fill(o, &fill_fd, &server_fd, err);
    if (r < 0)
        return r;
    r = loaded_open(path, o->snapshot ? o->snapshot->reader : NULL, &loaded, err);
    if (r == 0) {
        r = restart_loaded(&loaded, o, extras, &given, &pairs, server_fd, &restarted, err);
        cleanup_close(&server_fd);
        server_fd = -1;
        if (r == 0) {
            restarted.lazy = has_server(fill_fd);
            restarted.fill_fd = restarted.lazy ? TAKE_FD(fill_fd) : -1;
            restarted.first_instruction_us = now_us() - started_us;
            restarted.memory_bytes = saved_bytes(&loaded);
            hand_over(&restarted, options, ret);
        }
        loaded_clear(&loaded);
    }
    descriptors_give_back(own_limit);
    return r;
}

int crs_restart(const char *path, const struct crs_restart_options *options,
                struct crs_restarted *ret, struct crs_error *err)
{
    return restart_run(path, options, NULL, ret, err);
}

int crs_restart_wait(struct crs_restarted *restarted, int wait_flags, int *ret_status,
                     struct crs_error *err)
{
    pid_t pid;

    if (restarted->status_fd >= 0)
        return supervisor_wait(restarted, wait_flags, ret_status, err);
    do {
        pid = waitpid(restarted->wait_pid, ret_status, wait_flags | __WNOTHREAD);
    } while (pid < 0 && errno == EINTR && !(wait_flags & WNOHANG));
    if (pid < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't wait for process %d", restarted->wait_pid);
    return pid == 0 ? -EAGAIN : 0;
}

int crs_restart_filled(struct crs_restarted *restarted, int timeout_ms, struct crs_error *err)
{
    struct pollfd end = {.fd = restarted->fill_fd, .events = POLLIN};
    struct lazy_report report;

    if (restarted->fill_fd < 0)
        return 0;
    int n = poll(&end, 1, timeout_ms);
    if (n == 0 || (n < 0 && errno == EINTR))
        return -EAGAIN;
    int r = take_record(restarted->fill_fd, &report, sizeof(report), 0, NULL);
    cleanup_close(&restarted->fill_fd);
    restarted->fill_fd = -1;
    if (r < 0)
        return crs_fail(err, CRS_FAILED, EPIPE,
                        "the processes that brought the program's memory were killed");
    if (report.error.kind == CRS_OK)
        return 0;
    if (err)
        *err = report.error;
    return report.error.errnum ? -report.error.errnum : -EIO;
}

const char *crs_version(void)
{
    return CRS_VERSION;
}
