/*
 * uring.h - /proc/PID/fdinfo/FD of an io_uring as a struct
 */
#ifndef PROC_URING_H
#define PROC_URING_H

#include <stdbool.h>
#include <stdint.h>
#include "base/array.h"

struct proc_uring_buffer {
    uint32_t place;   /* in the table of buffers */
    uint64_t address; /* 0: nothing is registered in this place */
    uint32_t size;
};

struct proc_uring {
    /* False: the kernel has told nothing. It is older than 5.19, or the ring was just in use. */
    bool has_counters;
    uint32_t sq_mask, sq_head, sq_tail, sq_consumed; /* consumed: the kernel's own head */
    uint32_t cq_mask, cq_head, cq_tail, cq_posted;   /* posted: the kernel's own tail */

    int32_t sq_thread; /* its ID in the initial PID namespace; -1: none */
    uint32_t n_files;  /* places in the table of registered files */
    uint32_t n_buffers;
    ARRAY_OF(struct proc_uring_buffer) buffers;

    bool has_lists; /* the kernel has gone through what follows */
    uint32_t n_polled;
    uint32_t polled_op; /* IORING_OP_* of the first request that waits for a file to be ready */
    uint32_t n_overflown;
    bool personalities;
    bool napi;

    /* Of the entries between the heads and tails: */
    uint32_t n_sqes_shown, n_cqes_shown;
    bool big_sqes, big_cqes; /* those shown are of 128, of 32 bytes */
};

/* -EINVAL: a known line is malformed; -ENOMEM. On success the caller calls proc_uring_clear(). */
int proc_uring_parse(const char *text, struct proc_uring *ret);
void proc_uring_clear(struct proc_uring *ring);
#define _cleanup_proc_uring_ __attribute__((cleanup(proc_uring_clear)))

#endif
