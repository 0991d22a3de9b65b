/*
 * inotify.c - inotify instances
 *
 * Watches are made when all other files are open, so that opening these causes no events, and get
 * their numbers by INOTIFY_IOC_SETNEXTWD.
 *
 * Events that wait to be read can't be looked at without taking them away, and can't be put back.
 * The running program keeps its own; the restarted one gets what the kernel itself says when it
 * had to drop events: IN_Q_OVERFLOW.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "inotify.pb-c.h"
#include "kobj/file.h"
#include "kobj/inotify_paths.h"

#ifndef INOTIFY_IOC_SETNEXTWD
#define INOTIFY_IOC_SETNEXTWD _IOW('I', 0, int32_t)
#endif

#define QUEUE_LIMIT (1 << 22) /* events; the usual limit is 2^14 */

static bool match(const struct open_file *file)
{
    return file_is_anonymous(file, "inotify");
}

/* ---- checkpoint ---- */

static int compare_watches(const void *a, const void *b)
{
    const struct fdinfo_watch *x = a, *y = b;

    return (x->wd > y->wd) - (x->wd < y->wd);
}

static int refuse_watch(const struct open_file *file, const struct fdinfo_watch *w,
                        struct crs_error *err)
{
    char reason[160];

    snprintf(reason, sizeof(reason),
             "no path was found to what its watch %d is for (inode %llu of device %u:%u)", w->wd,
             (unsigned long long)w->ino, major(w->device), minor(w->device));
    return file_refuse(file, err, reason,
                       "remove the watch (inotify_rm_watch) before the checkpoint, or let the "
                       "program work in that directory");
}

static int add_watch(Crs__Inotify *m, const struct fdinfo_watch *w, const char *path)
{
    Crs__InotifyWatch *watch = malloc(sizeof(*watch));
    struct stat st;

    if (!watch)
        return -ENOMEM;
    crs__inotify_watch__init(watch);
    m->watches[m->n_watches++] = watch;
    watch->wd = w->wd;
    watch->mask = w->mask;
    watch->directory = lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
    watch->path = strdup(path);
    return watch->path ? 0 : -ENOMEM;
}

static int dump_watches(const struct open_file *file, const struct fdinfo *info, char *const *paths,
                        Crs__Inotify *m, struct crs_error *err)
{
    m->watches = calloc(info->watches.n + 1, sizeof(*m->watches));
    if (!m->watches)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t i = 0; i < info->watches.n; i++) {
        if (!paths[i])
            return refuse_watch(file, &info->watches.items[i], err);
        if (add_watch(m, &info->watches.items[i], paths[i]) < 0)
            return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    }
    return 0;
}

/* Before directories are opened to find the paths, which are events too. */
static int dump_events(struct kobj_dump *ctx, const struct open_file *file, Crs__Inotify *m,
                       struct crs_error *err)
{
    int waiting = 0;

    if (ioctl(file->dup_fd, FIONREAD, &waiting) < 0)
        return file_refuse_errno(file, err, "see whether events wait in it");
    m->events_lost = waiting > 0;
    if (waiting > 0)
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "fd %d is an inotify instance with events that were not read yet: after a "
                  "restart an IN_Q_OVERFLOW takes their place",
                  file->fd);
    return 0;
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    _cleanup_fdinfo_ struct fdinfo info = {0};
    Crs__Inotify *m = malloc(sizeof(*m));
    char **paths = NULL;
    int r =
        m ? file_parse_info(file, &info, err) : crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");

    if (m)
        crs__inotify__init(m);
    if (r == 0 && info.watches.n > 0)
        qsort(info.watches.items, info.watches.n, sizeof(*info.watches.items), compare_watches);
    if (r == 0)
        r = dump_events(ctx, file, m, err);
    if (r == 0)
        r = inotify_find_paths(ctx, file->holder->proc_fd, &info, &paths, err);
    if (r == 0)
        r = dump_watches(file, &info, paths, m, err);
    if (r == 0)
        r = kobj_pack(&m->base, ret_payload, err);
    inotify_free_paths(paths, info.watches.n);
    crs__inotify__free_unpacked(m, NULL);
    return r;
}

/* ---- restart ---- */

static int unpack(const Crs__OpenFile *record, Crs__Inotify **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__inotify__descriptor, (ProtobufCMessage **)ret, err);
}

static int check_watch(const Crs__InotifyWatch *w, int32_t *last, struct crs_error *err)
{
    struct stat st;

    if (w->path[0] != '/' || w->wd <= *last)
        return crs_fail(err, CRS_DAMAGED, EINVAL, "a watch has no path or no number of its own");
    *last = w->wd;
    if (lstat(w->path, &st) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART,
                              "%s, which the program watches (inotify), can't be found here",
                              w->path);
    if (w->directory != !!S_ISDIR(st.st_mode))
        return crs_fail(err, CRS_CANT_RESTART, EINVAL,
                        "%s, which the program watches (inotify), was %sa directory and is%s here",
                        w->path, w->directory ? "" : "not ", w->directory ? "n't" : "");
    return 0;
}

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    int32_t last = 0;
    Crs__Inotify *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < m->n_watches; i++)
        r = check_watch(m->watches[i], &last, err);
    crs__inotify__free_unpacked(m, NULL);
    return r;
}

static int overflow_failed(struct crs_error *err)
{
    return crs_fail_errno(err, CRS_CANT_RESTART,
                          "can't make an inotify instance tell that events were lost");
}

/* Take all events but the last, which is the overflow. Each is without a name, of one size. */
static int take_others(int fd, int waiting, struct crs_error *err)
{
    size_t size = waiting - sizeof(struct inotify_event);
    _cleanup_free_ char *buffer = malloc(size);

    if (!buffer)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    ssize_t n = read(fd, buffer, size);
    return n == (ssize_t)size ? 0 : overflow_failed(err);
}

/* Make more events than it can hold, of a file that nobody else sees, and take them away again. */
static int make_overflow(int fd, struct crs_error *err)
{
    _cleanup_close_ int file = memfd_create("events", MFD_CLOEXEC);
    int waiting = 0, before = -1;
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    int wd = file < 0 ? -1 : inotify_add_watch(fd, path, IN_OPEN | IN_CLOSE);
    if (wd < 0)
        return overflow_failed(err);
    /* Equal events in a row become one; opened and closed are different. Counting takes time. */
    for (int i = 1; i < QUEUE_LIMIT && waiting != before; i++) {
        _cleanup_close_ int opened = open(path, O_RDONLY | O_CLOEXEC);
        if (opened < 0)
            return overflow_failed(err);
        if (i % 4096)
            continue;
        before = waiting;
        if (ioctl(fd, FIONREAD, &waiting) < 0)
            return overflow_failed(err);
    }
    inotify_rm_watch(fd, wd);
    return waiting == before ? take_others(fd, waiting, err) : overflow_failed(err);
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    _cleanup_close_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    Crs__Inotify *m;

    if (fd < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART,
                              "can't make an inotify instance (a limit of "
                              "/proc/sys/fs/inotify may be reached)");
    int r = unpack(record, &m, err);
    if (r < 0)
        return r;
    r = m->events_lost ? make_overflow(fd, err) : 0;
    crs__inotify__free_unpacked(m, NULL);
    return r < 0 ? r : file_finish(TAKE_FD(fd), record, ret_fd, err);
}

static int restore_watch(int fd, const Crs__InotifyWatch *w, struct crs_error *err)
{
    if (ioctl(fd, INOTIFY_IOC_SETNEXTWD, w->wd) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART,
                              "can't choose the number of an inotify watch; the kernel needs "
                              "CONFIG_CHECKPOINT_RESTORE for that");
    int wd = inotify_add_watch(fd, w->path, w->mask | IN_DONT_FOLLOW);
    if (wd < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't watch %s (inotify)", w->path);
    if (wd != w->wd)
        return crs_fail(err, CRS_CANT_RESTART, EEXIST,
                        "%s is watched twice now (inotify): two paths lead to what were two files",
                        w->path);
    return 0;
}

static int connect(struct kobj_restore *ctx, const Crs__OpenFile *record, int fd,
                   struct crs_error *err)
{
    Crs__Inotify *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < m->n_watches; i++)
        r = restore_watch(ctx->file_fds[record->id - 1], m->watches[i], err);
    crs__inotify__free_unpacked(m, NULL);
    return r;
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    Crs__Inotify *m;
    int r = unpack(record, &m, NULL);

    if (r < 0)
        return r;
    snprintf(text, size, "%zu watch%s%s%s%s", m->n_watches, m->n_watches == 1 ? "" : "es",
             m->n_watches ? ", of " : "", m->n_watches ? m->watches[0]->path : "",
             m->n_watches > 1 ? " and others" : "");
    crs__inotify__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_inotify = {
    .name = "inotify",
    .title = "inotify instance",
    .saved = "with conditions",
    .conditions = "what it watches has a name that can be found (near what the program uses, or "
                  "within some 100,000 names of the file system) and is there at the restart; in "
                  "place of events that were not read a restarted program finds an IN_Q_OVERFLOW",
    .privilege = "CAP_DAC_READ_SEARCH finds directories without looking for them",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = restore,
    .connect = connect,
    .describe = describe,
    .paths = {&crs__inotify__descriptor, "watches.path"},
};
