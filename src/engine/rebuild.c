/*
 * rebuild.c - the order of events of a restart
 *
 * Check, open what the stub inherits, start the stub, memory, threads, descriptors, properties,
 * interrupted calls, the last memory steps, registers, go.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "engine/manifest_info.h"
#include "engine/memory.h"
#include "engine/rebuild.h"
#include "engine/stub.h"

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
        .detach = b->detach,
        .monotonic_shift_ns = clock_shift(b),
        .progress = b->progress,
        .progress_arg = b->progress_arg,
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
        if (memory_in_vdso(space, arch_program_counter(regs)))
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
    const Crs__Process *process = b->loaded->tree->processes[0];
    struct kobj_restore ctx;

    begin(b, &ctx);
    int r = memory_check(&ctx, err);
    if (r == 0)
        r = kobj_check_files(&ctx, err);
    if (r == 0)
        r = kobj_check_process(&ctx, process, err);
    if (r == 0)
        r = check_vdso(b, loaded_space(b->loaded, process->address_space), process, err);
    kobj_restore_clear(&ctx);
    return r;
}

/* ---- the stub ---- */

/* A number for the service socket that is no descriptor of the process. */
static int free_number(const Crs__Process *process)
{
    size_t n = process->n_descriptors;

    for (int number = MEMORY_FD_BASE - 1; number > 2; number--) {
        bool used = false;
        for (size_t i = 0; i < n && !used; i++)
            used = (int)process->descriptors[i]->fd == number;
        if (!used)
            return number;
    }
    return 2;
}

/* Does the caller have a terminal whose keys should reach the program? */
static bool has_terminal(void)
{
    _cleanup_close_ int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

    return fd >= 0;
}

static int start(const struct rebuild *b, struct kobj_restore *ctx, const Crs__Process *process,
                 const Crs__AddressSpace *space, int service_fd, int *ret_remote_fd,
                 struct crs_error *err)
{
    bool leader = process->group == process->pid;
    struct stub_options options = {
        .exe_fd = -1,
        .name = process->command,
        .pid = b->pids == CRS_PIDS_NEW ? 0 : (pid_t)process->pid,
        .new_session = b->detach,
        .new_group = leader && !has_terminal(),
        .service_fd = service_fd,
        .remote_service_fd = free_number(process),
        .keep_from = MEMORY_FD_BASE,
    };

    int r = memory_open_files(ctx, space, err);
    if (r == 0)
        r = memory_open_exe(ctx, space, &options.exe_fd, err);
    if (r == 0)
        r = stub_start(&options, &ctx->t, err);
    cleanup_close(&options.exe_fd);
    *ret_remote_fd = options.remote_service_fd;
    return r;
}

static int add_threads(const struct rebuild *b, struct kobj_restore *ctx,
                       const Crs__Process *process, struct crs_error *err)
{
    for (size_t i = 1; i < process->n_threads; i++) {
        pid_t tid = b->pids == CRS_PIDS_NEW ? 0 : (pid_t)process->threads[i]->tid;
        int r = stub_add_thread(ctx->t, tid, err);
        if (r < 0)
            return crs_fail_at(err, r, "thread %u", process->threads[i]->tid);
    }
    return 0;
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

/* Where each thread goes on: into th->image. */
static int prepare_registers(struct kobj_restore *ctx, const Crs__Process *process,
                             struct crs_error *err)
{
    for (size_t i = 0; i < process->n_threads; i++) {
        const Crs__Thread *record = process->threads[i];
        struct tracee_thread *th = &ctx->t->threads[i];
        int r;

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

static int set_registers(struct tracee *t, const struct loaded *loaded, struct crs_error *err)
{
    const Crs__Process *process = loaded->tree->processes[0];
    struct arch_xstate_layout layout;

    manifest_xstate_layout(store_reader_manifest(loaded->reader), &layout);
    for (size_t i = 0; i < process->n_threads; i++) {
        const Crs__Thread *record = process->threads[i];
        struct tracee_thread *th = &t->threads[i];
        const struct bytes xstate = {record->xstate.data, record->xstate.len};
        uint64_t mask = record->signal_mask;

        int r = arch_set_xstate_from(th->tid, &xstate, &layout, err);
        if (r == 0)
            r = arch_set_regs(th->tid, &th->image, err);
        if (r < 0)
            return r;
        if (ptrace(PTRACE_SETSIGMASK, th->tid, sizeof(mask), &mask) < 0)
            return crs_fail_errno(err, CRS_FAILED, "can't set the signal mask of thread %d",
                                  th->tid);
    }
    return 0;
}

/* ---- all of it ---- */

static int build(const struct rebuild *b, struct kobj_restore *ctx, struct crs_error *err)
{
    const Crs__Process *process = b->loaded->tree->processes[0];
    const Crs__AddressSpace *space = loaded_space(b->loaded, process->address_space);
    int pair[2], remote_fd;

    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't make a socket pair");
    _cleanup_close_ int ours = pair[0], theirs = pair[1];
    int r = start(b, ctx, process, space, theirs, &remote_fd, err);
    if (r < 0)
        return r;
    tell(b, "fill");
    r = memory_rebuild(ctx, space, err);
    if (r == 0)
        r = add_threads(b, ctx, process, err);
    tell(b, "files");
    if (r == 0)
        r = kobj_restore_files(ctx, err);
    if (r == 0)
        r = kobj_install_files(ctx, process, ours, remote_fd, err);
    if (r == 0)
        r = restore_properties(ctx, process, err);
    if (r == 0)
        r = prepare_registers(ctx, process, err);
    if (r == 0)
        r = memory_seal(ctx, space, err);
    if (r == 0)
        r = kobj_lock_process(ctx, process, err);
    if (r == 0)
        r = set_registers(ctx->t, b->loaded, err);
    return r;
}

int rebuild_process(const struct rebuild *b, pid_t *ret_pid, struct crs_error *err)
{
    const Crs__Process *process = b->loaded->tree->processes[0];
    struct kobj_restore ctx;

    begin(b, &ctx);
    int r = build(b, &ctx, err);
    memory_close_files(&ctx);
    if (r == 0) {
        pid_t pid = ctx.t->pid;
        r = tracee_thaw(ctx.t, b->stopped || process->stopped, err);
        if (r == 0)
            *ret_pid = pid;
    }
    if (r < 0)
        stub_kill(ctx.t);
    kobj_restore_clear(&ctx);
    tracee_free(ctx.t);
    return r;
}
