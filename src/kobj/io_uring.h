/*
 * io_uring.h - an io_uring: found, found out about, made; inside of io_uring*.c
 *
 * The kernel keeps counters of its own of what it has taken from the one ring and put into the
 * other, which have to agree with those in the program's memory. They begin with 0 in a new ring:
 * as many requests that do nothing bring them to where they were.
 */
#ifndef KOBJ_IO_URING_H
#define KOBJ_IO_URING_H

#include <linux/io_uring.h>
#include "io_uring.pb-c.h"
#include "kobj/file.h"
#include "proc/uring.h"

/* Not in older headers. */
#define URING_SETUP_SUBMIT_ALL     (1u << 7)
#define URING_SETUP_TASKRUN_FLAG   (1u << 9)
#define URING_SETUP_SQE128         (1u << 10)
#define URING_SETUP_CQE32          (1u << 11)
#define URING_SETUP_SINGLE_ISSUER  (1u << 12)
#define URING_SETUP_DEFER_TASKRUN  (1u << 13)
#define URING_SETUP_NO_SQARRAY     (1u << 16)
#define URING_REGISTER_RING_FDS    20
#define URING_REGISTER_PBUF_STATUS 26
#define URING_ENTER_REGISTERED     (1u << 4)
#define URING_SQE_SKIP             (1u << 6) /* IOSQE_CQE_SKIP_SUCCESS */

/* What the kernel lays out differently. */
#define URING_LAYOUT_FLAGS (URING_SETUP_SQE128 | URING_SETUP_CQE32 | URING_SETUP_NO_SQARRAY)
/* What a record may have. */
#define URING_SAVED_FLAGS                                                                          \
    (IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF | URING_LAYOUT_FLAGS | URING_SETUP_SINGLE_ISSUER |  \
     URING_SETUP_DEFER_TASKRUN)

#define URING_MAX_SQ      32768u
#define URING_MAX_CQ      65536u
#define URING_MAX_BUFFERS 1024u
#define URING_MAX_PLACES  16u /* rings that are registered with a thread */
#define URING_N_OFFSETS   14u

/* ---- where things are (io_uring_map.c) ---- */

struct uring_layout {
    struct io_uring_params params; /* of a ring like it */
    size_t ring_size, sqes_size, sqe_size, cqe_size;
    bool has_array;
};

/* A ring in our own memory. */
struct uring_map {
    struct uring_layout layout;
    uint8_t *ring, *sqes; /* NULL: not mapped */
};

/* How this kernel lays out such a ring: one is made, and closed. -errno. */
int uring_layout_get(uint32_t sq_entries, uint32_t cq_entries, uint32_t flags,
                     struct uring_layout *ret);
/* What the kernel told when it made one. */
void uring_layout_of(const struct io_uring_params *params, struct uring_layout *ret);
/* The offsets as they are in the record. */
void uring_layout_offsets(const struct uring_layout *layout, uint32_t ret[URING_N_OFFSETS]);
/* Map the ring `fd`: all of it, or without its requests. -errno. */
int uring_map_ring(int fd, const struct uring_layout *layout, struct uring_map *ret);
int uring_map(int fd, const struct uring_layout *layout, struct uring_map *ret);
void uring_unmap(struct uring_map *map);
#define _cleanup_uring_map_ __attribute__((cleanup(uring_unmap)))

/* A word of the ring that the kernel reads and writes, too. */
static inline _Atomic uint32_t *uring_word(const struct uring_map *map, uint32_t offset)
{
    return (_Atomic uint32_t *)(map->ring + offset);
}

/* ---- what it is about (io_uring_state.c) ---- */

/* What the kernel tells of our descriptor `fd` of it. It tells nothing while the ring is in use: it
 * is asked again a few times. */
int uring_read(int fd, struct proc_uring *ret, struct crs_error *err);
/* Requests that the kernel has taken and not answered; negative: there were more answers. */
int32_t uring_in_flight(const struct proc_uring *ring, uint32_t dropped, uint32_t lost);

/* ---- how it was made (io_uring_probe.c) ---- */

struct uring_nature {
    uint32_t flags;  /* of URING_SAVED_FLAGS */
    pid_t submitter; /* inner_tid; 0: any thread */
    uint32_t sq_cpu;
};

/* By calls that change nothing. Refuses what can't be made again. */
int uring_probe(struct kobj_dump *ctx, const struct open_file *file, const struct proc_uring *ring,
                struct uring_nature *ret, struct crs_error *err);
/* With which threads it is registered. */
int uring_probe_registered(struct kobj_dump *ctx, const struct open_file *file, Crs__IoUring *m,
                           struct crs_error *err);

/* ---- made again (io_uring_make.c) ---- */

int uring_unpack(const Crs__OpenFile *record, Crs__IoUring **ret, struct crs_error *err);

#endif
