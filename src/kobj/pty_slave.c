/* pty_slave.c - slaves of pseudoterminals that are the program's own: found, opened again */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "kobj/file.h"
#include "kobj/pty.h"

#define PTMX_MAJOR        5
#define PTMX_MINOR        2
#define SLAVE_MAJOR_FIRST 136
#define SLAVE_MAJOR_LAST  143

bool pty_is_master(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(PTMX_MAJOR, PTMX_MINOR);
}

bool pty_is_slave(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && major(st->st_rdev) >= SLAVE_MAJOR_FIRST &&
           major(st->st_rdev) <= SLAVE_MAJOR_LAST;
}

/* With O_PATH the slave isn't opened: that would show at the master, and fail while it's locked. */
int pty_stat_slave(int master_fd, struct stat *ret)
{
    _cleanup_close_ int fd = ioctl(master_fd, TIOCGPTPEER, O_PATH | O_NOCTTY | O_CLOEXEC);

    return fd < 0 || fstat(fd, ret) < 0 ? -errno : 0;
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_rdev == b->st_rdev && a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

const struct open_file *pty_find_master(const struct kobj_dump *ctx, const struct stat *slave)
{
    for (size_t i = 0; i < ctx->files.n; i++) {
        const struct open_file *f = &ctx->files.items[i];
        struct stat st;
        if (f->dup_fd >= 0 && !(f->flags & O_PATH) && pty_is_master(&f->st) &&
            pty_stat_slave(f->dup_fd, &st) == 0 && same(&st, slave))
            return f;
    }
    return NULL;
}

const struct open_file *pty_find_slave(const struct kobj_dump *ctx, const struct stat *slave)
{
    for (size_t i = 0; i < ctx->files.n; i++) {
        const struct open_file *f = &ctx->files.items[i];
        if (pty_is_slave(&f->st) && !(f->flags & O_PATH) && same(&f->st, slave))
            return f;
    }
    return NULL;
}

/* ---- restart ---- */

/* Unlike open(2), this would keep O_CLOEXEC as a flag of the description. */
static int open_peer(int master, const Crs__OpenFile *record, int *ret_fd, struct crs_error *err)
{
    int fd = ioctl(master, TIOCGPTPEER, file_open_flags(record) & ~O_CLOEXEC);

    if (fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't open a pseudoterminal's slave");
    return file_finish(fd, record, ret_fd, err);
}

/* Its master is closed at once. */
static int make_hung_up(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                        struct crs_error *err)
{
    _cleanup_close_ int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (master < 0 || unlockpt(master) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't make a pseudoterminal");
    return open_peer(master, record, ret_fd, err);
}

int pty_restore_slave(struct kobj_restore *ctx, const Crs__OpenFile *record,
                      const Crs__Terminal *terminal, int *ret_fd, struct crs_error *err)
{
    const Crs__OpenFile *master = file_find(ctx, terminal->pty_master);

    if (terminal->hung_up)
        return make_hung_up(ctx, record, ret_fd, err);
    if (!master || strcmp(master->kind, kobj_pty_master.name) != 0)
        return crs_fail(err, CRS_DAMAGED, EINVAL, "its master is missing");
    int r = file_restore(ctx, master, err);
    return r < 0 ? r : open_peer(ctx->file_fds[master->id - 1], record, ret_fd, err);
}
