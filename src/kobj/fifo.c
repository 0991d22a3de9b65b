/* fifo.c - named FIFOs inside the program, with the data in them */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kobj/pipe.h"

static bool match(const struct open_file *file)
{
    return S_ISFIFO(file->st.st_mode) && file_has_path(file);
}

/*
 * Where one end isn't in the snapshot it must be nowhere. A hang-up or an error says so; a reader
 * that has never met a writer has no hang-up, there the processes that we may see are asked.
 */
static int check_alone(struct kobj_dump *ctx, struct open_file *file, const struct pipe_ends *ends,
                       Crs__Pipe *m, struct crs_error *err)
{
    struct pollfd p = {.fd = file->dup_fd};

    if (ends->reader && ends->writer)
        return 0;
    if (poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)))
        return 0;
    if (!ends->reader || pipe_find_holder(ctx, &file->st, true))
        return pipe_refuse_outside(ctx, file, ends->reader, err);
    m->no_writer_yet = true;
    return 0;
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    struct pipe_ends ends = pipe_find_ends(ctx, file);
    _cleanup_free_ char *path = NULL;
    Crs__Pipe m = CRS__PIPE__INIT;
    int r = 0;

    m.inode = file->st.st_ino;
    if (!file_is_deleted(file)) { /* else it comes back as a pipe without a name */
        r = file_path(file, &path, err);
        if (path)
            m.path = path;
    }
    if (r == 0)
        r = check_alone(ctx, file, &ends, &m, err);
    if (r == 0 && ends.first && ends.reader && !m.no_writer_yet)
        r = pipe_dump_contents(ends.reader, ends.packets, &m.contents, err);
    return pipe_pack(&m, r, ret_payload, err);
}

/* ---- restart ---- */

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    Crs__Pipe *m;
    int r = pipe_unpack(record, &m, err);

    if (r < 0)
        return r;
    if (m->path[0]) {
        r = file_check_path(m->path, S_IFIFO, NULL, err);
        if (r == 0 && access(m->path, R_OK | W_OK) < 0)
            r = crs_fail_errno(err, CRS_CANT_RESTART, "can't open the FIFO %s", m->path);
    }
    crs__pipe__free_unpacked(m, NULL);
    return r;
}

/* While it is made it is held open for both, so that no open waits and the data stays. */
static int hold(struct kobj_restore *ctx, const Crs__Pipe *m, struct crs_error *err)
{
    Crs__Pipe *owner = NULL;
    struct pipe_made *p = pipe_add_made(ctx, m->inode);
    int r = 0;

    if (!p)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    p->writer = open(m->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (p->writer < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't open the FIFO %s", m->path);
    const Crs__PipeContents *contents = pipe_find_contents(ctx, m->inode, &owner);
    if (contents)
        r = pipe_fill(p->writer, contents, err);
    if (owner)
        crs__pipe__free_unpacked(owner, NULL);
    return r;
}

static int open_named(struct kobj_restore *ctx, const Crs__OpenFile *record, const Crs__Pipe *m,
                      int *ret_fd, struct crs_error *err)
{
    int r = 0;

    if (!m->no_writer_yet && !pipe_find_made(ctx, m->inode))
        r = hold(ctx, m, err);
    if (r < 0)
        return r;
    int fd = open(m->path, file_open_flags(record) | O_NONBLOCK);
    if (fd < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't open the FIFO %s", m->path);
    return file_finish(fd, record, ret_fd, err);
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    Crs__Pipe *m;
    int r = pipe_unpack(record, &m, err);

    if (r < 0)
        return r;
    r = m->path[0] ? open_named(ctx, record, m, ret_fd, err)
                   : pipe_restore(ctx, record, ret_fd, err);
    crs__pipe__free_unpacked(m, NULL);
    return r;
}

const struct kobj_file_kind kobj_fifo = {
    .name = "fifo",
    .title = "named FIFO",
    .saved = "with conditions",
    .conditions = "nobody outside of the program has it open; it must be there at the restart",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = restore,
    .describe = pipe_describe,
    .paths = {&crs__pipe__descriptor, "path"},
};
