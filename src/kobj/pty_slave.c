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
#define TTY_MAJOR         5
#define TTY_MINOR         0
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

bool pty_is_controlling(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(TTY_MAJOR, TTY_MINOR);
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

/*
 * Is /dev/tty, as this holder opened it, the slave behind that master? The numbers of slaves are
 * those of an instance of devpts; a holder in the terminal's own session tells the right one.
 */
static bool is_controlling_of(const struct open_file *file, int master_fd, const struct stat *slave)
{
    unsigned device; /* in the kernel's encoding */
    pid_t session;

    if (ioctl(file->dup_fd, TIOCGDEV, &device) < 0 ||
        makedev(device >> 8 & 0xfff, (device & 0xff) | (device >> 12 & 0xfff00)) != slave->st_rdev)
        return false;
    return ioctl(master_fd, TIOCGSID, &session) < 0 || session == getsid(file->holder->pid);
}

static bool is_slave_of(const struct open_file *file, int master_fd, const struct stat *slave)
{
    if (file->dup_fd < 0 || (file->flags & O_PATH))
        return false;
    return pty_is_controlling(&file->st) ? is_controlling_of(file, master_fd, slave)
                                         : pty_is_slave(&file->st) && same(&file->st, slave);
}

const struct open_file *pty_find_master(const struct kobj_dump *ctx, const struct open_file *slave)
{
    for (size_t i = 0; i < ctx->files.n; i++) {
        const struct open_file *f = &ctx->files.items[i];
        struct stat st;
        if (f->dup_fd >= 0 && !(f->flags & O_PATH) && pty_is_master(&f->st) &&
            pty_stat_slave(f->dup_fd, &st) == 0 && is_slave_of(slave, f->dup_fd, &st))
            return f;
    }
    return NULL;
}

const struct open_file *pty_find_slave(const struct kobj_dump *ctx, const struct open_file *master,
                                       const struct stat *slave)
{
    for (size_t i = 0; i < ctx->files.n; i++)
        if (is_slave_of(&ctx->files.items[i], master->dup_fd, slave))
            return &ctx->files.items[i];
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
    int fd, r = file_restore(ctx, master, err);
    if (r == 0 && terminal->controlling && pty_open_controlling(ctx, record, master, &fd) == 0)
        return file_finish(fd, record, ret_fd, err);
    return r < 0 ? r : open_peer(ctx->file_fds[master->id - 1], record, ret_fd, err);
}
