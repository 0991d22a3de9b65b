/*
 * processors.h - how many processors there are for us
 */
#ifndef BASE_PROCESSORS_H
#define BASE_PROCESSORS_H

#include <stdint.h>

/* Those that the calling thread may run on, and no more than its control group has the time of
 * (rounded up). At least 1. */
unsigned processors_count(void);

/* The text of cpu.max ("max 100000", "150000 100000") as processors, rounded up; UINT32_MAX: no
 * limit, or not understood. */
unsigned processors_of_quota(const char *text);

#endif
