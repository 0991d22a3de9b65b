/*
 * restart.c - a restart as libcr's interface and cr_restart mean it
 *
 * The engine builds the program and tells its blocks of the restart. While all processes are still
 * held it is noted which of them have callbacks to run; then the program goes, and each of them is
 * watched until its block says that they have come to their end.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "engine/cooperation.h"
#include "engine/restart.h"
#include "libcr.h"
#include "requests/request.h"
#include "requests/restart.h"

#define PROCESSES_MAX 65536 /* whose callbacks can be waited for */
#define SLEEP_MIN_US  20
#define SLEEP_MAX_US  2000

/* A process, as it was noted while it was held: perhaps by a supervisor with other PIDs. */
struct noted {
    pid_t pid;
    uint64_t block;  /* not 0: it has callbacks to run, */
    uint32_t rounds; /* and so many rounds before */
};

/* Shared with the supervisor. */
struct notes {
    uint32_t n;
    bool of_init;
    struct noted items[PROCESSES_MAX];
};

struct restarting {
    const struct requests_restart_options *options;
    struct requests_restarted *result;
    struct notes *notes;
    bool accepted;
    char *log;
    size_t log_size;
    FILE *log_file;
};

/* ---- what it is called ---- */

static bool is_file_error(int errnum)
{
    static const int known[] = {ENOENT, EACCES, EPERM,  ENOTDIR, EISDIR, EEXIST, ELOOP,
                                EROFS,  ENOMEM, EMFILE, ENFILE,  EAGAIN, EBUSY,  ENAMETOOLONG};

    for (size_t i = 0; i < ELEMENTS(known); i++)
        if (errnum == known[i])
            return true;
    return false;
}

int requests_restart_error(const struct crs_error *err)
{
    switch (err->kind) {
    case CRS_BUSY:
        return EBUSY;
    case CRS_DAMAGED:
        return err->errnum == ENODATA || err->errnum == EIO ? EIO : EINVAL;
    case CRS_NOT_FOUND:
        return err->errnum ? err->errnum : ENOENT;
    case CRS_NOT_PERMITTED:
        return err->errnum == EACCES ? EACCES : EPERM;
    case CRS_CANT_RESTART:
        if (err->errnum == ENOEXEC)
            return CR_EBADARCH;
        if (err->errnum == EPROTONOSUPPORT)
            return CR_EVERSION;
        return is_file_error(err->errnum) ? err->errnum : EINVAL;
    case CRS_USAGE:
        return EINVAL;
    default:
        return err->errnum ? err->errnum : EIO;
    }
}

static int fail(struct restarting *q, int code, const struct crs_error *err)
{
    if (q->log_file)
        fprintf(q->log_file, "%s\n", err->text);
    q->result->error = code;
    return -code;
}

/* ---- the context ---- */

/* What is there but holds nothing, as /dev/null does, or an empty file. */
static int check_empty(int fd, const char *name, struct crs_error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return crs_fail_errno(err, CRS_USAGE, "can't read the context");
    if (S_ISCHR(st.st_mode) || (S_ISREG(st.st_mode) && lseek(fd, 0, SEEK_CUR) >= st.st_size))
        return crs_fail(err, CRS_DAMAGED, EIO, "%s is empty", name);
    return 0;
}

static int open_fd(const struct requests_restart_options *o, struct crs_snapshot **ret,
                   struct crs_error *err)
{
    _cleanup_free_ char *path = NULL;
    char link[40];

    snprintf(link, sizeof(link), "/proc/self/fd/%d", o->fd);
    int r = o->name ? 0 : read_link(AT_FDCWD, link, &path);
    if (r < 0)
        return crs_fail(err, CRS_USAGE, EBADF, "descriptor %d isn't open", o->fd);
    const char *name = o->name ? o->name : path;
    r = check_empty(o->fd, name, err);
    return r < 0 ? r : crs_snapshot_open_fd(o->fd, name, ret, err);
}

static int open_path(const char *path, struct crs_snapshot **ret, struct crs_error *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return crs_fail_errno(err, errno == EACCES ? CRS_NOT_PERMITTED : CRS_NOT_FOUND,
                              "can't open %s", path);
    int r = check_empty(fd, path, err);
    return r < 0 ? r : crs_snapshot_open(path, ret, err);
}

/* ---- while all are held ---- */

static int note(const struct rebuild_held *held, size_t n, void *arg, struct crs_error *err)
{
    struct notes *notes = arg;

    if (n > PROCESSES_MAX)
        return crs_fail(err, CRS_CANT_RESTART, E2BIG, "%zu processes are too many to be watched",
                        n);
    for (size_t i = 0; i < n; i++) {
        struct noted *one = &notes->items[i];
        uint64_t address = held[i].record->cooperation;
        struct cooperation block;

        *one = (struct noted){.pid = held[i].pid};
        if (address && cooperation_read(one->pid, address, &block, NULL) == 0 &&
            cooperation_is_busy(&block)) {
            one->block = address;
            one->rounds = block.rounds;
        }
    }
    notes->n = n;
    notes->of_init = n > 0 && held[0].record->of_init;
    return 0;
}

/* ---- the program's processes, as we see them ---- */

static pid_t seen_pid(const struct restarting *q, const struct noted *one)
{
    const struct crs_restarted *program = &q->result->program;

    return program->pids == CRS_PIDS_NAMESPACE ? targets_outer_pid(program->wait_pid, one->pid)
                                               : one->pid;
}

static void find_processes(struct restarting *q)
{
    for (uint32_t i = 0; i < q->notes->n; i++)
        q->notes->items[i].pid = seen_pid(q, &q->notes->items[i]);
}

static void signal_all(struct restarting *q, int number)
{
    for (uint32_t i = 0; i < q->notes->n; i++)
        if (q->notes->items[i].pid > 0)
            kill(q->notes->items[i].pid, number);
}

static void kill_all(struct restarting *q)
{
    const struct crs_restarted *program = &q->result->program;

    kill(program->wait_pid, SIGKILL); /* in a namespace it takes all others along */
    if (program->pids != CRS_PIDS_NAMESPACE)
        signal_all(q, SIGKILL);
    while (waitpid(program->wait_pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    if (program->status_fd >= 0)
        close(program->status_fd);
    q->result->program = (struct crs_restarted){.status_fd = -1};
}

/* ---- callbacks ---- */

/* Has it come to its end? -ECANCELED: a callback has failed. Who has ended, or executes another
 * program, has nothing left to be waited for. */
static int look(const struct noted *one, struct crs_error *err)
{
    struct cooperation block;

    if (one->pid <= 0 || kill(one->pid, 0) < 0 ||
        cooperation_read(one->pid, one->block, &block, NULL) < 0)
        return 1;
    if (block.callback_error)
        return crs_fail(err, CRS_FAILED, ECANCELED,
                        "a callback of process %d has failed after the restart (%u)", one->pid,
                        block.callback_error);
    return block.rounds != one->rounds || !cooperation_is_busy(&block);
}

static int look_at_all(struct restarting *q, bool *ret_done, struct crs_error *err)
{
    *ret_done = true;
    for (uint32_t i = 0; i < q->notes->n; i++) {
        struct noted *one = &q->notes->items[i];
        int r = one->block ? look(one, err) : 1;
        if (r < 0)
            return r;
        if (r > 0)
            one->block = 0;
        else
            *ret_done = false;
    }
    return 0;
}

static int wait_for_callbacks(struct restarting *q, struct crs_error *err)
{
    unsigned sleep_us = SLEEP_MIN_US;
    bool done = false;

    for (;;) {
        int r = look_at_all(q, &done, err);
        if (r < 0 || done)
            return r < 0 ? -CR_ERSTRTABRT : 0;
        if (q->options->cancel && *q->options->cancel)
            return crs_fail(err, CRS_FAILED, ECANCELED, "the restart was given up");
        usleep(sleep_us);
        sleep_us = sleep_us * 2 < SLEEP_MAX_US ? sleep_us * 2 : SLEEP_MAX_US;
    }
}

/* ---- in order ---- */

static void on_progress(const struct crs_progress *progress, void *arg)
{
    struct restarting *q = arg;
    const struct requests_restart_options *o = q->options;

    if (progress->warning && q->log_file)
        fprintf(q->log_file, "%s\n", progress->warning);
    if (!progress->warning && !q->accepted && strcmp(progress->phase, "fill") == 0) {
        q->accepted = true;
        if (o->accepted)
            o->accepted(o->accepted_arg);
    }
    if (o->progress)
        o->progress(progress, o->progress_arg);
}

/* The saved PIDs: here where that may be, else in a namespace. */
static enum crs_pids choose_pids(unsigned flags)
{
    if (!(flags & CR_RSTRT_RESTORE_PID))
        return CRS_PIDS_NEW;
    return restart_may_choose_pids() ? CRS_PIDS_SAME : CRS_PIDS_NAMESPACE;
}

static enum crs_membership choose_membership(unsigned flags, unsigned flag)
{
    return flags & flag ? CRS_MEMBERSHIP_RESTORE : CRS_MEMBERSHIP_INHERIT;
}

static int start(struct restarting *q, struct crs_snapshot *snapshot, struct crs_error *err)
{
    const struct requests_restart_options *o = q->options;
    const struct restart_extras extras = {.held = note,
                                          .held_arg = q->notes,
                                          .restarter = o->requester,
                                          .gives_own = true,
                                          .inside_where_needed = true,
                                          .own_clocks = o->own_clocks};
    struct crs_restart_options options = CRS_RESTART_OPTIONS_INIT;

    options.snapshot = snapshot;
    options.pids = choose_pids(o->flags);
    options.group = choose_membership(o->flags, CR_RSTRT_RESTORE_PGID);
    options.session = choose_membership(o->flags, CR_RSTRT_RESTORE_SID);
    options.detach = o->detach;
    options.relocate = o->relocate;
    options.n_relocate = o->n_relocate;
    options.fds = o->fds;
    options.n_fds = o->n_fds;
    options.progress = on_progress;
    options.progress_arg = q;
    return restart_run(NULL, &options, &extras, &q->result->program, err);
}

/* It runs: what is left to be done. 0 or minus the code. */
static int see_through(struct restarting *q, struct crs_error *err)
{
    int signal = q->options->signal;

    find_processes(q);
    q->result->of_init = q->notes->of_init;
    q->result->n_processes = q->notes->n;
    if (signal < 0) {
        signal_all(q, -signal);
        return 0;
    }
    int r = wait_for_callbacks(q, err);
    if (r < 0)
        kill_all(q);
    else if (signal > 0)
        signal_all(q, signal);
    return r;
}

static int check(const struct requests_restart_options *o, struct crs_error *err)
{
    const unsigned known =
        CR_RSTRT_ASYNC_ERR | CR_RSTRT_RESTORE_PID | CR_RSTRT_RESTORE_PGID | CR_RSTRT_RESTORE_SID;

    if (o->flags & ~known)
        return crs_fail(err, CRS_USAGE, EINVAL, "unknown flags of a restart: %#x", o->flags);
    if (o->signal < -SIGRTMAX || o->signal > SIGRTMAX)
        return crs_fail(err, CRS_USAGE, EINVAL, "there is no signal %d", o->signal);
    return 0;
}

static int restart(struct restarting *q, struct crs_error *err)
{
    const struct requests_restart_options *o = q->options;
    struct crs_snapshot *snapshot = NULL;
    int r = check(o, err);

    if (r == 0)
        r = o->path ? open_path(o->path, &snapshot, err) : open_fd(o, &snapshot, err);
    if (r == 0)
        r = start(q, snapshot, err);
    crs_snapshot_free(snapshot);
    if (r < 0)
        return fail(q, requests_restart_error(err), err);
    r = see_through(q, err);
    return r < 0 ? fail(q, -r, err) : 0;
}

int requests_restart(const struct requests_restart_options *options, struct requests_restarted *ret,
                     struct crs_error *err)
{
    struct restarting q = {.options = options, .result = ret};
    struct crs_error own = {0};

    *ret = (struct requests_restarted){.program.status_fd = -1};
    q.log_file = open_memstream(&q.log, &q.log_size);
    q.notes = mmap(NULL, sizeof(*q.notes), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int r = -ENOMEM;
    if (!q.log_file || q.notes == MAP_FAILED)
        ret->error = -crs_fail(&own, CRS_FAILED, ENOMEM, "no memory for a restart");
    else
        r = restart(&q, &own);
    if (q.notes != MAP_FAILED)
        munmap(q.notes, sizeof(*q.notes));
    if (q.log_file)
        fclose(q.log_file);
    if (q.log && q.log_size > 0)
        ret->log = TAKE_PTR(q.log);
    free(q.log);
    if (r < 0 && err)
        *err = own;
    return r;
}
