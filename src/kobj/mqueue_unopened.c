/*
 * mqueue_unopened.c - POSIX message queues of a program's own IPC namespace that nobody has open
 *
 * They wait there for whoever opens them next, and would end with the namespace.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kobj/mqueue.h"

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

/* ---- checkpoint, in a child that is in the namespace ---- */

/* All queues, as a directory that is mounted nowhere. */
static int open_all(int *ret_fd)
{
    _cleanup_close_ int context = -1, mounted = -1;

    /* Mounting takes a mount namespace of the same user namespace. */
    if (unshare(CLONE_NEWNS) < 0)
        return -errno;
    context = syscall(SYS_fsopen, "mqueue", FSOPEN_CLOEXEC);
    if (context < 0 && errno == ENODEV) { /* this kernel has no message queues */
        *ret_fd = -1;
        return 0;
    }
    if (context < 0 || syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    mounted = syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
    *ret_fd = mounted < 0 ? -1 : openat(mounted, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd < 0 ? -errno : 0;
}

static bool is_open(const struct kobj_dump *ctx, const struct stat *st)
{
    for (size_t i = 0; i < ctx->files.n; i++)
        if (ctx->files.items[i].st.st_dev == st->st_dev &&
            ctx->files.items[i].st.st_ino == st->st_ino)
            return true;
    return false;
}

static Crs__Mqueue *add(Crs__SysvIpc *all)
{
    Crs__Mqueue **more = reallocarray(all->posix_queues, all->n_posix_queues + 1, sizeof(*more));
    Crs__Mqueue *m = malloc(sizeof(*m));

    if (more)
        all->posix_queues = more;
    if (!more || !m) {
        free(m);
        return NULL;
    }
    crs__mqueue__init(m);
    more[all->n_posix_queues++] = m;
    return m;
}

static int save(const struct kobj_dump *ctx, int fd, const char *name, Crs__SysvIpc *all,
                struct crs_error *err)
{
    struct mq_attr attributes;
    struct stat st;

    if (fstat(fd, &st) < 0 || mqueue_get_attributes(fd, &attributes) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't look at the message queue /%s", name);
    if (is_open(ctx, &st))
        return 0;
    Crs__Mqueue *m = add(all);
    if (!m || asprintf(&m->name, "/%s", name) < 0)
        return out_of_memory(err);
    mqueue_record(m, &st, &attributes);
    return attributes.mq_curmsgs > 0 ? mqueue_copy_messages(fd, &attributes, m, err) : 0;
}

int mqueue_save_unopened(const struct kobj_dump *ctx, Crs__SysvIpc *all, struct crs_error *err)
{
    int directory = -1, r = open_all(&directory);

    if (r < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, -r,
                        "can't see which message queues there are in the program's IPC namespace: "
                        "%s",
                        strerror(-r));
    _cleanup_closedir_ DIR *dir = directory >= 0 ? fdopendir(directory) : NULL;
    if (directory >= 0 && !dir)
        return out_of_memory(err);
    for (struct dirent *e; r == 0 && dir && (e = readdir(dir));) {
        if (e->d_name[0] == '.' && (!e->d_name[1] || (e->d_name[1] == '.' && !e->d_name[2])))
            continue;
        _cleanup_close_ int fd = openat(directory, e->d_name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
            return crs_fail_errno(err, CRS_CANT_CHECKPOINT, "can't open the message queue /%s",
                                  e->d_name);
        r = save(ctx, fd, e->d_name, all, err);
    }
    return r;
}

/* ---- restart ---- */

int mqueue_make_unopened(const Crs__SysvIpc *all, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < all->n_posix_queues; i++) {
        const Crs__Mqueue *m = all->posix_queues[i];
        _cleanup_close_ int fd = mqueue_make(m);
        if (fd < 0)
            return crs_fail_errno(err, CRS_CANT_RESTART, "can't make the message queue %s",
                                  m->name);
        r = mqueue_fill(fd, m, err);
    }
    return r;
}
