/*
 * files.c - descriptors: found, told apart, dumped
 *
 * Descriptors that share an open file description are found by kcmp(2), which also gives an
 * order: `index` holds the positions in ctx->files, sorted by device, inode and that order.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/file.h"

#define FDINFO_LIMIT (64u << 20) /* an interest list of half a million entries */

struct index {
    ARRAY_OF(uint32_t) at; /* positions in ctx->files */
};

typedef ARRAY_OF(Crs__Descriptor *) descriptor_array;

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

static void open_file_clear(struct open_file *file)
{
    cleanup_close(&file->dup_fd);
    file->dup_fd = -1;
    free(file->link);
    free(file->fdinfo);
    if (file->record)
        crs__open_file__free_unpacked(file->record, NULL);
    file->link = file->fdinfo = NULL;
    file->record = NULL;
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

/* ---- find ---- */

static int compare_numbers(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return (x > y) - (x < y);
}

static int list_numbers(struct tracee *t, int **ret, size_t *ret_n, struct crs_error *err)
{
    int fd = openat(t->proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    ARRAY_OF(int) numbers = {0};

    if (!dir) {
        crs_fail_errno(err, CRS_NOT_PERMITTED, "can't list the descriptors of process %d", t->pid);
        cleanup_close(&fd);
        return -EPERM;
    }
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] < '0' || e->d_name[0] > '9')
            continue;
        int *number = ARRAY_ADD(&numbers);
        if (!number) {
            free(numbers.items);
            return out_of_memory(err);
        }
        *number = atoi(e->d_name);
    }
    if (numbers.n > 1)
        qsort(numbers.items, numbers.n, sizeof(int), compare_numbers);
    *ret = numbers.items;
    *ret_n = numbers.n;
    return 0;
}

/* Most are short; no more than their length is kept. */
static int read_fdinfo(struct tracee *t, int fd, char **ret)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[64], start[1024];

    snprintf(path, sizeof(path), "fdinfo/%d", fd);
    _cleanup_close_ int file = openat(t->proc_fd, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = file < 0 ? -1 : read(file, start, sizeof(start));
    if (n < 0)
        return -errno;
    if (n < (ssize_t)sizeof(start)) {
        *ret = strndup(start, n);
        return *ret ? 0 : -ENOMEM;
    }
    int r = read_file(t->proc_fd, path, FDINFO_LIMIT, &text);
    if (r == 0) {
        *ret = (char *)text.data;
        text = (struct bytes){0};
    }
    return r;
}

/* What can be read about descriptor `fd`; *ret_cloexec is the descriptor's own. */
static int look(struct tracee *t, int fd, struct open_file *file, bool *ret_cloexec,
                struct crs_error *err)
{
    _cleanup_fdinfo_ struct fdinfo info = {0};
    char path[64];
    int r;

    *file = (struct open_file){.holder = t, .fd = fd, .dup_fd = -1};
    r = tracee_get_fd(t, fd, &file->dup_fd, err);
    if (r < 0)
        return crs_fail_at(err, r, "fd %d", fd);
    snprintf(path, sizeof(path), "fd/%d", fd);
    r = read_link(t->proc_fd, path, &file->link);
    if (r == 0)
        r = read_fdinfo(t, fd, &file->fdinfo);
    int flags = fcntl(file->dup_fd, F_GETFL);
    if (r < 0 || flags < 0 || fstat(file->dup_fd, &file->st) < 0)
        return crs_fail(err, CRS_FAILED, r < 0 ? -r : errno,
                        "can't read about fd %d of process %d: %s", fd, t->pid,
                        strerror(r < 0 ? -r : errno));
    file->flags = flags;
    r = file_parse_info(file, &info, err);
    if (r < 0)
        return r;
    file->position = info.position;
    file->serial = info.eventfd_id;
    *ret_cloexec = info.flags & O_CLOEXEC;
    return 0;
}

/* ---- tell apart ---- */

/* <0, 0, >0; *ret_error is set when kcmp can't be called. */
static int compare_files(const struct open_file *a, const struct open_file *b, int *ret_error)
{
    if (a->st.st_dev != b->st.st_dev)
        return a->st.st_dev < b->st.st_dev ? -1 : 1;
    if (a->st.st_ino != b->st.st_ino)
        return a->st.st_ino < b->st.st_ino ? -1 : 1;
    /* The inode of anonymous files is one for all of them; what they are can't change. */
    if (a->link[0] == 'a' && b->link[0] == 'a' && strcmp(a->link, b->link) != 0)
        return strcmp(a->link, b->link);
    if (a->serial != b->serial)
        return a->serial < b->serial ? -1 : 1;
    long r = syscall(SYS_kcmp, a->holder->pid, b->holder->pid, KCMP_FILE, (unsigned long)a->fd,
                     (unsigned long)b->fd);
    if (r < 0 || r > 2)
        *ret_error = r < 0 ? errno : EINVAL;
    return r == 0 ? 0 : r == 1 ? -1 : 1;
}

/* The first place in the index that is not before `file`. */
static size_t find_place(struct kobj_dump *ctx, const struct index *index,
                         const struct open_file *file, bool *ret_same, int *ret_error)
{
    size_t low = 0, high = index->at.n;

    *ret_same = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_files(&ctx->files.items[index->at.items[middle]], file, ret_error);
        if (order == 0) {
            *ret_same = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int insert(struct index *index, size_t place, uint32_t position, struct crs_error *err)
{
    uint32_t *last = ARRAY_ADD(&index->at);

    if (!last)
        return out_of_memory(err);
    memmove(index->at.items + place + 1, index->at.items + place,
            (index->at.n - 1 - place) * sizeof(uint32_t));
    index->at.items[place] = position;
    return 0;
}

/* Find `file` among ctx->files, or move it there. *ret_id is its number. */
static int identify(struct kobj_dump *ctx, struct index *index, struct open_file *file,
                    uint32_t *ret_id, struct crs_error *err)
{
    bool same;
    int error = 0;
    size_t place = find_place(ctx, index, file, &same, &error);

    if (error)
        return crs_fail(err, CRS_NOT_PERMITTED, error,
                        "can't compare the descriptors of process %d (kcmp): %s", file->holder->pid,
                        strerror(error));
    if (same) {
        *ret_id = index->at.items[place] + 1;
        return 0;
    }
    int r = insert(index, place, ctx->files.n, err);
    if (r < 0)
        return r;
    struct open_file *new = ARRAY_ADD(&ctx->files);
    if (!new)
        return out_of_memory(err);
    *new = *file;
    *ret_id = new->id = ctx->files.n;
    *file = (struct open_file){.dup_fd = -1};
    return 0;
}

/* An index of what earlier processes hold. */
static int index_files(struct kobj_dump *ctx, struct index *index, struct crs_error *err)
{
    for (uint32_t i = 0; i < ctx->files.n; i++) {
        bool same;
        int error = 0;
        size_t place = find_place(ctx, index, &ctx->files.items[i], &same, &error);
        int r = insert(index, place, i, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int collect(struct kobj_dump *ctx, struct index *index, int fd, descriptor_array *out,
                   struct crs_error *err)
{
    __attribute__((cleanup(open_file_clear))) struct open_file file = {.dup_fd = -1};
    bool cloexec = false;
    uint32_t id = 0;
    int r = look(ctx->t, fd, &file, &cloexec, err);

    if (r == 0)
        r = identify(ctx, index, &file, &id, err);
    if (r < 0)
        return r;
    Crs__Descriptor **place = ARRAY_ADD(out);
    Crs__Descriptor *d = place ? malloc(sizeof(*d)) : NULL;
    if (!d)
        return out_of_memory(err);
    crs__descriptor__init(d);
    d->fd = fd;
    d->file = id;
    d->close_on_exec = cloexec;
    *place = d;
    return 0;
}

static int collect_all(struct kobj_dump *ctx, descriptor_array *out, struct crs_error *err)
{
    _cleanup_free_ int *numbers = NULL;
    struct index index = {0};
    size_t n = 0;
    int r = list_numbers(ctx->t, &numbers, &n, err);

    if (r == 0)
        r = index_files(ctx, &index, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = collect(ctx, &index, numbers[i], out, err);
    free(index.at.items);
    return r;
}

/* ---- dump ---- */

static const struct kobj_file_kind *match(const struct open_file *file)
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

/* All kinds are known before the first is dumped: an epoll instance refers to others, and a pipe
 * asks for its other end. */
static int dump_new(struct kobj_dump *ctx, size_t first, struct crs_error *err)
{
    int r = 0;

    for (size_t i = first; i < ctx->files.n; i++)
        ctx->files.items[i].kind = match(&ctx->files.items[i]);
    for (size_t i = first; r == 0 && i < ctx->files.n; i++)
        r = dump_file(ctx, &ctx->files.items[i], err);
    for (size_t i = first; i < ctx->files.n; i++) {
        cleanup_close(&ctx->files.items[i].dup_fd);
        ctx->files.items[i].dup_fd = -1;
    }
    return r;
}

int kobj_dump_files(struct kobj_dump *ctx, Crs__Descriptor ***ret, size_t *ret_n,
                    struct crs_error *err)
{
    descriptor_array out = {0};
    size_t first = ctx->files.n;
    uint64_t limit_before = raise_own_limit();
    int r = collect_all(ctx, &out, err);

    ctx->descriptors = out.items;
    ctx->n_descriptors = out.n;
    if (r == 0)
        r = dump_new(ctx, first, err);
    ctx->descriptors = NULL;
    ctx->n_descriptors = 0;
    restore_own_limit(limit_before);
    if (r < 0) {
        for (size_t i = 0; i < out.n; i++)
            if (out.items[i])
                crs__descriptor__free_unpacked(out.items[i], NULL);
        free(out.items);
        return r;
    }
    *ret = out.items;
    *ret_n = out.n;
    return 0;
}

void kobj_dump_clear(struct kobj_dump *ctx)
{
    for (size_t i = 0; i < ctx->files.n; i++)
        open_file_clear(&ctx->files.items[i]);
    free(ctx->files.items);
    for (size_t i = 0; i < ctx->objects.n; i++)
        if (ctx->objects.items[i].record)
            crs__memory_object__free_unpacked(ctx->objects.items[i].record, NULL);
    free(ctx->objects.items);
    memset(&ctx->files, 0, sizeof(ctx->files));
    memset(&ctx->objects, 0, sizeof(ctx->objects));
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
    int r = 0;

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

int kobj_restore_files(struct kobj_restore *ctx, struct crs_error *err)
{
    int r = allocate_fds(&ctx->file_fds, ctx->files->n_files, err);

    if (r == 0)
        r = allocate_fds(&ctx->object_fds, ctx->memory->n_objects, err);
    if (ctx->nofile_before == 0)
        ctx->nofile_before = raise_own_limit();
    for (size_t i = 0; r == 0 && i < ctx->files->n_files; i++) {
        const Crs__OpenFile *record = ctx->files->files[i];
        r = kobj_find_file_kind(record->kind)->restore(ctx, record, &ctx->file_fds[i], err);
        if (r < 0)
            crs_fail_at(err, r, "%s", record->name);
    }
    pipe_restore_end(ctx);
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
    pipe_restore_end(ctx);
    if (ctx->files)
        close_fds(&ctx->file_fds, ctx->files->n_files);
    if (ctx->memory)
        close_fds(&ctx->object_fds, ctx->memory->n_objects);
    restore_own_limit(ctx->nofile_before);
    ctx->nofile_before = 0;
}
