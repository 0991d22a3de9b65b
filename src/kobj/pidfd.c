/* pidfd.c - descriptors of processes: of the snapshot's own, or of one that has ended */
#include <fcntl.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kobj/file.h"
#include "pidfd.pb-c.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

static bool match(const struct open_file *file)
{
    return file_is_anonymous(file, "[pidfd]") || strncmp(file->link, "pidfd:", 6) == 0;
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    _cleanup_fdinfo_ struct fdinfo info = {0};
    Crs__Pidfd m = CRS__PIDFD__INIT;
    int r = file_parse_info(file, &info, err);

    if (r < 0)
        return r;
    m.thread = file->flags & PIDFD_THREAD;
    if (info.has_pidfd && info.pid == -1)
        return kobj_pack(&m.base, ret_payload, err);
    if (info.pid <= 0 || !(m.thread ? (void *)kobj_find_member_thread(ctx, info.pid)
                                    : (void *)kobj_find_member(ctx, info.pid)))
        return file_refuse(file, err, "the process that it refers to isn't part of the checkpoint",
                           "close it before the checkpoint");
    m.pid = info.inner_pid;
    return kobj_pack(&m.base, ret_payload, err);
}

/* ---- restart ---- */

/* Of a child that ends at once, without a signal to us, and is waited for. */
static int open_ended(struct crs_error *err)
{
    int fd = -1;
    pid_t pid = syscall(SYS_clone, CLONE_PIDFD, NULL, &fd, NULL, 0);

    if (pid == 0)
        _exit(0);
    if (pid < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't make a child");
    while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
        ;
    return fd;
}

static int open_member(struct kobj_restore *ctx, const Crs__Pidfd *m, struct crs_error *err)
{
    pid_t pid = m->thread ? kobj_member_thread_now(ctx, m->pid) : kobj_member_now(ctx, m->pid);

    if (pid <= 0)
        return crs_fail(err, CRS_DAMAGED, EINVAL, "it refers to process %u, which isn't there",
                        m->pid);
    int fd = syscall(SYS_pidfd_open, pid, m->thread ? PIDFD_THREAD : 0);
    if (fd < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't open a pidfd%s",
                              m->thread ? " of a thread (Linux 6.9 and later can)" : "");
    return fd;
}

static int unpack(const Crs__OpenFile *record, Crs__Pidfd **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__pidfd__descriptor, (ProtobufCMessage **)ret, err);
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    Crs__Pidfd *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    int fd = m->pid == 0 ? open_ended(err) : open_member(ctx, m, err);
    crs__pidfd__free_unpacked(m, NULL);
    return fd < 0 ? fd : file_finish(fd, record, ret_fd, err);
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    Crs__Pidfd *m;
    int r = unpack(record, &m, NULL);

    if (r < 0)
        return r;
    if (m->pid == 0)
        snprintf(text, size, "of one that has ended");
    else
        snprintf(text, size, "of %s %u", m->thread ? "thread" : "process", m->pid);
    crs__pidfd__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_pidfd = {
    .name = "pidfd",
    .title = "process descriptor (pidfd)",
    .saved = "with conditions",
    .conditions = "of a process that is part of the snapshot, or has ended and was waited for (how "
                  "it ended is forgotten then)",
    .match = match,
    .dump = dump,
    .restore = restore,
    .describe = describe,
};
