/*
 * aio.h - contexts of asynchronous I/O; inside of aio*.c
 */
#ifndef KOBJ_AIO_H
#define KOBJ_AIO_H

#include "proc/maps.h"
#include "tracee/tracee.h"

/* Does any process of the machine have a context? */
bool aio_is_used(void);
/* The mappings of the process that are rings. */
int aio_rings(struct tracee *t, struct proc_maps *ret, struct crs_error *err);

#endif
