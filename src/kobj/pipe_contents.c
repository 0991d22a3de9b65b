/* pipe_contents.c - the data in a pipe: taken by tee(2), which leaves it there */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kobj/pipe.h"

#define PIECE_SIZE 4096u /* a packet is never longer */

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

/* A pipe of ours with the same data, of which there is some: *ret is its reading end. */
static int copy_pipe(const struct open_file *reader, int size, int waiting, int *ret,
                     struct crs_error *err)
{
    _cleanup_close_ int from = -1, to = -1;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return file_refuse_errno(reader, err, "make a pipe to copy it");
    from = ends[0];
    to = ends[1];
    /* An unprivileged user's pipe may not grow to a size that was allowed to somebody else; then
     * tee() shows whether it matters. */
    if (fcntl(to, F_GETPIPE_SZ) < size)
        fcntl(to, F_SETPIPE_SZ, size);
    ssize_t n = tee(reader->dup_fd, to, INT_MAX, SPLICE_F_NONBLOCK);
    if (n < 0)
        return file_refuse_errno(reader, err, "copy the data in the pipe");
    if (n < waiting)
        return file_refuse(reader, err,
                           "only a part of its data can be copied, because pipes of this user may "
                           "not be that large",
                           "raise /proc/sys/fs/pipe-max-size");
    *ret = TAKE_FD(from);
    return 0;
}

static int add_piece(Crs__PipeContents *contents, const uint8_t *data, size_t size)
{
    ProtobufCBinaryData *pieces =
        realloc(contents->pieces, (contents->n_pieces + 1) * sizeof(*pieces));

    if (!pieces)
        return -ENOMEM;
    contents->pieces = pieces;
    uint8_t *copy = malloc(size);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, data, size);
    pieces[contents->n_pieces++] = (ProtobufCBinaryData){.len = size, .data = copy};
    return 0;
}

/* A read ends with a packet; one that ends early with more behind it shows that it was one. */
static int read_pieces(const struct open_file *reader, int fd, Crs__PipeContents *contents,
                       struct crs_error *err)
{
    uint8_t piece[PIECE_SIZE];
    bool early = false;

    for (;;) {
        ssize_t n = read(fd, piece, sizeof(piece));
        if (n == 0) /* the copy's writing end is closed */
            return 0;
        if (n < 0)
            return file_refuse_errno(reader, err, "read the copy of the pipe");
        if (early)
            contents->packets = true;
        early = n < (ssize_t)sizeof(piece);
        if (add_piece(contents, piece, n) < 0)
            return out_of_memory(err);
    }
}

int pipe_dump_contents(const struct open_file *reader, bool packets, Crs__PipeContents **ret,
                       struct crs_error *err)
{
    _cleanup_close_ int copy = -1;
    int waiting = 0, r = 0, size = fcntl(reader->dup_fd, F_GETPIPE_SZ);

    if (size < 0 || ioctl(reader->dup_fd, FIONREAD, &waiting) < 0)
        return file_refuse_errno(reader, err, "read the size of the pipe");
    if (waiting > 0)
        r = copy_pipe(reader, size, waiting, &copy, err);
    if (r < 0)
        return r;
    Crs__PipeContents *contents = malloc(sizeof(*contents));
    if (!contents)
        return out_of_memory(err);
    crs__pipe_contents__init(contents);
    contents->size = size;
    contents->packets = packets;
    r = waiting > 0 ? read_pieces(reader, copy, contents, err) : 0;
    if (r < 0) {
        crs__pipe_contents__free_unpacked(contents, NULL);
        return r;
    }
    *ret = contents;
    return 0;
}

static int write_pieces(int fd, const Crs__PipeContents *contents, struct crs_error *err)
{
    for (size_t i = 0; i < contents->n_pieces; i++) {
        const ProtobufCBinaryData *piece = &contents->pieces[i];
        if (write(fd, piece->data, piece->len) == (ssize_t)piece->len)
            continue;
        return crs_fail(err, CRS_CANT_RESTART, ENOSPC,
                        "the data in the pipe doesn't fit: pipes of this user may not have %u "
                        "bytes; raise /proc/sys/fs/pipe-max-size or pipe-user-pages-soft",
                        contents->size);
    }
    return 0;
}

int pipe_fill(int fd, const Crs__PipeContents *contents, struct crs_error *err)
{
    int flags = fcntl(fd, F_GETFL), r;

    /* Without the right to a pipe of that size the data may fit all the same. */
    if (contents->size > INT_MAX)
        return crs_fail(err, CRS_DAMAGED, ERANGE, "the size of a pipe is out of range");
    if (fcntl(fd, F_GETPIPE_SZ) != (int)contents->size)
        fcntl(fd, F_SETPIPE_SZ, (int)contents->size);
    if (fcntl(fd, F_SETFL, O_NONBLOCK | (contents->packets ? O_DIRECT : 0)) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't make a pipe of packets");
    r = write_pieces(fd, contents, err);
    fcntl(fd, F_SETFL, flags & (O_NONBLOCK | O_DIRECT));
    return r;
}
