/*
 * locks.c - file locks: of the process (POSIX), of the description (OFD, flock, leases)
 *
 * POSIX locks belong to the process and vanish when it closes any descriptor of the file, so they
 * are taken by the process itself, when all its descriptors are in place.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kobj/file.h"

static bool is_known(const struct open_file *file, const struct open_lock *lock)
{
    for (size_t i = 0; i < file->locks.n; i++) {
        const struct open_lock *l = &file->locks.items[i];
        if (l->pid == lock->pid && l->kind == lock->kind && l->write == lock->write &&
            l->start == lock->start && l->end == lock->end)
            return true;
    }
    return false;
}

/* A lock is the table's of descriptors: of those that share one, who took it is told. */
static pid_t owner_of(const struct kobj_dump *ctx, const struct tracee *t, pid_t taker)
{
    const struct kobj_member *member = kobj_member_of(ctx, t);
    const struct tracee *other = taker > 0 ? kobj_find_member(ctx, taker) : NULL;
    const struct kobj_member *by = other ? kobj_member_of(ctx, other) : NULL;

    return by && member && by->first[KOBJ_DESCRIPTORS] == member->first[KOBJ_DESCRIPTORS]
               ? other->inner_pid
               : t->inner_pid;
}

int locks_collect(const struct kobj_dump *ctx, const struct tracee *t, const struct fdinfo *info,
                  struct open_file *file, struct crs_error *err)
{
    for (size_t i = 0; i < info->locks.n; i++) {
        const struct fdinfo_lock *from = &info->locks.items[i];
        bool posix = from->kind == FDINFO_LOCK_POSIX;
        struct open_lock lock = {posix ? owner_of(ctx, t, from->pid) : 0,
                                 posix                             ? CRS__LOCK_KIND__LOCK_POSIX
                                 : from->kind == FDINFO_LOCK_OFD   ? CRS__LOCK_KIND__LOCK_OFD
                                 : from->kind == FDINFO_LOCK_FLOCK ? CRS__LOCK_KIND__LOCK_FLOCK
                                                                   : CRS__LOCK_KIND__LOCK_LEASE,
                                 from->write, from->start, from->end};
        if (from->kind == FDINFO_LOCK_OTHER)
            file->other_lock = true;
        if (from->kind == FDINFO_LOCK_OTHER || is_known(file, &lock))
            continue;
        struct open_lock *place = ARRAY_ADD(&file->locks);
        if (!place)
            return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
        *place = lock;
    }
    return 0;
}

int locks_dump(const struct open_file *file, Crs__OpenFile *record, struct crs_error *err)
{
    if (file->other_lock)
        return file_refuse(file, err,
                           "the program holds a lease on it that is being broken, or a delegation, "
                           "which can't be saved",
                           "give it up (F_SETLEASE F_UNLCK) before the checkpoint");
    record->locks = calloc(file->locks.n + 1, sizeof(*record->locks));
    if (!record->locks)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t i = 0; i < file->locks.n; i++) {
        Crs__FileLock *lock = malloc(sizeof(*lock));
        if (!lock)
            return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
        crs__file_lock__init(lock);
        lock->kind = (Crs__LockKind)file->locks.items[i].kind;
        lock->write = file->locks.items[i].write;
        lock->start = file->locks.items[i].start;
        lock->end = file->locks.items[i].end;
        lock->pid = file->locks.items[i].pid;
        record->locks[record->n_locks++] = lock;
    }
    return 0;
}

static struct flock as_flock(const Crs__FileLock *lock)
{
    return (struct flock){
        .l_type = lock->write ? F_WRLCK : F_RDLCK,
        .l_whence = SEEK_SET,
        .l_start = lock->start,
        .l_len = lock->end == UINT64_MAX ? 0 : lock->end - lock->start + 1,
    };
}

static int flock_operation(const Crs__FileLock *lock)
{
    return (lock->write ? LOCK_EX : LOCK_SH) | LOCK_NB;
}

static int held(const Crs__OpenFile *record, const char *path, pid_t pid, struct crs_error *err)
{
    char by[64] = "another program";

    if (pid > 0)
        snprintf(by, sizeof(by), "process %d", (int)pid);
    return crs_fail(err, CRS_CANT_RESTART, EAGAIN,
                    "%s was locked by the program and is locked by %s now; end that and try again",
                    path ? path : record->name, by);
}

static int check_lock(const Crs__OpenFile *record, const Crs__FileLock *lock, const char *path,
                      int fd, struct crs_error *err)
{
    struct flock fl = as_flock(lock);

    if (lock->kind == CRS__LOCK_KIND__LOCK_LEASE) /* our own descriptor would be in the way */
        return 0;
    if (lock->kind == CRS__LOCK_KIND__LOCK_FLOCK) {
        if (flock(fd, flock_operation(lock)) < 0 && errno == EWOULDBLOCK)
            return held(record, path, 0, err);
        flock(fd, LOCK_UN);
        return 0;
    }
    if (fcntl(fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK)
        return held(record, path, fl.l_pid, err);
    return 0;
}

int locks_check(const Crs__OpenFile *record, const char *path, struct crs_error *err)
{
    if (record->n_locks == 0)
        return 0;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) /* it may be writable only: the restart itself will tell */
        return 0;
    int r = 0;
    for (size_t i = 0; r == 0 && i < record->n_locks; i++)
        r = check_lock(record, record->locks[i], path, fd, err);
    return r;
}

static bool is_of_process(const struct kobj_restore *ctx, const Crs__FileLock *lock)
{
    return ctx->process->pid == (lock->pid ? lock->pid : ctx->tree->processes[0]->pid);
}

int locks_restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int fd, bool shared,
                  struct crs_error *err)
{
    struct tracee_thread *th = tracee_main(ctx->t);

    for (size_t i = 0; i < record->n_locks; i++) {
        const Crs__FileLock *lock = record->locks[i];
        struct flock fl = as_flock(lock);
        int command = lock->kind == CRS__LOCK_KIND__LOCK_POSIX ? F_SETLK : F_OFD_SETLK;
        int64_t result;
        int r;

        if (lock->kind == CRS__LOCK_KIND__LOCK_POSIX ? !is_of_process(ctx, lock) : !shared)
            continue;
        if (lock->kind == CRS__LOCK_KIND__LOCK_FLOCK)
            r = REMOTE(th, &result, err, SYS_flock, fd, flock_operation(lock));
        else if (lock->kind == CRS__LOCK_KIND__LOCK_LEASE)
            r = REMOTE(th, &result, err, SYS_fcntl, fd, F_SETLEASE,
                       lock->write ? F_WRLCK : F_RDLCK);
        else
            r = tracee_call_with_block(th, &result, err, SYS_fcntl,
                                       (const uint64_t[6]){fd, command, 0}, 2, &fl, NULL,
                                       sizeof(fl));
        if (r < 0)
            return r;
        if (result == -EAGAIN && lock->kind == CRS__LOCK_KIND__LOCK_LEASE)
            return crs_fail(err, CRS_CANT_RESTART, EAGAIN,
                            "the program held a lease on %s, which another program has open now; "
                            "end that and try again",
                            record->name);
        if (result == -EAGAIN || result == -EACCES)
            return held(record, NULL, 0, err);
        if (result < 0)
            return crs_fail(err, CRS_CANT_RESTART, -result, "can't lock %s as it was: %s",
                            record->name, strerror(-result));
    }
    return 0;
}
