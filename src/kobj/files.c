/* files.c - open file descriptions: dumped, checked, made */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/file.h"
#include "kobj/inet_diag.h"
#include "kobj/inotify_paths.h"
#include "kobj/later.h"

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

void open_file_clear(struct open_file *file)
{
    cleanup_close(&file->dup_fd);
    file->dup_fd = -1;
    free(file->link);
    free(file->fdinfo);
    free(file->locks.items);
    if (file->record)
        crs__open_file__free_unpacked(file->record, NULL);
    if (file->found)
        protobuf_c_message_free_unpacked(file->found, NULL);
    *file = (struct open_file){.dup_fd = -1};
}

/* ---- the caller's own limit ---- */

static uint64_t raise_own_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
        return 0;
    uint64_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? 0 : before;
}

static void restore_own_limit(uint64_t before)
{
    struct rlimit limit;

    if (before == 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = before;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* ---- dump ---- */

const struct kobj_file_kind *file_match(const struct open_file *file)
{
    for (const struct kobj_file_kind *const *kind = kobj_file_kinds; *kind; kind++)
        if ((*kind)->match(file))
            return *kind;
    return NULL; /* the last row matches everything */
}

static int make_record(struct open_file *file, struct crs_error *err)
{
    Crs__OpenFile *record = malloc(sizeof(*record));

    if (!record)
        return out_of_memory(err);
    crs__open_file__init(record);
    file->record = record;
    record->id = file->id;
    record->flags = file->flags;
    record->position = file->position;
    record->kind = strdup(file->kind->name);
    record->name = strdup(file->link);
    return record->kind && record->name ? 0 : out_of_memory(err);
}

static int dump_file(struct kobj_dump *ctx, struct open_file *file, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes payload = {0};
    int r = make_record(file, err);

    if (r == 0)
        r = file->kind->dump(ctx, file, &payload, err);
    if (r == 0)
        r = owner_dump(ctx, file, file->record, err);
    if (r == 0)
        r = locks_dump(file, file->record, err);
    if (r < 0)
        return r;
    file->record->payload.data = payload.data;
    file->record->payload.len = payload.size;
    payload = (struct bytes){0};
    return 0;
}

/* Files in flight join the list while it is gone through: what they carry is found as well. */
static int explore(struct kobj_dump *ctx, struct crs_error *err)
{
    struct tracee *before = ctx->t;
    int r = 0;

    for (size_t i = 0; r == 0 && i < ctx->files.n; i++) {
        struct open_file file = ctx->files.items[i];
        ProtobufCMessage *found = NULL;
        if (!file.kind->explore)
            continue;
        r = file_hold(&file, err);
        ctx->t = file.in_flight ? before : file.holder;
        if (r == 0)
            r = file.kind->explore(ctx, &file, &found, err);
        ctx->files.items[i].found = found;
        file_let_go(&file);
    }
    ctx->t = before;
    return r;
}

/* In the place of the process that holds it. */
static int dump_of_holder(struct kobj_dump *ctx, struct open_file *file, struct crs_error *err)
{
    struct tracee *before = ctx->t;

    ctx->t = file->in_flight ? before : file->holder;
    int r = file_hold(file, err);
    if (r == 0)
        r = dump_file(ctx, file, err);
    file_let_go(file);
    ctx->t = before;
    if (r < 0 && !file->in_flight && file->holder != ctx->members.items[0].t)
        crs_fail_at(err, r, "process %d", file->holder->pid);
    return r;
}

int kobj_settle(struct kobj_dump *ctx, bool *ret_found, struct crs_error *err)
{
    int r = io_uring_settle(ctx, ret_found, err);

    return r < 0 ? r : aio_settle(ctx, ret_found, err);
}

static void forget_files(struct kobj_dump *ctx)
{
    for (size_t i = 0; i < ctx->files.n; i++)
        open_file_clear(&ctx->files.items[i]);
    ctx->files.n = ctx->file_index.n = 0;
}

void kobj_forget_descriptors(struct kobj_dump *ctx, Crs__Process *const *processes, size_t n)
{
    forget_files(ctx);
    for (size_t i = 0; i < n; i++) {
        Crs__Process *p = processes[i];
        for (size_t k = 0; k < p->n_descriptors; k++)
            crs__descriptor__free_unpacked(p->descriptors[k], NULL);
        free(p->descriptors);
        p->descriptors = NULL;
        p->n_descriptors = 0;
    }
}

/* All kinds are known before the first is dumped: an epoll instance refers to others, and a pipe
 * asks for its other end. Files that are only in flight are told apart by our own descriptors,
 * which stay open therefore. */
int kobj_dump_files(struct kobj_dump *ctx, struct crs_error *err)
{
    int r = explore(ctx, err);

    for (size_t i = 0; r == 0 && i < ctx->files.n; i++)
        r = dump_of_holder(ctx, &ctx->files.items[i], err);
    for (size_t i = 0; i < ctx->files.n; i++) {
        if (ctx->files.items[i].in_flight)
            continue;
        cleanup_close(&ctx->files.items[i].dup_fd);
        ctx->files.items[i].dup_fd = -1;
    }
    unix_dump_end(ctx);
    return r;
}

int kobj_dump_begin(struct kobj_dump *ctx, struct tracee *const *processes, size_t n,
                    struct crs_error *err)
{
    ctx->members.items = calloc(n, sizeof(*ctx->members.items));
    if (!ctx->members.items)
        return out_of_memory(err);
    ctx->members.n = ctx->members.room = n;
    for (size_t i = 0; i < n; i++)
        ctx->members.items[i].t = processes[i];
    ctx->nofile_before = raise_own_limit();
    int r = kobj_members_index(ctx, err);
    return r == 0 && ctx->own_net ? inet_diag_ask_inside(ctx, err) : r;
}

void kobj_prepare(struct kobj_dump *ctx, pid_t pid)
{
    _cleanup_free_ char *path = format_string("/proc/%d", pid);
    _cleanup_close_ int proc_fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    if (proc_fd >= 0)
        inotify_prepare(ctx, proc_fd);
}

void kobj_dump_clear(struct kobj_dump *ctx)
{
    inotify_forget(ctx);
    tcp_survey_end(ctx);
    if (ctx->diag_fd > 0)
        close(ctx->diag_fd);
    forget_files(ctx);
    free(ctx->files.items);
    free(ctx->file_index.items);
    for (size_t i = 0; i < ctx->objects.n; i++)
        if (ctx->objects.items[i].record)
            crs__memory_object__free_unpacked(ctx->objects.items[i].record, NULL);
    free(ctx->objects.items);
    free(ctx->members.items);
    free(ctx->member_places);
    free(ctx->everywhere);
    in_flight_end(ctx);
    sysv_dump_end(ctx);
    unix_dump_end(ctx);
    restore_own_limit(ctx->nofile_before);
    *ctx = (struct kobj_dump){0};
}

void kobj_dump_ended(struct kobj_dump *ctx)
{
    tcp_survey_ended(ctx);
}

/* ---- restart ---- */

static int check_file(struct kobj_restore *ctx, size_t i, struct crs_error *err)
{
    const Crs__OpenFile *record = ctx->files->files[i];
    const struct kobj_file_kind *kind = kobj_find_file_kind(record->kind);

    if (record->id != i + 1)
        return crs_fail(err, CRS_DAMAGED, EINVAL, "file %zu has the number %u", i + 1, record->id);
    if (!kind || !kind->restore)
        return crs_fail(err, CRS_CANT_RESTART, EOPNOTSUPP,
                        "%s is of the kind \"%s\", which this version doesn't know", record->name,
                        record->kind);
    return kind->check ? kind->check(ctx, record, err) : 0;
}

int kobj_check_files(struct kobj_restore *ctx, struct crs_error *err)
{
    int r = inherit_check_given(ctx, err);

    for (size_t i = 0; r == 0 && i < ctx->files->n_files; i++)
        r = check_file(ctx, i, err);
    return r;
}

static int allocate_fds(int **fds, size_t n, struct crs_error *err)
{
    if (*fds)
        return 0;
    *fds = calloc(n + 1, sizeof(int));
    if (!*fds)
        return out_of_memory(err);
    for (size_t i = 0; i < n; i++)
        (*fds)[i] = -1;
    return 0;
}

int file_restore(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    int *fd = &ctx->file_fds[record->id - 1];

    if (*fd >= 0)
        return 0;
    int r = kobj_find_file_kind(record->kind)->restore(ctx, record, fd, err);
    return r < 0 ? crs_fail_at(err, r, "%s", record->name) : 0;
}

int file_restore_begin(struct kobj_restore *ctx, struct crs_error *err)
{
    int r = allocate_fds(&ctx->file_fds, ctx->files->n_files, err);

    if (r == 0)
        r = allocate_fds(&ctx->object_fds, ctx->memory->n_objects, err);
    if (r == 0)
        r = allocate_fds((int **)&ctx->inherited_fds, 3 * ctx->files->n_files, err);
    if (ctx->nofile_before == 0)
        ctx->nofile_before = raise_own_limit();
    return r;
}

/* Those that can be made later, with the number of descriptors that they will be. */
static int postpone(struct kobj_restore *ctx, struct crs_error *err)
{
    struct rlimit limit = {0};

    ctx->file_waits = calloc(ctx->files->n_files + 1, sizeof(*ctx->file_waits));
    if (!ctx->file_waits)
        return out_of_memory(err);
    getrlimit(RLIMIT_NOFILE, &limit);
    if (ctx->files->n_files < limit.rlim_cur / 2)
        return 0;
    for (size_t i = 0; i < ctx->tree->n_processes; i++) {
        const Crs__Process *p = ctx->tree->processes[i];
        for (size_t k = 0; !p->shares_descriptors && k < p->n_descriptors; k++) {
            const Crs__OpenFile *record = file_find(ctx, p->descriptors[k]->file);
            if (record && kobj_find_file_kind(record->kind)->alone)
                ctx->file_waits[record->id - 1]++;
        }
    }
    return 0;
}

int kobj_restore_files(struct kobj_restore *ctx, struct crs_error *err)
{
    int r = file_restore_begin(ctx, err);

    if (r == 0)
        r = postpone(ctx, err);
    for (size_t i = 0; r == 0 && i < ctx->files->n_files; i++)
        if (ctx->file_waits[i] == 0)
            r = file_restore(ctx, ctx->files->files[i], err);
    if (r == 0)
        r = unix_restore_finish(ctx, err);
    pipe_restore_end(ctx);
    tcp_restore_end(ctx);
    udp_restore_end(ctx);
    return r;
}

static void close_fds(int **fds, size_t n)
{
    for (size_t i = 0; *fds && i < n; i++)
        cleanup_close(&(*fds)[i]);
    free(*fds);
    *fds = NULL;
}

void kobj_restore_clear(struct kobj_restore *ctx)
{
    kobj_close_terminals(ctx);
    kobj_later_free(ctx);
    free(ctx->fresh);
    pipe_restore_end(ctx);
    sysv_restore_end(ctx);
    tcp_restore_end(ctx);
    udp_restore_end(ctx);
    unix_restore_end(ctx);
    if (ctx->files) {
        close_fds(&ctx->file_fds, ctx->files->n_files);
        free(ctx->file_waits);
        ctx->file_waits = NULL;
        close_fds((int **)&ctx->inherited_fds, 3 * ctx->files->n_files);
    }
    if (ctx->memory)
        close_fds(&ctx->object_fds, ctx->memory->n_objects);
    restore_own_limit(ctx->nofile_before);
    ctx->nofile_before = 0;
}
