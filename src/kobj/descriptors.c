/*
 * descriptors.c - the descriptors of processes: found, and told apart
 *
 * Descriptors that share an open file description, in one process or several, are found by kcmp(2),
 * which also gives an order: ctx->file_index has the positions in ctx->files, sorted by device,
 * inode and that order.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/io.h"
#include "base/processors.h"
#include "base/thread.h"
#include "kobj/file.h"

#define FDINFO_LIMIT (64u << 20) /* an interest list of half a million entries */
#define SEEN_AT_ONCE 256
#define SEEN_BY_ONE  32 /* fewer aren't worth a thread */
#define SEERS_MAX    4

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
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

/* What can be read about descriptor `fd` of file->holder, with our duplicate of it in place;
 * *ret_info has also what is the descriptor's own. */
static int look_at(int fd, struct open_file *file, struct fdinfo *ret_info, struct crs_error *err)
{
    struct tracee *t = file->holder;
    char path[64];

    snprintf(path, sizeof(path), "fd/%d", fd);
    int r = read_link(t->proc_fd, path, &file->link);
    if (r == 0)
        r = read_fdinfo(t, fd, &file->fdinfo);
    int flags = fcntl(file->dup_fd, F_GETFL);
    if (r < 0 || flags < 0 || fstat(file->dup_fd, &file->st) < 0)
        return crs_fail(err, CRS_FAILED, r < 0 ? -r : errno,
                        "can't read about fd %d of process %d: %s", fd, t->pid,
                        strerror(r < 0 ? -r : errno));
    file->flags = flags;
    r = file_parse_info(file, ret_info, err);
    if (r < 0)
        return r;
    file->position = ret_info->position;
    file->serial = ret_info->eventfd_id;
    return 0;
}

/* The line "flags:" has O_CLOEXEC also where it is a flag of the description, as a slave has it
 * that was opened by way of its master (TIOCGPTPEER). */
static int read_cloexec(struct tracee *t, int fd, unsigned flags, const struct fdinfo *info,
                        bool *ret, struct crs_error *err)
{
    int64_t result;

    *ret = info->flags & O_CLOEXEC;
    if (!(flags & O_CLOEXEC))
        return 0;
    int r = REMOTE_CHECKED(tracee_main(t), &result, err, CRS_FAILED, "can't read the flags of it",
                           SYS_fcntl, fd, F_GETFD);
    if (r == 0)
        *ret = result & FD_CLOEXEC;
    return r < 0 ? crs_fail_at(err, r, "fd %d", fd) : 0;
}

int file_look(struct tracee *t, int fd, struct open_file *file, struct fdinfo *ret_info,
              struct crs_error *err)
{
    *file = (struct open_file){.holder = t, .fd = fd, .dup_fd = -1};
    int r = tracee_get_fd(t, fd, &file->dup_fd, err);
    if (r < 0)
        return crs_fail_at(err, r, "fd %d", fd);
    return look_at(fd, file, ret_info, err);
}

/* ---- look at many ---- */

/* What was seen of one; the error in words is its own. */
struct seen {
    int fd, result;
    struct open_file file;
    struct fdinfo info;
    struct crs_error error;
};

struct seeing {
    struct tracee *t;
    struct seen *items;
    size_t n;
    _Atomic size_t next;
};

static void *see_some(void *arg)
{
    struct seeing *s = arg;

    for (size_t i; (i = s->next++) < s->n;) {
        struct seen *one = &s->items[i];
        one->result = file_look(s->t, one->fd, &one->file, &one->info, &one->error);
    }
    return NULL;
}

/* Of many it is worth a thread: nothing of it has to be done by the tracer. false: some couldn't be
 * taken, as we may not have so many. */
static bool see_all(struct tracee *t, const int *numbers, struct seen *ret, size_t n)
{
    struct seeing s = {.t = t, .items = ret, .n = n};
    unsigned others = n < SEEN_BY_ONE ? 0 : processors_count() - 1;
    pthread_t threads[SEERS_MAX - 1];
    bool all = true;

    for (size_t i = 0; i < n; i++)
        ret[i] = (struct seen){.fd = numbers[i], .file.dup_fd = -1};
    others = others < SEERS_MAX - 1 ? others : SEERS_MAX - 1;
    unsigned started = thread_start_workers(threads, others, see_some, &s);
    see_some(&s);
    while (started > 0)
        pthread_join(threads[--started], NULL);
    for (size_t i = 0; i < n; i++)
        all = all && !is_want_of_descriptors(-ret[i].result);
    return all;
}

static void forget_seen(struct seen *seen, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        open_file_clear(&seen[i].file);
        fdinfo_clear(&seen[i].info);
    }
}

/* ---- hold ---- */

/* Sockets, pipes and terminals are asked about one another, so all of them are held together. Any
 * other is only looked at for itself: of those a program may have more than we may hold. */
static bool is_asked_by_others(const struct open_file *file)
{
    return S_ISSOCK(file->st.st_mode) || S_ISFIFO(file->st.st_mode) || S_ISCHR(file->st.st_mode);
}

int file_hold(struct open_file *file, struct crs_error *err)
{
    if (file->dup_fd >= 0)
        return 0;
    int r = tracee_get_fd(file->holder, file->fd, &file->dup_fd, err);
    return r < 0 ? crs_fail_at(err, r, "fd %d", file->fd) : 0;
}

void file_let_go(struct open_file *file)
{
    if (file->in_flight || is_asked_by_others(file))
        return;
    cleanup_close(&file->dup_fd);
    file->dup_fd = -1;
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
    long r = syscall(SYS_kcmp, file_holder_task(a), file_holder_task(b), KCMP_FILE,
                     (unsigned long)a->fd, (unsigned long)b->fd);
    if (r < 0 || r > 2)
        *ret_error = r < 0 ? errno : EINVAL;
    return r == 0 ? 0 : r == 1 ? -1 : 1;
}

/* The first place in the index that is not before `file`. */
static size_t find_place(const struct kobj_dump *ctx, const struct open_file *file, bool *ret_same,
                         int *ret_error)
{
    size_t low = 0, high = ctx->file_index.n;

    *ret_same = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order =
            compare_files(&ctx->files.items[ctx->file_index.items[middle]], file, ret_error);
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

size_t file_first_place(const struct kobj_dump *ctx, const struct stat *st)
{
    size_t low = 0, high = ctx->file_index.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct stat *other = &ctx->files.items[ctx->file_index.items[middle]].st;
        if (other->st_dev < st->st_dev ||
            (other->st_dev == st->st_dev && other->st_ino < st->st_ino))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct open_file *file_at_place(const struct kobj_dump *ctx, size_t place,
                                      const struct stat *st)
{
    if (place >= ctx->file_index.n)
        return NULL;
    const struct open_file *file = &ctx->files.items[ctx->file_index.items[place]];
    return file->st.st_dev == st->st_dev && file->st.st_ino == st->st_ino ? file : NULL;
}

static int insert(struct kobj_dump *ctx, size_t place, uint32_t position, struct crs_error *err)
{
    uint32_t *last = ARRAY_ADD(&ctx->file_index);

    if (!last)
        return out_of_memory(err);
    uint32_t *at = ctx->file_index.items + place;
    memmove(at + 1, at, (ctx->file_index.n - 1 - place) * sizeof(*at));
    *at = position;
    return 0;
}

/* Find `file` among ctx->files, or move it there. *ret_id is its number. */
static int identify(struct kobj_dump *ctx, struct open_file *file, uint32_t *ret_id,
                    struct crs_error *err)
{
    bool same;
    int error = 0;
    size_t place = find_place(ctx, file, &same, &error);

    if (error)
        return crs_fail(err, CRS_NOT_PERMITTED, error,
                        "can't compare the descriptors of process %d (kcmp): %s", file->holder->pid,
                        strerror(error));
    if (same) {
        *ret_id = ctx->file_index.items[place] + 1;
        return 0;
    }
    int r = insert(ctx, place, ctx->files.n, err);
    if (r < 0)
        return r;
    struct open_file *new = ARRAY_ADD(&ctx->files);
    if (!new)
        return out_of_memory(err);
    *new = *file;
    *ret_id = new->id = ctx->files.n;
    new->kind = file_match(new);
    file_let_go(new);
    *file = (struct open_file){.dup_fd = -1};
    return 0;
}

static int add_descriptor(Crs__Process *process, int fd, uint32_t id, bool cloexec,
                          struct crs_error *err)
{
    Crs__Descriptor *d = malloc(sizeof(*d));

    if (!d)
        return out_of_memory(err);
    crs__descriptor__init(d);
    d->fd = fd;
    d->file = id;
    d->close_on_exec = cloexec;
    process->descriptors[process->n_descriptors++] = d;
    return 0;
}

/* What the snapshot is being written to is nothing that the restarted program could go on with. */
static bool is_left_out(const struct kobj_dump *ctx, const struct open_file *file)
{
    struct stat st;

    return ctx->left_out_fd > 0 && fstat(ctx->left_out_fd, &st) == 0 && !S_ISCHR(st.st_mode) &&
           st.st_dev == file->st.st_dev && st.st_ino == file->st.st_ino &&
           syscall(SYS_kcmp, getpid(), file_holder_task(file), KCMP_FILE,
                   (unsigned long)ctx->left_out_fd, (unsigned long)file->fd) == 0;
}

/* Kernel threads that work for an io_uring may close it: they are waited for only when all rings
 * are known. */
static bool is_gone(const struct tracee *t, int fd)
{
    char path[64], target[1];

    snprintf(path, sizeof(path), "fd/%d", fd);
    return readlinkat(t->proc_fd, path, target, sizeof(target)) < 0 && errno == ENOENT;
}

static int collect_seen(struct kobj_dump *ctx, struct seen *seen, Crs__Process *process)
{
    bool cloexec = false;
    uint32_t id = 0;
    int r = seen->result;

    if (r == 0 && is_left_out(ctx, &seen->file))
        return 0;
    if (r == 0)
        r = identify(ctx, &seen->file, &id, &seen->error);
    if (r == 0)
        r = locks_collect(ctx, ctx->t, &seen->info, &ctx->files.items[id - 1], &seen->error);
    if (r == 0)
        r = read_cloexec(ctx->t, seen->fd, ctx->files.items[id - 1].flags, &seen->info, &cloexec,
                         &seen->error);
    return r < 0 ? r : add_descriptor(process, seen->fd, id, cloexec, &seen->error);
}

static int collect(struct kobj_dump *ctx, struct seen *seen, Crs__Process *process,
                   struct crs_error *err)
{
    int r = collect_seen(ctx, seen, process);

    if (r < 0 && is_gone(ctx->t, seen->fd))
        return 0;
    if (r < 0 && err)
        *err = seen->error;
    return r;
}

/* Some of the descriptors. Where we may not hold so many at once: one after the other. */
static int collect_some(struct kobj_dump *ctx, const int *numbers, size_t n, Crs__Process *process,
                        struct crs_error *err)
{
    _cleanup_free_ struct seen *seen = calloc(n, sizeof(*seen));
    int r = seen ? 0 : out_of_memory(err);

    if (seen && !see_all(ctx->t, numbers, seen, n)) {
        forget_seen(seen, n);
        for (size_t i = 0; r == 0 && i < n; i++) {
            see_all(ctx->t, &numbers[i], &seen[i], 1);
            r = collect(ctx, &seen[i], process, err);
            forget_seen(&seen[i], 1);
        }
        return r;
    }
    for (size_t i = 0; r == 0 && i < n; i++)
        r = collect(ctx, &seen[i], process, err);
    if (seen)
        forget_seen(seen, n);
    return r;
}

static int too_many(struct crs_error *err)
{
    struct rlimit limit = {0};

    getrlimit(RLIMIT_NOFILE, &limit);
    return crs_fail(err, CRS_FAILED, EMFILE,
                    "the program has more sockets, pipes and terminals than the %llu files that "
                    "this process may have open (ulimit -n): raise the limit",
                    (unsigned long long)limit.rlim_cur);
}

int kobj_copy_descriptors(Crs__Process *to, const Crs__Process *from, struct crs_error *err)
{
    int r = 0;

    to->descriptors = calloc(from->n_descriptors + 1, sizeof(*to->descriptors));
    if (!to->descriptors)
        return out_of_memory(err);
    for (size_t i = 0; r == 0 && i < from->n_descriptors; i++) {
        const Crs__Descriptor *d = from->descriptors[i];
        r = add_descriptor(to, d->fd, d->file, d->close_on_exec, err);
    }
    return r;
}

int kobj_collect_descriptors(struct kobj_dump *ctx, struct kobj_member *member,
                             Crs__Process *process, struct crs_error *err)
{
    _cleanup_free_ int *numbers = NULL;
    size_t n = 0;

    ctx->t = member->t;
    member->record = process;
    if (!kobj_saves(ctx, KOBJ_DESCRIPTORS))
        return kobj_copy_descriptors(
            process, ctx->members.items[member->first[KOBJ_DESCRIPTORS]].record, err);
    int r = list_numbers(ctx->t, &numbers, &n, err);
    if (r < 0)
        return r;
    process->descriptors = calloc(n + 1, sizeof(*process->descriptors));
    if (!process->descriptors)
        return out_of_memory(err);
    for (size_t i = 0; r == 0 && i < n; i += SEEN_AT_ONCE)
        r = collect_some(ctx, numbers + i, n - i < SEEN_AT_ONCE ? n - i : SEEN_AT_ONCE, process,
                         err);
    return is_want_of_descriptors(-r) ? too_many(err) : r;
}

/* ---- in flight ---- */

/* They are ours, as far as the kernel knows. */
static int hold_in_flight(struct kobj_dump *ctx, struct crs_error *err)
{
    struct tracee *self;

    if (ctx->in_flight)
        return 0;
    self = calloc(1, sizeof(*self));
    if (!self)
        return out_of_memory(err);
    self->pid = getpid();
    self->pidfd = self->task_pidfd = self->mem_fd = -1;
    self->proc_fd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (self->proc_fd < 0) {
        free(self);
        return crs_fail_errno(err, CRS_FAILED, "can't open /proc/self");
    }
    ctx->in_flight = self;
    return 0;
}

void in_flight_end(struct kobj_dump *ctx)
{
    if (ctx->in_flight)
        cleanup_close(&ctx->in_flight->proc_fd);
    free(ctx->in_flight);
    ctx->in_flight = NULL;
}

int kobj_add_in_flight(struct kobj_dump *ctx, int fd, const struct open_file *carrier,
                       uint32_t *ret_id, struct crs_error *err)
{
    _cleanup_(open_file_clear) struct open_file file = {.dup_fd = fd};
    _cleanup_fdinfo_ struct fdinfo info = {0};
    int r = hold_in_flight(ctx, err);

    if (fd <= 2) { /* one of ours was closed: what is there must not look like the program's */
        file.dup_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        close(fd);
        if (file.dup_fd < 0)
            return crs_fail_errno(err, CRS_FAILED, "can't duplicate a descriptor");
        fd = file.dup_fd;
    }
    file.holder = ctx->in_flight;
    file.fd = fd;
    file.in_flight = true;
    file.carrier = carrier->in_flight ? -1 : carrier->fd;
    if (r == 0)
        r = look_at(fd, &file, &info, err);
    if (r == 0)
        r = identify(ctx, &file, ret_id, err);
    if (r == 0)
        r = locks_collect(ctx, ctx->in_flight, &info, &ctx->files.items[*ret_id - 1], err);
    return r;
}

/* ---- members ---- */
