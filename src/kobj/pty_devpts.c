/*
 * pty_devpts.c - new pseudoterminals, with the numbers that they had
 *
 * The kernel gives the lowest free number and can't be asked for another: those below are taken
 * for a moment. In a namespace of its own the program gets a /dev/pts of its own, where all numbers
 * are free; elsewhere a pair whose number somebody else has gets another one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <termios.h>
#include <unistd.h>

#include "kobj/file.h"
#include "kobj/pty.h"

#define TAKEN_LIMIT 1024 /* pairs to take for a moment */

static int open_one(int flags, unsigned *ret_number)
{
    int fd = posix_openpt((flags & (O_ACCMODE | O_NONBLOCK)) | O_NOCTTY | O_CLOEXEC);

    if (fd >= 0 && ioctl(fd, TIOCGPTN, ret_number) < 0)
        *ret_number = UINT32_MAX;
    return fd;
}

struct taken {
    ARRAY_OF(int) fds;
};

static void taken_clear(struct taken *taken)
{
    for (size_t i = 0; i < taken->fds.n; i++)
        close(taken->fds.items[i]);
    free(taken->fds.items);
}

/* -1: the number isn't free. */
static int open_number(uint32_t number, int flags)
{
    _cleanup_(taken_clear) struct taken taken = {0};

    while (taken.fds.n < TAKEN_LIMIT) {
        unsigned got;
        int fd = open_one(flags, &got);
        if (fd >= 0 && got == number)
            return fd;
        if (fd < 0)
            return -1;
        int *place = ARRAY_ADD(&taken.fds);
        if (!place || got > number) {
            close(fd);
            taken.fds.n -= !!place;
            return -1;
        }
        *place = fd;
    }
    return -1;
}

/* Does the program hold a terminal of the outside? That would lose its name. */
static bool has_outside_terminal(const struct kobj_restore *ctx)
{
    for (size_t i = 0; i < ctx->files->n_files; i++)
        if (strcmp(ctx->files->files[i]->kind, kobj_terminal.name) == 0 &&
            inherit_is_wanted(ctx->files->files[i]))
            return true;
    return false;
}

int pty_mount_own(void)
{
    if (mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
              "newinstance,ptmxmode=0666,mode=0600") < 0)
        return -errno;
    if (mount("/dev/pts/ptmx", "/dev/ptmx", NULL, MS_BIND, NULL) == 0)
        return 0;
    int errnum = errno;
    umount2("/dev/pts", MNT_DETACH);
    return -errnum;
}

/* Before the first is opened: masters of two instances don't go together. */
void pty_choose_devpts(struct kobj_restore *ctx)
{
    if (ctx->devpts_chosen || ctx->pids != CRS_PIDS_NAMESPACE)
        return;
    ctx->devpts_chosen = true;
    if (!has_outside_terminal(ctx) && pty_mount_own() < 0)
        errno = 0; /* then pairs get any number */
}

int pty_open_master(struct kobj_restore *ctx, uint32_t number, int flags, int *ret_fd,
                    struct crs_error *err)
{
    unsigned got;

    pty_choose_devpts(ctx);
    int fd = open_number(number, flags);
    if (fd < 0) {
        fd = open_one(flags, &got);
        if (fd < 0)
            return crs_fail_errno(err, CRS_CANT_RESTART, "can't make a pseudoterminal");
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "the pseudoterminal /dev/pts/%u is /dev/pts/%u now: the number is in use", number,
                  got);
    }
    *ret_fd = fd;
    return 0;
}
