/*
 * cwd.c - the current working directory
 *
 * A directory that was removed is empty by necessity: it comes back by making one, going there, and
 * removing it.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "cwd.pb-c.h"
#include "kobj/attributes.h"

#define DELETED " (deleted)"

static bool is_same_directory(const char *path, const struct stat *expected)
{
    struct stat st;

    return stat(path, &st) == 0 && st.st_dev == expected->st_dev && st.st_ino == expected->st_ino;
}

static void cut_deleted(char *path)
{
    size_t n = strlen(path), mark = strlen(DELETED);

    if (n > mark && strcmp(path + n - mark, DELETED) == 0)
        path[n - mark] = 0;
}

int kobj_read_cwd(struct tracee_thread *thread, char **ret, bool *ret_deleted,
                  struct crs_error *err)
{
    const struct tracee *t = thread->owner;
    _cleanup_free_ char *path = NULL;
    char link[40];
    struct stat st;

    snprintf(link, sizeof(link), "task/%d/cwd", thread->tid);
    int r = read_link(t->proc_fd, link, &path);
    if (r < 0 || fstatat(t->proc_fd, link, &st, 0) < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, r < 0 ? -r : errno,
                        "can't see the working directory of process %d: %s", t->pid,
                        strerror(r < 0 ? -r : errno));
    *ret_deleted = st.st_nlink == 0;
    if (*ret_deleted)
        cut_deleted(path);
    else if (!is_same_directory(path, &st))
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "the working directory of process %d, %s, is not found under its name here "
                        "(another mount namespace, or something mounted over it)",
                        t->pid, path);
    *ret = TAKE_PTR(path);
    return 0;
}

static int dump_cwd(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    Crs__Cwd message = CRS__CWD__INIT;
    _cleanup_free_ char *path = NULL;
    bool deleted;

    if (!kobj_saves(ctx, KOBJ_DIRECTORY))
        return 0;
    int r = kobj_read_cwd(tracee_main(ctx->t), &path, &deleted, err);
    if (r < 0)
        return r;
    message.path = path;
    message.deleted = deleted;
    return kobj_pack(&message.base, ret_payload, err);
}

static int check_cwd(struct kobj_restore *ctx, const Crs__Process *process,
                     const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__Cwd *message = NULL;
    int r = kobj_unpack(&crs__cwd__descriptor, payload, &message, err);
    struct stat st;

    if (r < 0)
        return r;
    if (message->path[0] != '/' || strlen(message->path) >= PATH_MAX)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "the working directory isn't a path");
    if (message->deleted)
        return 0;
    if (stat(message->path, &st) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "the working directory %s can't be reached",
                              message->path);
    if (!S_ISDIR(st.st_mode))
        return crs_fail(err, CRS_CANT_RESTART, ENOTDIR,
                        "the working directory %s isn't a directory any more", message->path);
    return 0;
}

static int change_directory(struct tracee_thread *thread, const char *path, struct crs_error *err)
{
    int64_t result;
    int r = tracee_call_with_block(thread, &result, err, SYS_chdir, (const uint64_t[6]){0}, 0, path,
                                   NULL, strlen(path) + 1);

    if (r == 0 && kobj_call_failed(result))
        r = crs_fail(err, CRS_CANT_RESTART, -result, "can't go to the working directory %s: %s",
                     path, strerror(-result));
    return r;
}

/* At its old place where that is free, else among the temporary files. */
static int restore_deleted(struct kobj_restore *ctx, struct tracee_thread *thread, const char *path,
                           struct crs_error *err)
{
    const char *directory = getenv("TMPDIR");
    _cleanup_free_ char *instead =
        format_string("%s/crs-cwd-XXXXXX", directory && directory[0] == '/' ? directory : "/tmp");

    if (!instead)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a path");
    if (mkdir(path, 0700) < 0) {
        if (!mkdtemp(instead))
            return crs_fail_errno(err, CRS_CANT_RESTART,
                                  "can't make a directory in place of the removed %s", path);
        KOBJ_WARN(ctx,
                  "the working directory was removed, and %s can't be made again for a moment: "
                  "its name is another now",
                  path);
        path = instead;
    }
    int r = change_directory(thread, path, err);
    rmdir(path);
    return r;
}

int kobj_enter_cwd(struct kobj_restore *ctx, struct tracee_thread *thread, const char *path,
                   bool deleted, struct crs_error *err)
{
    return deleted ? restore_deleted(ctx, thread, path, err) : change_directory(thread, path, err);
}

static int restore_cwd(struct kobj_restore *ctx, const Crs__Process *process,
                       const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__Cwd *message = NULL;
    int r = kobj_unpack(&crs__cwd__descriptor, payload, &message, err);

    return r < 0 ? r
                 : kobj_enter_cwd(ctx, tracee_main(ctx->t), message->path, message->deleted, err);
}

static int describe_cwd(const struct bytes *payload, char *text, size_t size)
{
    _cleanup_message_ Crs__Cwd *message = NULL;
    int r = kobj_unpack(&crs__cwd__descriptor, payload, &message, NULL);

    if (r == 0)
        snprintf(text, size, "%s%s", message->path, message->deleted ? DELETED : "");
    return r;
}

const struct kobj_process_kind kobj_cwd = {
    .name = "cwd",
    .title = "working directory",
    .saved = "yes",
    .conditions = "must be there at the restart, unless it had been removed",
    .dump = dump_cwd,
    .check = check_cwd,
    .restore = restore_cwd,
    .describe = describe_cwd,
    .paths = {&crs__cwd__descriptor, "path"},
};
