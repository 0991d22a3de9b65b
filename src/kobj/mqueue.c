/*
 * mqueue.c - POSIX message queues
 *
 * Messages can't be looked at without taking them away: a queue that holds some is refused. A queue
 * with a name outlives its program; it is used again where it is still there.
 */
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/file.h"
#include "mqueue.pb-c.h"

#define MQUEUE_FS_MAGIC 0x19800202

static bool match(const struct open_file *file)
{
    struct statfs fs;

    return S_ISREG(file->st.st_mode) && fstatfs(file->dup_fd, &fs) == 0 &&
           fs.f_type == MQUEUE_FS_MAGIC;
}

/* ---- checkpoint ---- */

static int get_attributes(int fd, struct mq_attr *ret)
{
    return syscall(SYS_mq_getsetattr, fd, NULL, ret) < 0 ? -errno : 0;
}

/* "QSIZE:0 NOTIFY:0 SIGNO:0 NOTIFY_PID:0" is what one reads in the queue's file. */
static bool has_notification(const struct open_file *file)
{
    _cleanup_close_ int fd = -1;
    char text[256];
    int pid = 0;

    if (file_reopen(file->dup_fd, O_RDONLY, &fd) < 0)
        return false;
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = 0;
    const char *at = strstr(text, "NOTIFY_PID:");
    return at && sscanf(at, "NOTIFY_PID:%d", &pid) == 1 && pid != 0;
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    Crs__Mqueue m = CRS__MQUEUE__INIT;
    struct mq_attr attributes;
    int r = get_attributes(file->dup_fd, &attributes);

    if (r < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, -r, "fd %d (%s): can't read its attributes: %s",
                        file->fd, file->link, strerror(-r));
    if (attributes.mq_curmsgs > 0)
        return file_refuse(file, err, "there are messages in it, which can't be saved",
                           "receive them before the checkpoint");
    if (has_notification(file))
        return file_refuse(file, err, "a process is to be notified of its next message (mq_notify)",
                           "end that before the checkpoint");
    m.name = file->st.st_nlink > 0 ? file->link : m.name;
    m.inode = file->st.st_ino;
    m.mode = file->st.st_mode & 07777;
    m.messages_max = attributes.mq_maxmsg;
    m.message_size = attributes.mq_msgsize;
    return kobj_pack(&m.base, ret_payload, err);
}

/* ---- restart ---- */

static int unpack(const Crs__OpenFile *record, Crs__Mqueue **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__mqueue__descriptor, (ProtobufCMessage **)ret, err);
}

/* -1: there is none of that name, or it can't be opened. */
static int open_there(const char *name)
{
    return name[0] ? mq_open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
}

static int check_there(const Crs__Mqueue *m, int fd, struct crs_error *err)
{
    struct mq_attr attributes;

    if (get_attributes(fd, &attributes) == 0 && attributes.mq_maxmsg == (long)m->messages_max &&
        attributes.mq_msgsize == (long)m->message_size)
        return 0;
    return crs_fail(err, CRS_CANT_RESTART, EEXIST,
                    "the message queue %s here is of another size than the program's; remove it "
                    "(mq_unlink)",
                    m->name);
}

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    Crs__Mqueue *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    if ((m->name[0] && (m->name[0] != '/' || strchr(m->name + 1, '/'))) ||
        m->messages_max > INT_MAX || m->message_size > INT_MAX) {
        r = crs_fail(err, CRS_DAMAGED, EINVAL, "a message queue has no name or no size");
    } else if (!ctx->own_ipc) {
        _cleanup_close_ int fd = open_there(m->name);
        if (fd >= 0)
            r = check_there(m, fd, err);
    }
    crs__mqueue__free_unpacked(m, NULL);
    return r;
}

/* Another description of the same queue that was made already; -1: none. */
static int find_made(const struct kobj_restore *ctx, uint64_t inode)
{
    for (size_t i = 0; i < ctx->files->n_files; i++) {
        const Crs__OpenFile *record = ctx->files->files[i];
        Crs__Mqueue *m;
        if (strcmp(record->kind, kobj_mqueue.name) != 0 || ctx->file_fds[i] < 0 ||
            unpack(record, &m, NULL) < 0)
            continue;
        bool same = m->inode == inode;
        crs__mqueue__free_unpacked(m, NULL);
        if (same)
            return ctx->file_fds[i];
    }
    return -1;
}

/* One without a name is made under one that nobody has. */
static int make(const Crs__Mqueue *m)
{
    struct mq_attr attributes = {.mq_maxmsg = m->messages_max, .mq_msgsize = m->message_size};
    char own[64];

    snprintf(own, sizeof(own), "/crs-%d-%llu", (int)getpid(), (unsigned long long)now_us());
    const char *name = m->name[0] ? m->name : own;
    int fd = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attributes);
    if (fd >= 0 && fchmod(fd, m->mode & 07777) < 0)
        errno = 0; /* as the system makes them */
    if (fd >= 0 && !m->name[0])
        mq_unlink(own);
    return fd;
}

static int open_queue(struct kobj_restore *ctx, const Crs__OpenFile *record, const Crs__Mqueue *m,
                      int *ret_fd)
{
    int made = find_made(ctx, m->inode), flags = file_open_flags(record);
    _cleanup_close_ int new = -1;

    if (made >= 0)
        return file_reopen(made, flags, ret_fd);
    if (m->name[0]) {
        *ret_fd = mq_open(m->name, flags);
        if (*ret_fd >= 0 || errno != ENOENT)
            return *ret_fd < 0 ? -errno : 0;
    }
    new = make(m);
    return new < 0 ? -errno : file_reopen(new, flags, ret_fd);
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    Crs__Mqueue *m;
    int fd = -1, r = unpack(record, &m, err);

    if (r < 0)
        return r;
    r = open_queue(ctx, record, m, &fd);
    if (r < 0)
        crs_fail(err, CRS_CANT_RESTART, -r,
                 "can't make a message queue of %u messages of %u bytes: %s (limits: "
                 "/proc/sys/fs/mqueue, ulimit -q)",
                 m->messages_max, m->message_size, strerror(-r));
    crs__mqueue__free_unpacked(m, NULL);
    return r < 0 ? r : file_finish(fd, record, ret_fd, err);
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    Crs__Mqueue *m;
    int r = unpack(record, &m, NULL);

    if (r < 0)
        return r;
    snprintf(text, size, "of %u messages of %u bytes", m->messages_max, m->message_size);
    crs__mqueue__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_mqueue = {
    .name = "mqueue",
    .title = "message queue (mq_open)",
    .saved = "with conditions",
    .conditions = "refused while messages are in it, or a process is to be notified (mq_notify); "
                  "one with a name that is there at the restart is used as it is",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = restore,
    .describe = describe,
};
