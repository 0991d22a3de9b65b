/*
 * track.h - a process that tells which of its pages are written to
 *
 * A userfaultfd of the process, which we alone hold, lets its pages be marked by pagemap_protect()
 * (proc/pagemap.h). The kernel itself resolves the faults: the process doesn't wait for us, and
 * notices nothing but about a microsecond for the first write to a marked page. No privilege is
 * needed (Linux 6.7). When our descriptor is closed, or we end, all marks are gone.
 */
#ifndef TRACEE_TRACK_H
#define TRACEE_TRACK_H

#include "proc/page_runs.h"
#include "tracee/tracee.h"

struct track;

/* Does this kernel do all of it, and let us? Tried with our own memory, once. -ENOTSUP, in words.
 */
int track_check(struct crs_error *err);

/* In the live process that is held. */
int track_begin(struct tracee *t, struct track **ret, struct crs_error *err);

/* Let the pages of [start, end) be marked: one mapping. The process may run. -errno: it can't be.
 */
int track_add(struct track *track, uint64_t start, uint64_t end);

/* The ranges are to be added anew; those that are not are tracked until the end. */
void track_begin_again(struct track *track);

/* Was any part of [start, end) added? */
bool track_covers(const struct track *track, uint64_t start, uint64_t end);

/* The process runs: step by step, so that it doesn't wait for the kernel to go through all pages.
 */
void track_free(struct track *track); /* NULL is nothing */
DEFINE_CLEANUP(struct track, track)

#endif
