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

/* ---- what the restarter names (crs restart --fd) ---- */

static const struct kobj_given *find_given(const struct kobj_restore *ctx,
                                           const Crs__OpenFile *record)
{
    for (size_t i = 0; i < ctx->n_given; i++)
        if (file_has_number(ctx, record, ctx->given[i].number))
            return &ctx->given[i];
    return NULL;
}

static int take_given(const Crs__OpenFile *record, const struct kobj_given *given, int *ret_fd,
                      struct crs_error *err)
{
    int flags = record->flags & (O_ACCMODE | O_NONBLOCK | O_APPEND);

    if (given->fd >= 0) {
        int r = take(record, given->fd, ret_fd);
        return r < 0 ? crs_fail(err, CRS_CANT_RESTART, -r, "can't give the program its fd %u: %s",
                                given->number, strerror(-r))
                     : 0;
    }
    if ((flags & O_ACCMODE) != O_RDONLY)
        flags |= O_CREAT;
    /* Not to wait for the other end of a FIFO; the program's own flags are set later. */
    int fd = open(given->path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
    if (fd < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't open %s for the program's fd %u",
                              given->path, given->number);
    if (!(flags & O_NONBLOCK))
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    *ret_fd = fd;
    return 0;
}

static bool can_do(int have, int wanted)
{
    return have == O_RDWR || have == wanted;
}

bool inherit_is_given(const struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_r,
                      struct crs_error *err)
{
    const struct kobj_given *given = find_given(ctx, record);
    int wanted = record->flags & O_ACCMODE;

    *ret_r = 0;
    if (!given)
        return false;
    int now = given->fd < 0 ? O_RDWR : fcntl(given->fd, F_GETFL);
    if (now < 0 || !can_do(now & O_ACCMODE, wanted))
        *ret_r =
            crs_fail(err, CRS_USAGE, EBADF,
                     "the program's fd %u is for %s, which what is given for it isn't open for",
                     given->number, wanted == O_RDONLY ? "reading" : "writing");
    else if (given->fd < 0 && wanted == O_RDONLY && access(given->path, R_OK) < 0)
        *ret_r = crs_fail_errno(err, CRS_CANT_RESTART, "can't open %s for the program's fd %u",
                                given->path, given->number);
    return true;
}

int inherit_check_given(const struct kobj_restore *ctx, struct crs_error *err)
{
    for (size_t i = 0; i < ctx->n_given; i++) {
        bool found = false;
        for (size_t k = 0; !found && k < ctx->files->n_files; k++)
            found = file_has_number(ctx, ctx->files->files[k], ctx->given[i].number) &&
                    inherit_is_wanted(ctx->files->files[k]);
        if (!found)
            return crs_fail(err, CRS_USAGE, EINVAL,
                            "the program's fd %u isn't a pipe or a terminal that leads outside of "
                            "the snapshot, so nothing can be given for it",
                            ctx->given[i].number);
    }
    return 0;
}

/* ---- what it has under the same number, or in general ---- */

int inherit_number(struct kobj_restore *ctx, const Crs__OpenFile *record, int number, int *ret_fd,
                   struct crs_error *err)
{
    const struct kobj_given *given = find_given(ctx, record);

    if (given)
        return take_given(record, given, ret_fd, err);
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

static int lowest_number(const struct kobj_restore *ctx, const Crs__OpenFile *record)
{
    uint32_t lowest = INT32_MAX;

    for (size_t i = 0; i < ctx->tree->n_processes; i++)
        for (size_t k = 0; k < ctx->tree->processes[i]->n_descriptors; k++) {
            const Crs__Descriptor *d = ctx->tree->processes[i]->descriptors[k];
            if (d->file == record->id && d->fd < lowest)
                lowest = d->fd;
        }
    return (int)lowest;
}

/* Was the restarter given that number by who started it, for this use? What it has opened itself is
 * closed when it executes another program. */
static bool has_own(int number, int wanted)
{
    int flags = fcntl(number, F_GETFD);

    return flags >= 0 && !(flags & FD_CLOEXEC) &&
           can_do(fcntl(number, F_GETFL) & O_ACCMODE, wanted);
}

/* What the restarter has under one of the numbers; else its standard input or output. */
static int take_own(const struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd)
{
    int wanted = record->flags & O_ACCMODE;
    int other = wanted == O_RDONLY ? STDIN_FILENO : STDOUT_FILENO;

    for (size_t i = 0; i < ctx->tree->n_processes; i++)
        for (size_t k = 0; k < ctx->tree->processes[i]->n_descriptors; k++) {
            const Crs__Descriptor *d = ctx->tree->processes[i]->descriptors[k];
            if (d->file == record->id && has_own((int)d->fd, wanted))
                return take(record, (int)d->fd, ret_fd);
        }
    return has_own(other, wanted) ? take(record, other, ret_fd) : -EBADF;
}

int inherit_any(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                struct crs_error *err)
{
    const struct kobj_given *given = find_given(ctx, record);

    if (given)
        return take_given(record, given, ret_fd, err);
    if (strcmp(record->kind, kobj_terminal.name) == 0 && any_terminal(ctx, record, ret_fd) == 0)
        return 0;
    for (int n = 0; n <= 2; n++)
        if (file_has_number(ctx, record, n) && take(record, n, ret_fd) == 0)
            return 0;
    if (ctx->gives_own && take_own(ctx, record, ret_fd) == 0)
        return 0;
    if (strcmp(record->kind, kobj_pipe.name) == 0)
        return crs_fail(err, CRS_CANT_RESTART, ENXIO,
                        "fd %d of the program was %s, which led outside of the snapshot: say what "
                        "takes its place (--fd %d=...)",
                        lowest_number(ctx, record), record->name, lowest_number(ctx, record));
    return crs_fail(err, CRS_CANT_RESTART, ENXIO,
                    "the program has %s open and the restarter has nothing to take its place: run "
                    "the restart in a terminal",
                    record->name);
}
