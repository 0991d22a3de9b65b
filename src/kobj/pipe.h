/*
 * pipe.h - what pipes and FIFOs share
 *
 * At a restart, a pipe is made with its data by the first of its ends; both ends are kept open
 * until all files are made. An end that no file took is then closed, so a pipe whose other end was
 * gone is broken again.
 */
#ifndef KOBJ_PIPE_H
#define KOBJ_PIPE_H

#include "kobj/file.h"
#include "pipe.pb-c.h"

/* Which ends of the pipe are held by files of the snapshot. */
struct pipe_ends {
    const struct open_file *reader, *writer; /* NULL: none */
    bool first;   /* the file asked for is the first of them, the one that carries the contents */
    bool packets; /* somebody writes packets (O_DIRECT) */
};
struct pipe_ends pipe_find_ends(const struct kobj_dump *ctx, const struct open_file *file);

/* The data, without taking it, from a reading descriptor of ours. */
int pipe_dump_contents(const struct open_file *reader, bool packets, Crs__PipeContents **ret,
                       struct crs_error *err);
/* Set the size and write the data; `fd` writes. */
int pipe_fill(int fd, const Crs__PipeContents *contents, struct crs_error *err);

/* A process other than ours that holds the file of that device and inode open for reading (or
 * writing): its PID; 0: none that we may look at. */
pid_t pipe_find_holder(const struct kobj_dump *ctx, const struct stat *st, bool writing);

/* Is the reading (or writing) end held by the tool alone, which belongs to the tree and is saved as
 * a process that has ended? */
bool pipe_ends_with_tool(const struct kobj_dump *ctx, const struct stat *st, bool writing);

/* The other end is held outside of the snapshot. */
int pipe_refuse_outside(const struct kobj_dump *ctx, const struct open_file *file, bool writing,
                        struct crs_error *err);

/* For both kinds. The end of a dump: the record, where r is 0; and its contents are freed. Returns
 * r, or what went wrong. */
int pipe_pack(Crs__Pipe *m, int r, struct bytes *ret_payload, struct crs_error *err);
int pipe_unpack(const Crs__OpenFile *record, Crs__Pipe **ret, struct crs_error *err);

/* A pipe being restored. */
struct pipe_made {
    struct pipe_made *next;
    uint64_t inode;
    int reader, writer;            /* kept until the end; -1: none needed */
    bool gave_reader, gave_writer; /* as they are; later ones are opened anew */
};
struct pipe_made *pipe_find_made(struct kobj_restore *ctx, uint64_t inode);
struct pipe_made *pipe_add_made(struct kobj_restore *ctx, uint64_t inode);
/* The contents, from whichever record of the pipe has them. NULL: there are none. To be freed
 * with the message *ret_owner. */
const Crs__PipeContents *pipe_find_contents(struct kobj_restore *ctx, uint64_t inode,
                                            Crs__Pipe **ret_owner);

int pipe_describe(const Crs__OpenFile *record, char *text, size_t size);
/* Kind pipe: make it as a pipe without a name. */
int pipe_restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                 struct crs_error *err);

#endif
