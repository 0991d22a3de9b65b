/*
 * rebuild.c - the order of events of a restart
 *
 * Check, open what the stubs inherit, make the stubs of all processes with their threads; memory
 * and descriptors of each; what needs all descriptors; then, children before their parents,
 * properties, interrupted calls, the last memory steps, registers; at the end all go together.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "engine/cooperation.h"
#include "engine/lazy.h"
#include "engine/manifest_info.h"
#include "engine/memory.h"
#include "engine/rebuild.h"
#include "engine/stub_tree.h"
#include "kobj/pty.h"

/* Without a time namespace the monotonic clock has gone on, or is another machine's: deadlines on
 * it are moved so that what was left of them is left. */
static int64_t clock_shift(const struct rebuild *b)
{
    struct timespec now;

    if (b->clocks_go_on)
        return 0;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - (int64_t)b->loaded->tree->monotonic_ns;
}

static void begin(const struct rebuild *b, struct kobj_restore *ctx)
{
    *ctx = (struct kobj_restore){
        .reader = b->loaded->reader,
        .tree = b->loaded->tree,
        .files = b->loaded->files,
        .memory = b->loaded->memory,
        .pids = b->pids,
        .own_ipc = b->namespaces & NAMESPACE_IPC,
        .own_net = b->namespaces & NAMESPACE_NET,
        .detach = b->detach,
        .monotonic_shift_ns = clock_shift(b),
        .progress = b->progress,
        .progress_arg = b->progress_arg,
        .given = b->given,
        .n_given = b->n_given,
        .gives_own = b->gives_own,
    };
}

static void tell(const struct rebuild *b, const char *phase)
{
    if (b->progress)
        b->progress(&(struct crs_progress){.phase = phase}, b->progress_arg);
}

static int check_vdso(const struct rebuild *b, const Crs__AddressSpace *space,
                      const Crs__Process *process, struct crs_error *err)
{
    if (memory_vdso_is_same(space))
        return 0;
    for (size_t i = 0; i < process->n_threads; i++) {
        const struct arch_regs *regs = (void *)process->threads[i]->registers.data;
        if (!process->threads[i]->exited && memory_in_vdso(space, arch_program_counter(regs)))
            return crs_fail(err, CRS_CANT_RESTART, ENOEXEC,
                            "thread %u was stopped inside the kernel's vDSO, and this kernel has a "
                            "different one: take another checkpoint, or restart under the kernel "
                            "that it was saved on",
                            process->threads[i]->tid);
    }
    return 0;
}

int rebuild_check(const struct rebuild *b, struct crs_error *err)
{
    const Crs__Tree *tree = b->loaded->tree;
    struct kobj_restore ctx;

    begin(b, &ctx);
    int r = memory_check(&ctx, err);
    if (r == 0)
        r = kobj_check_files(&ctx, err);
    for (size_t i = 0; r == 0 && i < tree->n_processes; i++) {
        const Crs__Process *p = tree->processes[i];
        r = p->zombie ? 0 : kobj_check_process(&ctx, p, err);
        if (r == 0 && !p->zombie)
            r = check_vdso(b, loaded_space(b->loaded, p->address_space), p, err);
        if (r < 0 && tree->n_processes > 1)
            crs_fail_at(err, r, "process %u (%s)", p->pid, p->command);
    }
    kobj_restore_clear(&ctx);
    return r;
}

/* ---- the stubs ---- */

#define REAP_TIME_US (5 * 1000000)
#define SERVICE_FD                                                                                 \
    (MEMORY_FD_BASE - 1) /* its number in a stub, until descriptors are installed                  \
                          */

/* Does the caller have a terminal whose keys should reach the program? */
static bool has_terminal(void)
{
    _cleanup_close_ int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

    return fd >= 0;
}

/*
 * A shell with jobs: it gives the terminal to their groups and takes it back for its own, so its
 * group must have the number that it knows. Any other program stays in the restarter's group, as
 * one process of the user's job.
 */
static bool has_jobs(const struct rebuild *b)
{
    const Crs__Tree *tree = b->loaded->tree;
    const Crs__Process *root = tree->processes[0];
    bool groups = false, foreground = false;

    for (size_t i = 0; i < tree->n_processes; i++) {
        const Crs__Process *p = tree->processes[i];
        groups |= p->session == root->session && p->group != root->group;
        foreground |= p->session == root->session && p->foreground;
    }
    return b->in_foreground && groups && foreground;
}

/* With the saved numbers what the restarter is in may be the very same, which needn't be made. */
static bool is_in(const struct rebuild *b, uint32_t id, pid_t own)
{
    return b->pids == CRS_PIDS_SAME && id == (uint32_t)own;
}

static void choose_lineage(const struct rebuild *b, bool has_own_terminal,
                           struct lineage_options *ret)
{
    const Crs__Process *root = b->loaded->tree->processes[0];

    if (b->group == CRS_MEMBERSHIP_DEFAULT)
        ret->root_leads_group = root->group == root->pid && (!has_terminal() || has_jobs(b));
    ret->root_leads_session =
        has_own_terminal || (b->session == CRS_MEMBERSHIP_DEFAULT && b->detach);
    ret->restore_session =
        b->session == CRS_MEMBERSHIP_RESTORE && !is_in(b, root->session, getsid(0));
    ret->restore_group = b->group == CRS_MEMBERSHIP_RESTORE && !is_in(b, root->group, getpgrp());
}

static int start(const struct rebuild *b, struct kobj_restore *ctx, struct stub_tree *stubs,
                 int service_fd, struct crs_error *err)
{
    const Crs__Process *root = b->loaded->tree->processes[0];
    struct stub_tree_options options = {
        .choose_pids = b->pids != CRS_PIDS_NEW,
        .service_fd = service_fd,
        .remote_service_fd = SERVICE_FD,
    };
    int r = memory_open_files(ctx, err);

    if (r == 0)
        r = kobj_open_terminals(ctx, MEMORY_FD_BASE, err);
    choose_lineage(b, kobj_terminal_number(ctx, root->pid) >= 0, &options.lineage);
    if (r == 0)
        r = stub_tree_make(stubs, ctx, &options, err);
    kobj_close_terminals(ctx);
    ctx->stubs = stubs->stubs;
    return r;
}

static int restore_properties(struct kobj_restore *ctx, const Crs__Process *process,
                              struct crs_error *err)
{
    int r = kobj_restore_process(ctx, process, err);

    for (size_t i = 0; i < process->n_threads && r == 0; i++) {
        r = kobj_restore_thread(ctx, &ctx->t->threads[i], process->threads[i], err);
        if (r < 0)
            crs_fail_at(err, r, "thread %u", process->threads[i]->tid);
    }
    if (r == 0) {
        arch_calls_batch(ctx->t, false);
        r = kobj_finish_process(ctx, process, err);
    }
    return r;
}

/* ---- registers ---- */

/* Where each thread goes on: into th->image. A leader that has exited is still needed. */
static int prepare_registers(struct kobj_restore *ctx, const Crs__Process *process,
                             struct crs_error *err)
{
    for (size_t i = 0; i < process->n_threads; i++) {
        const Crs__Thread *record = process->threads[i];
        struct tracee_thread *th = &ctx->t->threads[i];
        int r;

        if (record->exited)
            continue;
        memcpy(&th->image, record->registers.data, sizeof(th->image));
        if (record->has_remaining)
            r = arch_resume_timeout(th, &th->image, record->remaining_ns, err);
        else
            r = arch_shift_deadline(th, &th->image, ctx->monotonic_shift_ns, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/*
 * A leader that has exited exits as soon as it is let go: nobody would tell us of its end before
 * that of the whole process, and until then it would still be ours, not its parent's. It has all
 * signals blocked until then.
 */
static int set_exit(struct tracee_thread *th, const Crs__Thread *record, struct crs_error *err)
{
    arch_set_exit(th, &th->image, record->exit_status >> 8 & 0xff);
    return arch_set_regs(th->tid, &th->image, err);
}

static int set_thread(struct tracee_thread *th, const Crs__Thread *record,
                      const struct arch_xstate_layout *layout, struct bytes *room,
                      struct crs_error *err)
{
    const struct bytes xstate = {record->xstate.data, record->xstate.len};
    uint64_t mask = record->signal_mask;
    int r = arch_set_xstate_from(th->tid, &xstate, layout, room, err);

    if (r == 0)
        r = arch_set_regs(th->tid, &th->image, err);
    if (r < 0)
        return r;
    if (ptrace(PTRACE_SETSIGMASK, th->tid, sizeof(mask), &mask) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't set the signal mask of thread %d", th->tid);
    return 0;
}

static int set_registers(struct tracee *t, const struct loaded *loaded, const Crs__Process *process,
                         struct crs_error *err)
{
    _cleanup_bytes_ struct bytes room = {0};
    struct arch_xstate_layout layout;
    int r = 0;

    manifest_xstate_layout(store_reader_manifest(loaded->reader), &layout);
    for (size_t i = 0; r == 0 && i < process->n_threads; i++) {
        const Crs__Thread *record = process->threads[i];
        r = record->exited ? set_exit(&t->threads[i], record, err)
                           : set_thread(&t->threads[i], record, &layout, &room, err);
    }
    return r;
}

/* ---- the tree ---- */

struct building {
    const struct rebuild *b;
    struct kobj_restore ctx;
    struct stub_tree stubs;
    int service_fd;
};

/* Is it stopped by a signal when it is let go? A child of ours is stopped only then. */
static bool is_stopped(const struct building *building, size_t i)
{
    return building->b->stopped || building->ctx.tree->processes[i]->stopped;
}

static bool is_own_child(const struct building *building, size_t i)
{
    return building->stubs.lineage.members.items[i].parent == LINEAGE_OUTSIDE;
}

/* Is it that process which what it shares is built up with? The first one of them. */
static bool is_first(const struct building *building, size_t i, enum kobj_shared what)
{
    return building->stubs.lineage.members.items[i].first[what] == (int)i;
}

/* The path of a pipe or a device says nothing of what was read from it. */
static char *source_path(const struct rebuild *b)
{
    const char *path = store_reader_path(b->loaded->reader);
    char *real = realpath(path, NULL);
    struct stat st;

    if (real && stat(real, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
        return real;
    free(real);
    return strdup("");
}

static int tell_restart(const struct building *building, size_t i, struct crs_error *err)
{
    const struct rebuild *b = building->b;
    const Crs__Tree *tree = building->ctx.tree;

    if (!tree->processes[i]->cooperation)
        return 0;
    _cleanup_free_ char *source = source_path(b);
    if (!source)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a path");
    const struct cooperation_restart restart = {
        .restarter = b->restarter                    ? b->restarter
                     : b->pids == CRS_PIDS_NAMESPACE ? 0
                                                     : getpid(),
        .source = source,
    };
    return cooperation_tell_restart(&restart, tree, building->stubs.stubs, i, err);
}

/* From its properties to its registers. Of those that share memory the first comes last. */
static int complete(struct building *building, size_t i, struct crs_error *err)
{
    struct kobj_restore *ctx = &building->ctx;
    const Crs__Process *process = ctx->tree->processes[i];
    int r = restore_properties(ctx, process, err);

    if (r == 0)
        r = prepare_registers(ctx, process, err);
    if (r < 0 || !is_first(building, i, KOBJ_MEMORY))
        return r;
    r = tell_restart(building, i, err);
    if (r < 0)
        return r;
    r = memory_seal(ctx, loaded_space(building->b->loaded, process->address_space), err);
    return r < 0 ? r : kobj_lock_process(ctx, process, err);
}

/* Each with its parent not complete yet, so that what it sends there can be taken back. */
static int complete_member(struct building *building, size_t i, struct crs_error *err)
{
    const Crs__Process *p = building->ctx.tree->processes[i];
    struct stub_tree *stubs = &building->stubs;
    int r = stub_tree_drop_stray(stubs, i, err);

    if (r == 0)
        r = complete(building, i, err);
    if (r == 0 && is_stopped(building, i) && !is_own_child(building, i))
        r = stub_tree_stop(stubs, i, !p->stopped || p->stop_reported, err);
    return r < 0 ? r : set_registers(stubs->stubs[i], building->b->loaded, p, err);
}

static int install_files(struct building *building, size_t i, struct crs_error *err)
{
    if (!is_first(building, i, KOBJ_DESCRIPTORS))
        return 0;
    return kobj_install_files(&building->ctx, building->ctx.tree->processes[i],
                              building->service_fd, SERVICE_FD, err);
}

static int rebuild_memory(struct building *building, size_t i, struct crs_error *err)
{
    int first = building->stubs.lineage.members.items[i].first[KOBJ_MEMORY];
    const Crs__Process *p = building->ctx.tree->processes[i];

    if (first != (int)i)
        return memory_join(&building->ctx, building->stubs.stubs[first], err);
    return memory_rebuild(&building->ctx, loaded_space(building->b->loaded, p->address_space), err);
}

static int close_memory(struct building *building, size_t i, struct crs_error *err)
{
    return is_first(building, i, KOBJ_DESCRIPTORS) ? memory_close_remote(&building->ctx, err) : 0;
}

typedef int (*member_step)(struct building *building, size_t i, struct crs_error *err);

static int do_member(struct building *building, size_t i, member_step step, struct crs_error *err)
{
    building->ctx.t = building->stubs.stubs[i];
    if (!building->ctx.t) /* it has ended */
        return 0;
    int r = step(building, i, err);
    return r < 0 && building->ctx.tree->n_processes > 1
               ? crs_fail_at(err, r, "process %u", building->ctx.tree->processes[i]->pid)
               : r;
}

static int for_each_member(struct building *building, member_step step, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < building->ctx.tree->n_processes; i++)
        r = do_member(building, i, step, err);
    return r;
}

static int build(struct building *building, int remote_end, struct crs_error *err)
{
    const struct rebuild *b = building->b;
    int r = kobj_restore_ipc(&building->ctx, err);

    if (r == 0)
        r = start(b, &building->ctx, &building->stubs, remote_end, err);
    if (r < 0)
        return r;
    tell(b, "fill");
    r = for_each_member(building, rebuild_memory, err);
    if (r == 0)
        r = lazy_start(&building->ctx, err);
    if (r == 0)
        r = for_each_member(building, close_memory, err);
    tell(b, "files");
    if (b->namespaces & NAMESPACE_MOUNT)
        pty_choose_devpts(&building->ctx);
    if (r == 0)
        r = kobj_restore_files(&building->ctx, err);
    if (r == 0)
        r = for_each_member(building, install_files, err);
    if (r == 0)
        r = kobj_connect_files(&building->ctx, err);
    for (size_t i = building->ctx.tree->n_processes; r == 0 && i-- > 0;)
        r = do_member(building, i, complete_member, err);
    return r;
}

/* ---- go ---- */

/*
 * One that goes may kill another that is still held. Its end is then seen by us first, and only
 * then by its parent.
 */
static void reap_for_parent(struct tracee *t)
{
    uint64_t until = now_us() + REAP_TIME_US;
    pid_t r;

    for (size_t i = t->n_threads; i-- > 0;)
        while ((r = waitpid(t->threads[i].tid, NULL, WNOHANG | __WALL | __WNOTHREAD)) == 0 &&
               now_us() < until)
            usleep(200); /* it is ours, so it is about to end */
}

/*
 * A group of the tree that was in the foreground of the user's terminal is there again: the
 * restarter, who is there now, hands the terminal over. Processes in the restarter's own group, and
 * in other sessions, have no part in this.
 */
static void give_terminal(const struct building *building)
{
    const struct lineage_member *members = building->stubs.lineage.members.items;
    _cleanup_close_ int tty = -1;

    for (size_t i = 0; building->b->in_foreground && i < building->ctx.tree->n_processes; i++) {
        const struct tracee *t = building->stubs.stubs[i];
        if (!t || !members[i].record->foreground || members[i].session != LINEAGE_OUTSIDE ||
            members[i].group == LINEAGE_OUTSIDE)
            continue;
        tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
        if (tty >= 0 && tcsetpgrp(tty, getpgid(t->pid)) < 0)
            kobj_warn(building->b->progress, building->b->progress_arg,
                      "process %u can't have the foreground of the terminal again: %s",
                      members[i].record->pid, strerror(errno));
        return;
    }
}

/* Nothing of it has run yet. A restarter that is killed leaves either all of it or nothing, but for
 * the moment between two processes of the second pass. */
static int outlive_us(const struct building *building, struct crs_error *err)
{
    const size_t n = building->ctx.tree->n_processes;
    int r = 0;

    for (size_t i = 0; r == 0 && i < 2 * n; i++) {
        struct tracee *t = building->stubs.stubs[i % n];
        if (t)
            r = tracee_outlive(t, i >= n, err);
    }
    return r;
}

/* Nobody of a tree whose root stands starts the others. */
static void await_stops(const struct building *building)
{
    for (size_t i = 0; i < building->ctx.tree->n_processes; i++)
        if (building->stubs.stubs[i] && !building->stubs.stubs[i]->killed &&
            is_stopped(building, i))
            tracee_await_stop(building->stubs.stubs[i]);
}

static int let_go(struct building *building, struct crs_error *err)
{
    int r = outlive_us(building, err);

    for (size_t i = 0; r == 0 && i < building->ctx.tree->n_processes; i++) {
        struct tracee *t = building->stubs.stubs[i];
        if (!t)
            continue;
        bool own = is_own_child(building, i);
        r = tracee_thaw(t, own && is_stopped(building, i), err);
        if (t->killed && !own)
            reap_for_parent(t);
    }
    if (r == 0 && is_stopped(building, 0))
        await_stops(building);
    return r;
}

static int tell_held(const struct building *building, struct crs_error *err)
{
    const struct rebuild *b = building->b;
    const Crs__Tree *tree = b->loaded->tree;
    size_t n = 0;

    if (!b->held)
        return 0;
    _cleanup_free_ struct rebuild_held *held = calloc(tree->n_processes, sizeof(*held));
    if (!held)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a list of processes");
    for (size_t i = 0; i < tree->n_processes; i++)
        if (building->stubs.stubs[i])
            held[n++] = (struct rebuild_held){tree->processes[i], building->stubs.stubs[i]->pid};
    return b->held(held, n, b->held_arg, err);
}

int rebuild_process(const struct rebuild *b, pid_t *ret_pid, struct crs_error *err)
{
    struct building building = {.b = b};
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't make a socket pair");
    _cleanup_close_ int ours = pair[0], theirs = pair[1];
    building.service_fd = ours;
    begin(b, &building.ctx);
    int r = b->lazy ? lazy_new(b->fill_fd, b->detach, &building.ctx.lazy, err) : 0;
    if (r == 0)
        r = build(&building, theirs, err);
    memory_close_files(&building.ctx);
    if (r == 0)
        r = tell_held(&building, err);
    if (r == 0) {
        give_terminal(&building);
        tell(b, REBUILD_LAST_PHASE);
        r = let_go(&building, err);
        building.ctx.built = r == 0;
    }
    if (r == 0)
        *ret_pid = building.stubs.stubs[0]->pid;
    else
        stub_tree_kill(&building.stubs);
    lazy_free(building.ctx.lazy);
    kobj_restore_clear(&building.ctx);
    stub_tree_clear(&building.stubs);
    return r;
}
