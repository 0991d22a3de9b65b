/*
 * io_uring_wind.h - a new io_uring's counters, brought to where they were
 */
#ifndef KOBJ_IO_URING_WIND_H
#define KOBJ_IO_URING_WIND_H

#include "kobj/io_uring.h"

struct uring_winder {
    struct kobj_restore *ctx;
    const struct uring_map *map;
    int fd;                       /* ours */
    struct tracee_thread *thread; /* of the stub; it has the ring under */
    int remote_fd;
};

/* Make requests that do nothing, until the ring has had so many, and so many answers. What is in
 * the rings then is nothing that was there before. */
int uring_wind(const struct uring_winder *w, uint32_t sq_consumed, uint32_t cq_posted,
               struct crs_error *err);

#endif
