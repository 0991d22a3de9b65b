/* pipe.c - pipes inside the program, with the data in them; pipes to others as 0, 1 and 2, or as it
 * is asked for */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kobj/pipe.h"

static bool is_mode(const struct open_file *file, unsigned mode)
{
    unsigned own = file->flags & O_ACCMODE;

    return S_ISFIFO(file->st.st_mode) && (own == mode || own == O_RDWR);
}

static bool match(const struct open_file *file)
{
    return S_ISFIFO(file->st.st_mode) && strncmp(file->link, "pipe:", 5) == 0;
}

/* Those of lower numbers come first. */
static void take_first(const struct open_file **place, const struct open_file *file)
{
    if (!*place || file < *place)
        *place = file;
}

struct pipe_ends pipe_find_ends(const struct kobj_dump *ctx, const struct open_file *file)
{
    struct pipe_ends ends = {0};
    const struct open_file *first = NULL, *f;

    for (size_t i = file_first_place(ctx, &file->st); (f = file_at_place(ctx, i, &file->st)); i++) {
        if (!S_ISFIFO(f->st.st_mode) || (f->flags & O_PATH))
            continue;
        take_first(&first, f);
        if (is_mode(f, O_RDONLY))
            take_first(&ends.reader, f);
        if (is_mode(f, O_WRONLY))
            take_first(&ends.writer, f);
        if (is_mode(f, O_WRONLY) && (f->flags & O_DIRECT))
            ends.packets = true;
    }
    ends.first = first == file;
    return ends;
}

static bool is_broken(const struct open_file *file)
{
    struct pollfd p = {.fd = file->dup_fd};

    return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));
}

/* The other end isn't in the snapshot, but somewhere. */
static int dump_outside(struct kobj_dump *ctx, struct open_file *file, bool writing, Crs__Pipe *m,
                        struct crs_error *err)
{
    int fd = file_lowest_number(ctx, file);

    if (fd > 2 && ctx->pipes_policy == CRS_PIPES_REFUSE)
        return pipe_refuse_outside(ctx, file, writing, err);
    m->outside = true;
    if (fd > 2) {
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "fd %d is a pipe to a program that isn't part of the checkpoint: a restart has "
                  "to name what takes its place (--fd %d=...), and data on its way is lost",
                  fd, fd);
        return 0;
    }
    kobj_warn(ctx->progress, ctx->progress_arg,
              "fd %d is a pipe to a program that isn't part of the checkpoint: after a restart it "
              "is the restarter's fd %d, and data on its way is lost",
              fd, fd);
    return 0;
}

int pipe_pack(Crs__Pipe *m, int r, struct bytes *ret_payload, struct crs_error *err)
{
    if (r == 0)
        r = kobj_pack(&m->base, ret_payload, err);
    if (m->contents)
        crs__pipe_contents__free_unpacked(m->contents, NULL);
    return r;
}

int pipe_unpack(const Crs__OpenFile *record, Crs__Pipe **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__pipe__descriptor, (ProtobufCMessage **)ret, err);
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    struct pipe_ends ends = pipe_find_ends(ctx, file);
    Crs__Pipe m = CRS__PIPE__INIT;
    int r = 0;

    m.inode = file->st.st_ino;
    if ((!ends.reader || !ends.writer) && !is_broken(file) &&
        !pipe_ends_with_tool(ctx, &file->st, ends.reader))
        r = dump_outside(ctx, file, ends.reader, &m, err);
    else if (ends.first && ends.reader)
        r = pipe_dump_contents(ends.reader, ends.packets, &m.contents, err);
    return pipe_pack(&m, r, ret_payload, err);
}

/* ---- restart ---- */

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    Crs__Pipe *m;
    int fd, r = pipe_unpack(record, &m, err);

    if (r < 0)
        return r;
    if (m->outside && !inherit_is_given(ctx, record, &r, err)) {
        r = inherit_any(ctx, record, &fd, err);
        if (r == 0)
            close(fd);
    }
    crs__pipe__free_unpacked(m, NULL);
    return r;
}

static int make(struct kobj_restore *ctx, uint64_t inode, struct pipe_made **ret,
                struct crs_error *err)
{
    Crs__Pipe *owner = NULL;
    int ends[2], r = 0;
    struct pipe_made *p = pipe_add_made(ctx, inode);

    if (!p)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (pipe2(ends, O_CLOEXEC) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't make a pipe");
    p->reader = ends[0];
    p->writer = ends[1];
    const Crs__PipeContents *contents = pipe_find_contents(ctx, inode, &owner);
    if (contents)
        r = pipe_fill(p->writer, contents, err);
    if (owner)
        crs__pipe__free_unpacked(owner, NULL);
    *ret = p;
    return r;
}

/* The ends as they are first, because that is how pipe(2) leaves them; then opened anew. */
static int take_end(struct pipe_made *p, unsigned mode, int *ret_fd)
{
    bool *gave = mode == O_RDONLY ? &p->gave_reader : &p->gave_writer;
    int end = mode == O_RDONLY ? p->reader : p->writer;

    if (mode == O_RDWR || *gave)
        return file_reopen(end, mode | O_NONBLOCK, ret_fd);
    *gave = true;
    *ret_fd = fcntl(end, F_DUPFD_CLOEXEC, 3);
    return *ret_fd < 0 ? -errno : 0;
}

int pipe_restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                 struct crs_error *err)
{
    Crs__Pipe *m;
    int fd = -1, r = pipe_unpack(record, &m, err);

    if (r < 0)
        return r;
    bool outside = m->outside;
    struct pipe_made *p = pipe_find_made(ctx, m->inode);
    if (!outside && !p)
        r = make(ctx, m->inode, &p, err);
    crs__pipe__free_unpacked(m, NULL);
    if (r < 0)
        return r;
    if (outside)
        return inherit_any(ctx, record, ret_fd, err);
    r = take_end(p, record->flags & O_ACCMODE, &fd);
    if (r < 0)
        return crs_fail(err, CRS_CANT_RESTART, -r, "can't open an end of the pipe: %s",
                        strerror(-r));
    return file_finish(fd, record, ret_fd, err);
}

int pipe_describe(const Crs__OpenFile *record, char *text, size_t size)
{
    static const char *const ends[] = {"reading end", "writing end", "both ends", ""};
    uint64_t waiting = 0;
    Crs__Pipe *m;
    int r = pipe_unpack(record, &m, NULL);

    if (r < 0)
        return r;
    for (size_t i = 0; m->contents && i < m->contents->n_pieces; i++)
        waiting += m->contents->pieces[i].len;
    int n = snprintf(text, size, "%s of pipe %" PRIu64, ends[record->flags & O_ACCMODE], m->inode);
    if (m->outside && (size_t)n < size)
        snprintf(text + n, size - n, ", to another program");
    if (m->contents && (size_t)n < size)
        snprintf(text + n, size - n, ", %" PRIu64 " bytes in it", waiting);
    crs__pipe__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_pipe = {
    .name = "pipe",
    .title = "pipe",
    .saved = "with conditions",
    .conditions = "both ends are inside the program, or the other end is closed; a pipe to another "
                  "program only as fd 0, 1 or 2, where the restarter's takes its place, or with "
                  "--pipes=give, where the restart names what does (--fd)",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = pipe_restore,
    .describe = pipe_describe,
};
