/* collect.c - the records of frozen processes */
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/io.h"
#include "engine/collect.h"
#include "engine/cooperation.h"
#include "engine/waitable.h"
#include "kobj/attributes.h"
#include "kobj/supervisor_mark.h"
#include "proc/stat.h"
#include "proc/status.h"

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

/* ---- clocks ---- */

/* "monotonic SEC NSEC" and "boottime SEC NSEC" of a timens_offsets file. */
static int64_t offset_of(const char *text, const char *clock)
{
    long long seconds = 0, ns = 0;
    const char *p = strstr(text, clock);

    if (!p || sscanf(p + strlen(clock), "%lld %lld", &seconds, &ns) != 2)
        return 0;
    return seconds * 1000000000 + ns;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int collect_clocks(struct kobj_dump *ctx, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes own = {0}, target = {0};
    int64_t monotonic = 0, boottime = 0;

    /* Kernels without time namespaces have neither file. */
    if (read_file(AT_FDCWD, "/proc/self/timens_offsets", 4096, &own) == 0 &&
        read_file(ctx->t->proc_fd, "timens_offsets", 4096, &target) == 0) {
        monotonic =
            offset_of((char *)target.data, "monotonic") - offset_of((char *)own.data, "monotonic");
        boottime =
            offset_of((char *)target.data, "boottime") - offset_of((char *)own.data, "boottime");
    }
    ctx->monotonic_ns = clock_ns(CLOCK_MONOTONIC) + monotonic;
    ctx->boottime_ns = clock_ns(CLOCK_BOOTTIME) + boottime;
    ctx->realtime_ns = clock_ns(CLOCK_REALTIME);
    return 0;
}

/* ---- threads ---- */

static int pack_thread(struct kobj_dump *ctx, struct tracee_thread *th, Crs__Thread *record,
                       struct crs_error *err)
{
    int r;

    record->tid = th->inner_tid;
    record->arch = strdup(arch_name);
    record->exited = th->exited;
    record->exit_status = th->exit_status;
    if (th->exited)
        return record->arch ? 0 : out_of_memory(err);
    record->signal_mask = th->sigmask;
    record->has_remaining = th->has_remaining;
    record->remaining_ns = th->remaining_ns;
    record->registers.data = malloc(sizeof(th->image));
    if (!record->arch || !record->registers.data)
        return out_of_memory(err);
    record->registers.len = sizeof(th->image);
    memcpy(record->registers.data, &th->image, sizeof(th->image));
    if (!th->xstate.data) {
        r = arch_get_xstate(th->tid, &th->xstate, err);
        if (r < 0)
            return r;
    }
    record->xstate.data = malloc(th->xstate.size);
    if (!record->xstate.data)
        return out_of_memory(err);
    record->xstate.len = th->xstate.size;
    memcpy(record->xstate.data, th->xstate.data, th->xstate.size);
    r = kobj_dump_thread(ctx, th, &record->attributes, &record->n_attributes, err);
    return r < 0 ? crs_fail_at(err, r, "thread %d", th->tid) : 0;
}

static int collect_threads(struct kobj_dump *ctx, Crs__Process *process, struct crs_error *err)
{
    struct tracee *t = ctx->t;

    process->threads = calloc(t->n_threads, sizeof(*process->threads));
    if (!process->threads)
        return out_of_memory(err);
    for (size_t i = 0; i < t->n_threads; i++) {
        Crs__Thread *record = malloc(sizeof(*record));
        if (!record)
            return out_of_memory(err);
        crs__thread__init(record);
        process->threads[process->n_threads++] = record;
        int r = pack_thread(ctx, &t->threads[i], record, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- the process ---- */

/* The command line, for people. */
static int collect_arguments(struct tracee *t, Crs__Process *process, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    size_t n = 0;

    if (read_file(t->proc_fd, "cmdline", 4 << 20, &text) < 0)
        return 0;
    for (size_t i = 0; i < text.size; i++)
        n += text.data[i] == 0;
    process->arguments = calloc(n + 1, sizeof(char *));
    if (!process->arguments)
        return out_of_memory(err);
    for (const char *p = (char *)text.data; p < (char *)text.data + text.size; p += strlen(p) + 1) {
        char *copy = strdup(p);
        if (!copy)
            return out_of_memory(err);
        process->arguments[process->n_arguments++] = copy;
        if (process->n_arguments > n)
            break;
    }
    return 0;
}

static int new_process(Crs__Process **ret, struct crs_error *err)
{
    Crs__Process *process = malloc(sizeof(*process));

    if (!process)
        return out_of_memory(err);
    crs__process__init(process);
    *ret = process;
    return 0;
}

/* The tool is in a restarted program's own namespaces: PID 1 is the restarter's deputy there. */
static bool below_supervisor(void)
{
    _cleanup_bytes_ struct bytes comm = {0};

    return read_file(AT_FDCWD, "/proc/1/comm", 64, &comm) == 0 &&
           strcmp((const char *)comm.data, SUPERVISOR_NAME "\n") == 0;
}

/* Of one that is held its status is known. The name is the leader's, whatever others bear. */
static int read_identity(const struct tree_member *member, struct proc_status *ret_status,
                         struct proc_stat *ret_stat, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes status = {0}, stat = {0};
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/stat", member->pid);
    if (read_record(AT_FDCWD, path, 4096, &stat) < 0 ||
        proc_stat_parse((char *)stat.data, ret_stat) < 0)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "process %d has ended", member->pid);
    if (member->t)
        return kobj_read_status(tracee_main(member->t), ret_status, err);
    snprintf(path, sizeof(path), "/proc/%d/status", member->pid);
    if (read_record(AT_FDCWD, path, 1 << 20, &status) < 0 ||
        proc_status_parse((char *)status.data, ret_status) < 0)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "process %d has ended", member->pid);
    return 0;
}

/* Names and numbers; of a process that has ended, too. */
static int collect_identity(const struct tree *tree, const struct tree_member *member,
                            Crs__Process *process, struct crs_error *err)
{
    const struct tree_member *parent = tree_find_member(tree, member->parent);
    _cleanup_proc_status_ struct proc_status status = {0};
    struct proc_stat stat = {0};
    int r = read_identity(member, &status, &stat, err);

    if (r < 0)
        return r;
    process->pid = status.inner_tgid;
    process->group = status.inner_pgid;
    process->session = status.inner_sid;
    process->foreground = stat.terminal != 0 && stat.foreground_group == stat.group;
    process->exit_signal = member->exit_signal;
    for (size_t i = 1; parent && parent->t && i < parent->t->n_threads; i++)
        if (parent->t->threads[i].tid == member->parent_thread)
            process->parent_thread = parent->t->threads[i].inner_tid;
    if (parent && parent->t)
        process->parent = parent->t->inner_pid;
    else
        process->of_init = stat.parent == 1 && !below_supervisor();
    stat.command[strcspn(stat.command, "\n")] = 0;
    process->command = strdup(stat.command);
    return process->command ? 0 : out_of_memory(err);
}

static int collect_stop(const struct tree *tree, const struct tree_member *member,
                        Crs__Process *process, struct crs_error *err)
{
    const struct tree_member *parent = tree_find_member(tree, member->parent);
    bool to_come = false;
    int r = 0;

    process->stopped = member->t->group_stopped || member->t->stop_arrived;
    if (!member->t->group_stopped || !parent || !parent->t)
        return 0;
    r = waitable_stop(parent->t, member->t->inner_pid, &to_come, err);
    process->stop_reported = !to_come;
    return r;
}

/* The first that has it comes before all others that do. */
static int collect_memory(struct kobj_dump *ctx, struct memory_set *memory, Crs__Process *process,
                          struct crs_error *err)
{
    const struct kobj_member *member = kobj_member_of(ctx, ctx->t);

    if (kobj_saves(ctx, KOBJ_MEMORY))
        return memory_collect(memory, ctx, &process->address_space, err);
    process->address_space = ctx->members.items[member->first[KOBJ_MEMORY]].record->address_space;
    return 0;
}

static int collect_cooperation(struct kobj_dump *ctx, const struct memory_set *memory,
                               Crs__Process *process, struct crs_error *err)
{
    const struct kobj_member *member = kobj_member_of(ctx, ctx->t);
    const struct proc_maps *maps = memory_maps(memory, ctx->t->pid);
    struct cooperation_found found;

    if (!kobj_saves(ctx, KOBJ_MEMORY)) {
        process->cooperation = ctx->members.items[member->first[KOBJ_MEMORY]].record->cooperation;
        return 0;
    }
    int r = maps ? cooperation_find_in(tracee_main(ctx->t)->tid, maps, &found, err) : -ENOENT;
    if (r == -ENOENT)
        return 0;
    process->cooperation = r == 0 ? found.address : 0;
    return r;
}

static int collect_process(const struct tree *tree, const struct tree_member *member,
                           struct kobj_dump *ctx, struct memory_set *memory, Crs__Process *process,
                           struct crs_error *err)
{
    int r;

    ctx->t = member->t;
    r = kobj_dump_process(ctx, &process->attributes, &process->n_attributes, err);
    if (r == 0)
        r = collect_threads(ctx, process, err);
    if (r == 0)
        r = collect_memory(ctx, memory, process, err);
    if (r == 0)
        r = collect_cooperation(ctx, memory, process, err);
    if (r == 0)
        r = collect_arguments(member->t, process, err);
    return r == 0 ? collect_stop(tree, member, process, err) : r;
}

/* What is left of a process that has ended: what its parent's wait will tell. The tool's own end
 * is still to come. */
static int collect_ended(const struct tree *tree, const struct tree_member *member,
                         Crs__Process *process, struct crs_error *err)
{
    const struct tree_member *parent = tree_find_member(tree, member->parent);
    bool found = true;
    int r = 0;

    process->zombie = true;
    if (!member->tool)
        r = waitable_end(parent->t, process->pid, &found, &process->exit_status, err);
    if (r == 0 && !found)
        r = crs_fail(err, CRS_CANT_CHECKPOINT, ECHILD,
                     "process %d has ended, but its parent %d can't wait for it: try again",
                     member->pid, member->parent);
    return r;
}

/* What it shares with others, by the first of them. */
static void collect_sharing(const struct kobj_dump *ctx, size_t i, Crs__Process *process)
{
    for (unsigned what = 0; what < KOBJ_N_SHARED; what++) {
        size_t first = ctx->members.items[i].first[what];
        uint32_t *with = kobj_shared_with(process, what);
        if (with && first != i)
            *with = ctx->members.items[first].t->inner_pid;
    }
}

static int list_descriptors(const struct tree *tree, struct kobj_dump *ctx, Crs__Process **all,
                            struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0, k = 0; r == 0 && i < tree->members.n; i++)
        if (tree->members.items[i].t) {
            collect_sharing(ctx, k, all[i]);
            r = kobj_collect_descriptors(ctx, &ctx->members.items[k++], all[i], err);
        }
    return r;
}

static int collect_descriptors(const struct tree *tree, struct kobj_dump *ctx, Crs__Process **all,
                               struct crs_error *err)
{
    bool again = false;
    int r = list_descriptors(tree, ctx, all, err);

    if (r == 0)
        r = kobj_settle(ctx, &again, err);
    if (r == 0 && again) {
        kobj_forget_descriptors(ctx, all, tree->members.n);
        r = list_descriptors(tree, ctx, all, err);
    }
    return r == 0 ? kobj_dump_files(ctx, err) : r;
}

static int collect_member(const struct tree *tree, size_t i, struct kobj_dump *ctx,
                          struct memory_set *memory, Crs__Process *process, struct crs_error *err)
{
    const struct tree_member *member = &tree->members.items[i];
    int r = member->t ? collect_process(tree, member, ctx, memory, process, err)
                      : collect_ended(tree, member, process, err);

    return r < 0 && i > 0 ? crs_fail_at(err, r, "process %d", member->pid) : r;
}

int collect_tree(const struct tree *tree, struct kobj_dump *ctx, struct memory_set *memory,
                 Crs__Tree *record, struct crs_error *err)
{
    size_t n = tree->members.n;
    int r = 0;

    record->processes = calloc(n + 1, sizeof(*record->processes));
    if (!record->processes)
        return out_of_memory(err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = new_process(&record->processes[i], err);
        record->n_processes += r == 0;
        if (r == 0)
            r = collect_identity(tree, &tree->members.items[i], record->processes[i], err);
    }
    if (r == 0)
        r = collect_descriptors(tree, ctx, record->processes, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = collect_member(tree, i, ctx, memory, record->processes[i], err);
    if (r == 0)
        r = kobj_join_saved_files(ctx, err);
    return r == 0 ? memory_plan_objects(memory, err) : r;
}

int collect_files(struct kobj_dump *ctx, Crs__Files **ret, struct crs_error *err)
{
    Crs__Files *files = malloc(sizeof(*files));

    if (!files)
        return out_of_memory(err);
    crs__files__init(files);
    files->files = calloc(ctx->files.n + 1, sizeof(*files->files));
    if (!files->files) {
        free(files);
        return out_of_memory(err);
    }
    for (size_t i = 0; i < ctx->files.n; i++)
        files->files[files->n_files++] = TAKE_PTR(ctx->files.items[i].record);
    *ret = files;
    return 0;
}
