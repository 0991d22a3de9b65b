/* collect.c - the record of a frozen process */
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/io.h"
#include "engine/collect.h"
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

    if (t->threads[0].exited)
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "the first thread of process %d has exited while others live: this can't "
                        "be saved",
                        t->pid);
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

static int collect_identity(struct tracee *t, Crs__Process *process, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0}, comm = {0};
    _cleanup_proc_status_ struct proc_status status = {0};

    if (read_file(t->proc_fd, "status", 1 << 20, &text) < 0 ||
        proc_status_parse((char *)text.data, &status) < 0 ||
        read_file(t->proc_fd, "comm", 4096, &comm) < 0)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "process %d has ended", t->pid);
    comm.data[strcspn((char *)comm.data, "\n")] = 0;
    process->pid = t->inner_pid;
    process->parent = status.parent;
    process->group = status.inner_pgid;
    process->session = status.inner_sid;
    process->stopped = t->group_stopped || t->stop_arrived;
    process->address_space = 1;
    process->command = strdup((char *)comm.data);
    return process->command ? collect_arguments(t, process, err) : out_of_memory(err);
}

int collect_process(struct kobj_dump *ctx, struct memory_image *image, Crs__Process **ret,
                    struct crs_error *err)
{
    Crs__Process *process = malloc(sizeof(*process));

    if (!process)
        return out_of_memory(err);
    crs__process__init(process);
    int r = kobj_dump_process(ctx, &process->attributes, &process->n_attributes, err);
    if (r == 0)
        r = kobj_dump_files(ctx, &process->descriptors, &process->n_descriptors, err);
    if (r == 0)
        r = collect_threads(ctx, process, err);
    if (r == 0)
        r = memory_collect(image, ctx, err);
    if (r == 0)
        r = collect_identity(ctx->t, process, err);
    if (r < 0) {
        crs__process__free_unpacked(process, NULL);
        return r;
    }
    *ret = process;
    return 0;
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
