/*
 * mqueue.c - POSIX message queues
 *
 * A queue with a name outlives its program; it is used again where it is still there.
 */
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/mqueue.h"
#include "kobj/pipe.h"

#define MQUEUE_FS_MAGIC 0x19800202
#define PRIORITIES      32768 /* MQ_PRIO_MAX */

static bool match(const struct open_file *file)
{
    struct statfs fs;

    return S_ISREG(file->st.st_mode) && fstatfs(file->dup_fd, &fs) == 0 &&
           fs.f_type == MQUEUE_FS_MAGIC;
}

/* ---- checkpoint ---- */

int mqueue_get_attributes(int fd, struct mq_attr *ret)
{
    return syscall(SYS_mq_getsetattr, fd, NULL, ret) < 0 ? -errno : 0;
}

/* "QSIZE:129 NOTIFY:0 SIGNO:10 NOTIFY_PID:8260": a signal is NOTIFY 0 with a number, too. */
int mqueue_read_status(int fd, struct mqueue_status *ret)
{
    char text[256];
    int kind, pid;
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

    if (n < 0)
        return -errno;
    text[n] = 0;
    if (sscanf(text, "QSIZE:%zu NOTIFY:%d SIGNO:%u NOTIFY_PID:%d", &ret->size, &kind, &ret->signal,
               &pid) != 4 ||
        ret->signal > 64)
        return -EPROTO;
    ret->notified = pid;
    ret->thread = kind == SIGEV_THREAD;
    return 0;
}

static int save_notification(struct kobj_dump *ctx, const struct open_file *file,
                             Crs__MqueueNotification **ret, struct crs_error *err)
{
    _cleanup_close_ int fd = -1;
    struct mqueue_status status;
    int r = file_reopen(file->dup_fd, O_RDONLY, &fd);

    if (r == 0 || (file->flags & O_ACCMODE) != O_WRONLY)
        r = mqueue_read_status(r == 0 ? fd : file->dup_fd, &status);
    if (r == 0)
        return mqueue_save_notification(ctx, file, &status, ret, err);
    errno = -r;
    return file_refuse_errno(file, err, "see whom it notifies of messages (its mode forbids)");
}

static bool is_first(const struct kobj_dump *ctx, const struct open_file *file)
{
    const struct open_file *f;

    for (size_t i = file_first_place(ctx, &file->st); (f = file_at_place(ctx, i, &file->st)); i++)
        if (f->id < file->id)
            return false;
    return true;
}

/* Without a name it comes back as the program's alone. */
static int check_alone(const struct kobj_dump *ctx, const struct open_file *file,
                       struct crs_error *err)
{
    if (file->st.st_nlink > 0)
        return 0;
    for (int writing = 0; writing < 2; writing++)
        if (pipe_find_holder(ctx, &file->st, writing))
            return file_refuse(file, err,
                               "it has no name any more, and a process that isn't part of the "
                               "checkpoint has it open",
                               "close it, or end that process, before the checkpoint");
    return 0;
}

static int save(struct kobj_dump *ctx, const struct open_file *file,
                const struct mq_attr *attributes, Crs__Mqueue *m, struct crs_error *err)
{
    int r = check_alone(ctx, file, err);

    if (r == 0 && attributes->mq_curmsgs > 0 && is_first(ctx, file))
        r = mqueue_save_messages(ctx, file, attributes, m, err);
    return r == 0 ? save_notification(ctx, file, &m->notification, err) : r;
}

void mqueue_record(Crs__Mqueue *m, const struct stat *st, const struct mq_attr *attributes)
{
    m->inode = st->st_ino;
    m->mode = st->st_mode & 07777;
    m->user = st->st_uid;
    m->group = st->st_gid;
    m->messages_max = attributes->mq_maxmsg;
    m->message_size = attributes->mq_msgsize;
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    _cleanup_mqueue_ Crs__Mqueue *m = malloc(sizeof(*m));
    struct mq_attr attributes;

    if (!m)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__mqueue__init(m);
    int r = mqueue_get_attributes(file->dup_fd, &attributes);
    if (r < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, -r, "fd %d (%s): can't read its attributes: %s",
                        file->fd, file->link, strerror(-r));
    const char *name = strrchr(file->link, '/'); /* also of one that was opened below /dev/mqueue */
    if (file->st.st_nlink > 0 && name && !(m->name = strdup(name)))
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    mqueue_record(m, &file->st, &attributes);
    r = save(ctx, file, &attributes, m, err);
    return r == 0 ? kobj_pack(&m->base, ret_payload, err) : r;
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

    if (mqueue_get_attributes(fd, &attributes) == 0 &&
        attributes.mq_maxmsg == (long)m->messages_max &&
        attributes.mq_msgsize == (long)m->message_size)
        return 0;
    return crs_fail(err, CRS_CANT_RESTART, EEXIST,
                    "the message queue %s here is of another size than the program's; remove it "
                    "(mq_unlink)",
                    m->name);
}

bool mqueue_is_good(const Crs__Mqueue *m)
{
    if ((m->name[0] && (m->name[0] != '/' || strchr(m->name + 1, '/'))) ||
        m->messages_max > INT_MAX || m->message_size > INT_MAX || m->n_messages > m->messages_max)
        return false;
    for (size_t i = 0; i < m->n_messages; i++)
        if (m->messages[i]->priority >= PRIORITIES || m->messages[i]->text.len > m->message_size)
            return false;
    return !m->notification || m->notification->signal <= 64;
}

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    Crs__Mqueue *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    if (!mqueue_is_good(m)) {
        r = crs_fail(err, CRS_DAMAGED, EINVAL,
                     "a message queue has no name, no size, or messages that don't fit");
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
int mqueue_make(const Crs__Mqueue *m)
{
    struct mq_attr attributes = {.mq_maxmsg = m->messages_max, .mq_msgsize = m->message_size};
    char own[64];

    snprintf(own, sizeof(own), "/crs-%d-%llu", (int)getpid(), (unsigned long long)now_us());
    const char *name = m->name[0] ? m->name : own;
    int fd = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attributes);
    if (fd >= 0 && (fchown(fd, m->user, m->group) < 0 || fchmod(fd, m->mode & 07777) < 0))
        errno = 0; /* as the system makes them */
    if (fd >= 0 && !m->name[0])
        mq_unlink(own);
    return fd;
}

/* Of a queue, the first of the files that are made; who made them is asked by its number. */
static const Crs__Mqueue *find_filled(const struct kobj_restore *ctx, uint64_t inode,
                                      Crs__Mqueue **ret_owner)
{
    for (size_t i = 0; i < ctx->files->n_files; i++) {
        const Crs__OpenFile *record = ctx->files->files[i];
        if (strcmp(record->kind, kobj_mqueue.name) != 0 || unpack(record, ret_owner, NULL) < 0)
            continue;
        if ((*ret_owner)->inode == inode && (*ret_owner)->n_messages > 0)
            return *ret_owner;
        crs__mqueue__free_unpacked(TAKE_PTR(*ret_owner), NULL);
    }
    return NULL;
}

static int fail_to_make(const Crs__Mqueue *m, int r, struct crs_error *err)
{
    return crs_fail(err, CRS_CANT_RESTART, -r,
                    "can't make a message queue of %u messages of %u bytes: %s (limits: "
                    "/proc/sys/fs/mqueue, ulimit -q)",
                    m->messages_max, m->message_size, strerror(-r));
}

/* *ret_there: it was there already, with that name. */
static int open_first(const Crs__Mqueue *m, int flags, bool *ret_there, int *ret_fd,
                      struct crs_error *err)
{
    *ret_there = false;
    if (m->name[0]) {
        *ret_fd = mq_open(m->name, flags);
        *ret_there = *ret_fd >= 0;
        if (*ret_fd < 0 && errno != ENOENT)
            return fail_to_make(m, -errno, err);
    }
    if (*ret_there)
        return 0;
    _cleanup_close_ int new = mqueue_make(m);
    int r = new < 0 ? -errno : file_reopen(new, flags, ret_fd);
    return r < 0 ? fail_to_make(m, r, err) : 0;
}

/* With its messages, whichever of its records has them. */
static int make_first(struct kobj_restore *ctx, const Crs__Mqueue *m, int flags, int *ret_fd,
                      struct crs_error *err)
{
    _cleanup_mqueue_ Crs__Mqueue *owner = NULL;
    const Crs__Mqueue *filled = find_filled(ctx, m->inode, &owner);
    _cleanup_close_ int fd = -1, writer = -1;
    bool there;
    int r = open_first(m, flags, &there, &fd, err);

    if (r == 0 && filled && there)
        r = mqueue_fill_again(ctx, fd, filled, err);
    else if (r == 0 && filled) {
        r = file_reopen(fd, O_WRONLY | O_NONBLOCK, &writer);
        r = r < 0 ? fail_to_make(m, r, err) : mqueue_fill(writer, filled, err);
    }
    if (r == 0)
        *ret_fd = TAKE_FD(fd);
    return r;
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    _cleanup_mqueue_ Crs__Mqueue *m = NULL;
    int fd = -1, flags = file_open_flags(record), r = unpack(record, &m, err);

    if (r < 0)
        return r;
    int made = find_made(ctx, m->inode);
    if (made < 0) {
        r = make_first(ctx, m, flags, &fd, err);
    } else {
        r = file_reopen(made, flags, &fd);
        if (r < 0)
            fail_to_make(m, r, err);
    }
    return r < 0 ? r : file_finish(fd, record, ret_fd, err);
}

static int connect(struct kobj_restore *ctx, const Crs__OpenFile *record, int fd,
                   struct crs_error *err)
{
    _cleanup_mqueue_ Crs__Mqueue *m = NULL;
    int r = unpack(record, &m, err);

    return r == 0 && m->notification ? mqueue_notify(ctx, record, m->notification, err) : r;
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    Crs__Mqueue *m;
    int r = unpack(record, &m, NULL);

    if (r < 0)
        return r;
    int n = snprintf(text, size, "of %u messages of %u bytes", m->messages_max, m->message_size);
    if (m->n_messages > 0 && n > 0 && (size_t)n < size)
        snprintf(text + n, size - n, ", %zu of them in it", m->n_messages);
    crs__mqueue__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_mqueue = {
    .name = "mqueue",
    .title = "message queue (mq_open)",
    .saved = "with conditions",
    .conditions =
        "with messages in it: refused while another program has it open, or a process is to be "
        "notified (mq_notify); a notification by a signal whose value (sigev_value) the program "
        "could see, or to a thread, is refused; one with a name that is there at the restart gets "
        "the saved messages, unless it has them or another program has it open",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = restore,
    .connect = connect,
    .describe = describe,
};
