/*
 * inherit.c - descriptors that a restarted program takes over from its restarter
 *
 * Terminals and pipes that lead outside of the snapshot can't come back. Where such a file
 * was descriptor 0, 1 or 2, the restarter's descriptor of that number takes its place, whatever
 * that is. Under other numbers a terminal is the restarter's terminal.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "kobj/file.h"
#include "pipe.pb-c.h"
#include "terminal.pb-c.h"

static bool is_outside_terminal(const Crs__OpenFile *record)
{
    Crs__Terminal *terminal;

    if (file_unpack(record, &crs__terminal__descriptor, (ProtobufCMessage **)&terminal, NULL) < 0)
        return false;
    bool own = terminal->pty_master || terminal->hung_up;
    crs__terminal__free_unpacked(terminal, NULL);
    return !own;
}

bool inherit_is_wanted(const Crs__OpenFile *record)
{
    Crs__Pipe *pipe;

    if (strcmp(record->kind, kobj_terminal.name) == 0)
        return is_outside_terminal(record);
    if (strcmp(record->kind, kobj_pipe.name) != 0)
        return false;
    if (file_unpack(record, &crs__pipe__descriptor, (ProtobufCMessage **)&pipe, NULL) < 0)
        return false;
    bool outside = pipe->outside;
    crs__pipe__free_unpacked(pipe, NULL);
    return outside;
}

/*
 * A duplicate shares the flags with the restarter and whoever gave it the descriptor. Terminals
 * and pipes can be opened anew instead, when the program wants other flags; a regular file can't,
 * because its position is meant to be shared.
 */
static int take(const Crs__OpenFile *record, int fd, int *ret_fd)
{
    const int own = O_ACCMODE | O_NONBLOCK;
    int now = fcntl(fd, F_GETFL);
    struct stat st;

    if (now < 0 || fstat(fd, &st) < 0)
        return -errno;
    if ((now & own) != (int)(record->flags & own) && (S_ISFIFO(st.st_mode) || isatty(fd))) {
        int mode = S_ISFIFO(st.st_mode) ? now : (int)record->flags;
        int flags = (mode & O_ACCMODE) | (record->flags & (O_NONBLOCK | O_APPEND));
        if (file_reopen(fd, flags, ret_fd) == 0)
            return 0;
    }
    *ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return *ret_fd < 0 ? -errno : 0;
}

int inherit_number(const Crs__OpenFile *record, int number, int *ret_fd, struct crs_error *err)
{
    int r = take(record, number, ret_fd);

    if (r < 0)
        return crs_fail(err, CRS_CANT_RESTART, -r,
                        "fd %d of the program was %s and takes the restarter's fd %d, which is "
                        "closed; open it (to /dev/null, say)",
                        number, record->name, number);
    return 0;
}

static int any_terminal(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd)
{
    for (int n = 0; n <= 2; n++)
        if (isatty(n) && file_has_number(ctx, record, n) && take(record, n, ret_fd) == 0)
            return 0;
    int mode = record->flags & (O_ACCMODE | O_NONBLOCK | O_APPEND);
    for (int n = 0; n <= 2; n++) /* a description of its own, as it was */
        if (isatty(n) && (file_reopen(n, mode, ret_fd) == 0 || take(record, n, ret_fd) == 0))
            return 0;
    int fd = open("/dev/tty", (record->flags & (O_ACCMODE | O_NONBLOCK)) | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

int inherit_any(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                struct crs_error *err)
{
    if (strcmp(record->kind, kobj_terminal.name) == 0 && any_terminal(ctx, record, ret_fd) == 0)
        return 0;
    for (int n = 0; n <= 2; n++)
        if (file_has_number(ctx, record, n) && take(record, n, ret_fd) == 0)
            return 0;
    return crs_fail(err, CRS_CANT_RESTART, ENXIO,
                    "the program has %s open and the restarter has nothing to take its place: run "
                    "the restart in a terminal",
                    record->name);
}
