/*
 * fanotify.c - fanotify groups
 *
 * A group that is asked for permission is refused: while it stands still, whoever opens what it
 * guards waits for it, the tool too.
 *
 * Events that wait to be read would be taken away by looking at them, and can't be put back. The
 * running program keeps its own, the restarted one is told of none.
 */
#include <linux/fanotify.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "fanotify.pb-c.h"
#include "kobj/file.h"
#include "kobj/inotify_paths.h"
#include "proc/mountinfo.h"

/* Newer than the headers may be. */
#ifndef FAN_MARK_IGNORE
#define FAN_MARK_IGNORE 0x00000400
#endif

#define CLASSES      (FAN_CLASS_CONTENT | FAN_CLASS_PRE_CONTENT)
#define MOUNTS_LIMIT (64u << 20)

static bool match(const struct open_file *file)
{
    return file_is_anonymous(file, "[fanotify]");
}

/* ---- checkpoint: what is marked ---- */

static bool is_marked(const struct proc_mount *mount, const struct fdinfo_mark *mark)
{
    return mark->kind == FDINFO_MARK_MOUNT ? mount->id == mark->mount
                                           : mount->device == mark->device;
}

/* Where the mount of a mark is, or one of its file system; of the latter one that shows all of it,
 * if there is one. NULL: there's none. */
static char *find_mount(const char *mountinfo, const struct fdinfo_mark *mark)
{
    struct proc_mount mount;
    char *found = NULL;

    for (const char *line = mountinfo; line && *line; line = strchr(line, '\n'), line += !!line) {
        if (!proc_mount_parse(line, &mount) || !is_marked(&mount, mark))
            continue;
        bool whole = strcmp(mount.root, "/") == 0;
        if (found && !whole)
            continue;
        free(found);
        found = strdup(mount.path);
        if (!found || whole || mark->kind == FDINFO_MARK_MOUNT)
            break;
    }
    return found;
}

struct marked {
    const struct fdinfo *info;
    char **paths; /* of info->watches */
    struct bytes mountinfo;
};

static void marked_clear(struct marked *m)
{
    inotify_free_paths(m->paths, m->info->watches.n);
    bytes_clear(&m->mountinfo);
}

static int refuse_mark(const struct open_file *file, const char *what, struct crs_error *err)
{
    char reason[120];

    snprintf(reason, sizeof(reason), "%s that it has marked can't be found", what);
    return file_refuse(file, err, reason,
                       "remove that mark (FAN_MARK_REMOVE) before the checkpoint");
}

static int find_path(const struct open_file *file, const struct marked *marked,
                     const struct fdinfo_mark *mark, char **ret, struct crs_error *err)
{
    const char *inode_path;

    switch (mark->kind) {
    case FDINFO_MARK_INODE:
        inode_path = marked->paths[mark->watch];
        if (!inode_path)
            return refuse_mark(file, "the path of a file", err);
        *ret = strdup(inode_path);
        break;
    case FDINFO_MARK_MOUNT:
    case FDINFO_MARK_FILE_SYSTEM:
        *ret = find_mount((const char *)marked->mountinfo.data, mark);
        if (!*ret)
            return refuse_mark(file, "a mount", err);
        break;
    default:
        return file_refuse(file, err, "it has a mark of a kind that isn't known",
                           "remove the mark before the checkpoint");
    }
    return *ret ? 0 : crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

static int add_mark(const struct open_file *file, const struct marked *marked,
                    const struct fdinfo_mark *mark, Crs__Fanotify *m, struct crs_error *err)
{
    char *path = NULL;
    int r = find_path(file, marked, mark, &path, err);
    Crs__FanotifyMark *record = r < 0 ? NULL : malloc(sizeof(*record));
    struct stat st;

    if (!record) {
        free(path);
        return r < 0 ? r : crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    }
    crs__fanotify_mark__init(record);
    m->marks[m->n_marks++] = record;
    record->path = path;
    record->kind = mark->kind == FDINFO_MARK_INODE ? CRS__FANOTIFY_MARK_KIND__FANOTIFY_MARK_INODE
                   : mark->kind == FDINFO_MARK_MOUNT
                       ? CRS__FANOTIFY_MARK_KIND__FANOTIFY_MARK_MOUNT
                       : CRS__FANOTIFY_MARK_KIND__FANOTIFY_MARK_FILE_SYSTEM;
    record->flags = mark->flags;
    record->mask = mark->mask;
    record->ignored_mask = mark->ignored_mask;
    record->directory = lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
    return 0;
}

static int dump_marks(struct kobj_dump *ctx, const struct open_file *file,
                      const struct fdinfo *info, Crs__Fanotify *m, struct crs_error *err)
{
    _cleanup_(marked_clear) struct marked marked = {.info = info};
    int r = inotify_find_paths(ctx, file->holder->proc_fd, info, &marked.paths, err);

    if (r == 0 &&
        read_file(file->holder->proc_fd, "mountinfo", MOUNTS_LIMIT, &marked.mountinfo) < 0)
        r = file_refuse_errno(file, err, "read the list of mounts");
    m->marks = calloc(info->marks.n + 1, sizeof(*m->marks));
    if (!m->marks)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && i < info->marks.n; i++)
        r = add_mark(file, &marked, &info->marks.items[i], m, err);
    return r;
}

/* ---- checkpoint ---- */

/* Before directories are opened to find the paths, which are events too. */
static int dump_events(struct kobj_dump *ctx, const struct open_file *file, Crs__Fanotify *m,
                       struct crs_error *err)
{
    int waiting = 0;

    if (ioctl(file->dup_fd, FIONREAD, &waiting) < 0)
        return file_refuse_errno(file, err, "see whether events wait in it");
    m->events_lost = waiting > 0;
    if (waiting > 0)
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "fd %d is a fanotify group with events that were not read yet: a restarted "
                  "program doesn't get them",
                  file->fd);
    return 0;
}

static int dump_group(struct kobj_dump *ctx, const struct open_file *file, Crs__Fanotify *m,
                      struct crs_error *err)
{
    _cleanup_fdinfo_ struct fdinfo info = {0};
    int r = file_parse_info(file, &info, err);

    if (r < 0)
        return r;
    if (!info.has_fanotify)
        return file_refuse(file, err, "this kernel doesn't tell what it watches",
                           "close it before the checkpoint");
    if (info.fanotify_flags & CLASSES)
        return file_refuse(file, err,
                           "whoever opens a file may have to wait for its permission, and the tool "
                           "with them",
                           "close it before the checkpoint");
    m->flags = info.fanotify_flags;
    m->event_flags = info.event_flags;
    r = dump_events(ctx, file, m, err);
    return r < 0 ? r : dump_marks(ctx, file, &info, m, err);
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    Crs__Fanotify *m = malloc(sizeof(*m));

    if (!m)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__fanotify__init(m);
    int r = dump_group(ctx, file, m, err);
    if (r == 0)
        r = kobj_pack(&m->base, ret_payload, err);
    crs__fanotify__free_unpacked(m, NULL);
    return r;
}

/* ---- restart ---- */

static int unpack(const Crs__OpenFile *record, Crs__Fanotify **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__fanotify__descriptor, (ProtobufCMessage **)ret, err);
}

static int open_group(const Crs__Fanotify *m, int *ret_fd, struct crs_error *err)
{
    int fd = syscall(SYS_fanotify_init, m->flags | FAN_CLOEXEC, m->event_flags);

    if (fd < 0)
        return crs_fail_errno(err, errno == EPERM ? CRS_NOT_PERMITTED : CRS_CANT_RESTART,
                              "can't make a fanotify group%s",
                              errno == EPERM ? " of this kind: it needs CAP_SYS_ADMIN" : "");
    *ret_fd = fd;
    return 0;
}

static int check_mark(const Crs__FanotifyMark *mark, struct crs_error *err)
{
    struct stat st;

    if (mark->path[0] != '/' || mark->kind > CRS__FANOTIFY_MARK_KIND__FANOTIFY_MARK_FILE_SYSTEM)
        return crs_fail(err, CRS_DAMAGED, EINVAL, "a fanotify mark without a path or a kind");
    if (lstat(mark->path, &st) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART,
                              "%s, which the program watches (fanotify), can't be found here",
                              mark->path);
    if (mark->directory != !!S_ISDIR(st.st_mode))
        return crs_fail(err, CRS_CANT_RESTART, EINVAL,
                        "%s, which the program watches (fanotify), was %sa directory and is%s here",
                        mark->path, mark->directory ? "" : "not ", mark->directory ? "n't" : "");
    return 0;
}

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    _cleanup_close_ int fd = -1;
    Crs__Fanotify *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    r = m->flags & CLASSES ? crs_fail(err, CRS_DAMAGED, EINVAL, "a fanotify group of that class")
                           : open_group(m, &fd, err);
    for (size_t i = 0; r == 0 && i < m->n_marks; i++)
        r = check_mark(m->marks[i], err);
    crs__fanotify__free_unpacked(m, NULL);
    return r;
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    _cleanup_close_ int fd = -1;
    Crs__Fanotify *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    if (m->events_lost)
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "%s: the events that were not read before the checkpoint are lost", record->name);
    r = open_group(m, &fd, err);
    crs__fanotify__free_unpacked(m, NULL);
    return r < 0 ? r : file_finish(TAKE_FD(fd), record, ret_fd, err);
}

static int set_mark(int fd, const Crs__FanotifyMark *mark, uint32_t flags, uint64_t mask,
                    struct crs_error *err)
{
    static const uint32_t kinds[] = {FAN_MARK_DONT_FOLLOW, FAN_MARK_MOUNT, FAN_MARK_FILESYSTEM};

    if (mask == 0 || syscall(SYS_fanotify_mark, fd, FAN_MARK_ADD | kinds[mark->kind] | flags, mask,
                             AT_FDCWD, mark->path) == 0)
        return 0;
    return crs_fail_errno(err, errno == EPERM ? CRS_NOT_PERMITTED : CRS_CANT_RESTART,
                          "can't watch %s (fanotify)", mark->path);
}

static int restore_mark(int fd, const Crs__FanotifyMark *mark, struct crs_error *err)
{
    uint32_t evictable = mark->flags & ~(FAN_MARK_IGNORED_SURV_MODIFY | FAN_MARK_IGNORE);
    uint32_t ignore = mark->flags & FAN_MARK_IGNORE ? FAN_MARK_IGNORE : FAN_MARK_IGNORED_MASK;
    int r = set_mark(fd, mark, evictable, mark->mask, err);

    if (r == 0)
        r = set_mark(fd, mark, evictable | ignore | (mark->flags & FAN_MARK_IGNORED_SURV_MODIFY),
                     mark->ignored_mask, err);
    return r;
}

/* When all other files are open: to open them is an event, too. */
static int connect(struct kobj_restore *ctx, const Crs__OpenFile *record, int fd,
                   struct crs_error *err)
{
    Crs__Fanotify *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < m->n_marks; i++)
        r = restore_mark(ctx->file_fds[record->id - 1], m->marks[i], err);
    crs__fanotify__free_unpacked(m, NULL);
    return r;
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    Crs__Fanotify *m;
    int r = unpack(record, &m, NULL);

    if (r < 0)
        return r;
    snprintf(text, size, "%zu mark%s%s%s%s", m->n_marks, m->n_marks == 1 ? "" : "s",
             m->n_marks ? ", of " : "", m->n_marks ? m->marks[0]->path : "",
             m->n_marks > 1 ? " and others" : "");
    crs__fanotify__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_fanotify = {
    .name = "fanotify",
    .title = "fanotify group",
    .saved = "with conditions",
    .conditions = "not one that gives permissions (FAN_CLASS_CONTENT, FAN_CLASS_PRE_CONTENT); what "
                  "it watches can be found, as for inotify; events that were not read are lost",
    .privilege = "CAP_SYS_ADMIN for groups that a user can't make",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = restore,
    .connect = connect,
    .describe = describe,
    .paths = {&crs__fanotify__descriptor, "marks.path"},
};
