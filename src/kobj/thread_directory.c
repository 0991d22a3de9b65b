/*
 * thread_directory.c - directory and umask of a thread that has parted with its process's
 *
 * The engine makes the thread so (unshare(2)), and those that share with it from it; here is what
 * they are. Descriptors of a thread's own are refused (sharing.c).
 */
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kobj/attributes.h"
#include "kobj/thread_directory.h"
#include "thread_directory.pb-c.h"

static bool is_same(pid_t a, pid_t b)
{
    return syscall(SYS_kcmp, a, b, KCMP_FS, 0UL, 0UL) == 0;
}

static int compare_with_process(struct tracee_thread *thread, bool *ret_same, struct crs_error *err)
{
    struct tracee_thread *main_thread = tracee_main(thread->owner);

    *ret_same = true;
    if (thread == main_thread)
        return 0;
    long r = syscall(SYS_kcmp, main_thread->tid, thread->tid, KCMP_FS, 0UL, 0UL);
    if (r < 0 && errno != ENOSYS)
        return crs_fail_errno(err, CRS_CANT_CHECKPOINT, "can't compare threads of process %d",
                              thread->owner->pid);
    *ret_same = r <= 0;
    return 0;
}

/* The first thread before it that has the same; NULL: there is none. */
static struct tracee_thread *find_earlier(struct tracee_thread *thread)
{
    tracee_for_each_thread (thread->owner, th) {
        if (th == thread)
            break;
        if (is_same(th->tid, thread->tid))
            return th;
    }
    return NULL;
}

/* A process that it has made may share it, too. */
static int check_members(const struct kobj_dump *ctx, struct tracee_thread *thread,
                         struct crs_error *err)
{
    for (size_t i = 0; i < ctx->members.n; i++) {
        struct tracee *t = ctx->members.items[i].t;
        if (t == thread->owner || !is_same(tracee_main(t)->tid, thread->tid))
            continue;
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "thread %d of process %d shares with process %d a working directory and "
                        "umask that are not its process's: that can't be saved",
                        thread->tid, thread->owner->pid, t->pid);
    }
    return 0;
}

static int check_root(const struct tracee_thread *thread, struct crs_error *err)
{
    struct stat theirs, ours;
    char path[40];

    snprintf(path, sizeof(path), "task/%d/root", thread->tid);
    if (fstatat(thread->owner->proc_fd, path, &theirs, 0) == 0 && stat("/", &ours) == 0 &&
        theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino)
        return 0;
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                    "thread %d of process %d has another root directory than this tool: its files "
                    "can't be found by their names",
                    thread->tid, thread->owner->pid);
}

static int dump_own(struct kobj_dump *ctx, struct tracee_thread *thread,
                    Crs__ThreadDirectory *message, char **ret_path, struct crs_error *err)
{
    _cleanup_proc_status_ struct proc_status status = {0};
    bool deleted = false;
    int r = check_members(ctx, thread, err);

    if (r == 0)
        r = check_root(thread, err);
    if (r == 0)
        r = kobj_read_status(thread, &status, err);
    if (r == 0)
        r = kobj_read_cwd(thread, ret_path, &deleted, err);
    message->path = *ret_path;
    message->deleted = deleted;
    message->umask = status.umask;
    return r;
}

static int dump_thread_directory(struct kobj_dump *ctx, struct tracee_thread *thread,
                                 struct bytes *ret_payload, struct crs_error *err)
{
    Crs__ThreadDirectory message = CRS__THREAD_DIRECTORY__INIT;
    _cleanup_free_ char *path = NULL;
    bool same;
    int r = compare_with_process(thread, &same, err);

    if (r < 0 || same)
        return r;
    struct tracee_thread *earlier = find_earlier(thread);
    if (earlier)
        message.shares_with = earlier->inner_tid;
    else
        r = dump_own(ctx, thread, &message, &path, err);
    return r < 0 ? r : kobj_pack(&message.base, ret_payload, err);
}

static int restore_thread_directory(struct kobj_restore *ctx, struct tracee_thread *thread,
                                    const Crs__Thread *record, const struct bytes *payload,
                                    struct crs_error *err)
{
    _cleanup_message_ Crs__ThreadDirectory *message = NULL;
    int r = kobj_unpack(&crs__thread_directory__descriptor, payload, &message, err);

    if (r < 0 || message->shares_with)
        return r;
    if (message->path[0] != '/')
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "the working directory isn't a path");
    r = kobj_enter_cwd(ctx, thread, message->path, message->deleted, err);
    return r < 0 ? r
                 : REMOTE_CHECKED(thread, NULL, err, CRS_CANT_RESTART, "set the umask", SYS_umask,
                                  message->umask);
}

static int describe_thread_directory(const struct bytes *payload, char *text, size_t size)
{
    _cleanup_message_ Crs__ThreadDirectory *message = NULL;
    int r = kobj_unpack(&crs__thread_directory__descriptor, payload, &message, NULL);

    if (r == 0 && message->shares_with)
        snprintf(text, size, "as thread %u", message->shares_with);
    else if (r == 0)
        snprintf(text, size, "%s, umask %04o", message->path, message->umask);
    return r;
}

const struct kobj_thread_kind kobj_thread_directory = {
    .name = "thread_directory",
    .title = "working directory and umask of a thread's own (unshare)",
    .saved = "yes",
    .conditions = "refused where another process shares them",
    .dump = dump_thread_directory,
    .restore = restore_thread_directory,
    .describe = describe_thread_directory,
    .paths = {&crs__thread_directory__descriptor, "path"},
};

int thread_directory_find(const Crs__Thread *record, bool *ret_own, uint32_t *ret_shares_with,
                          struct crs_error *err)
{
    *ret_own = false;
    *ret_shares_with = 0;
    for (size_t i = 0; i < record->n_attributes; i++) {
        const Crs__Attribute *a = record->attributes[i];
        const struct bytes payload = {a->payload.data, a->payload.len};
        _cleanup_message_ Crs__ThreadDirectory *message = NULL;
        if (strcmp(a->kind, kobj_thread_directory.name) != 0)
            continue;
        int r = kobj_unpack(&crs__thread_directory__descriptor, &payload, &message, err);
        if (r < 0)
            return r;
        *ret_own = true;
        *ret_shares_with = message->shares_with;
    }
    return 0;
}
