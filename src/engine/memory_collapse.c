/*
 * memory_collapse.c - transparent huge pages that a checkpoint has split come back
 *
 * The first write to a huge page that is marked, or that a copy of the process has too, makes small
 * ones of it, and the kernel would take its time to join them again. What was huge before is known,
 * so when all is copied a process that shares the program's memory (tracee/spawn.h) has the kernel
 * join them (MADV_COLLAPSE), while the program runs. That changes nothing that the program could
 * read, at any instant.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "base/thread.h"
#include "memory_image.h"
#include "tracee/spawn.h"

#define HUGE_PAGES    512ull /* small pages in one */
#define COLLAPSE      25     /* MADV_COLLAPSE of Linux 6.1, not in older headers */
#define TRIES         3      /* of one whose pages are in use by the kernel at the moment */
#define HOLD_TIME_US  1000000
#define HOLD_AGAIN_US 500
#define N_HOLDS       4

static bool may_split(const struct proc_smap *smap)
{
    return smap->huge_resident_pages > 0 && !smap->map.shared && smap->map.inode == 0 &&
           !(smap->flags & PROC_VM_HUGETLB);
}

static void note_image(struct memory_image *image)
{
    _cleanup_close_ int fd = -1;
    char path[48];

    for (size_t i = 0; i < image->smaps.n; i++) {
        const struct proc_smap *smap = &image->smaps.items[i];
        if (!may_split(smap))
            continue;
        snprintf(path, sizeof(path), "/proc/%d/pagemap", image->pid);
        if (fd < 0 && (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
            return;
        if (pagemap_present(fd, true, smap->map.start, smap->map.end, &image->huge, NULL) < 0)
            break;
    }
    if (image->huge.n > 0) {
        image->huge_fd = fd;
        fd = -1;
    }
}

void memory_note_huge(struct memory_set *set)
{
    for (size_t i = 0; i < set->images.n; i++)
        if (set->images.items[i]->huge.n == 0)
            note_image(set->images.items[i]);
}

void memory_ask_huge(struct memory_set *set)
{
    for (size_t i = 0; i < set->images.n; i++)
        if (set->images.items[i]->huge.n > 0)
            memory_ask_orphans(set);
}

/* ---- which were split ---- */

/* Only whole ones: all small pages are there. */
static int add_whole(struct page_runs *whole, const struct page_run *run)
{
    uint64_t first = (run->first + HUGE_PAGES - 1) & ~(HUGE_PAGES - 1);
    uint64_t end = (run->first + run->count) & ~(HUGE_PAGES - 1);

    return end > first ? page_runs_add(whole, first, end - first) : 0;
}

/* Which of those pages are there; or in huge ones. */
static int find_present(const struct memory_image *image, bool huge, const struct page_runs *pages,
                        struct page_runs *ret)
{
    struct page_runs_at at = page_runs_begin(pages);
    struct page_run run;
    int r = 0;

    while (r == 0 && page_runs_next(&at, &run))
        r = pagemap_present(image->huge_fd, huge, run.first * PAGE, (run.first + run.count) * PAGE,
                            ret, NULL);
    return r;
}

/* The descriptor is of the memory as it was: after an exec, or the end, it tells of none. */
static int find_split(const struct memory_image *image, struct page_runs *ret)
{
    _cleanup_page_runs_ struct page_runs huge = {0}, split = {0}, there = {0};
    int r = find_present(image, true, &image->huge, &huge);

    if (r == 0)
        r = page_runs_subtract(&image->huge, &huge, &split);
    if (r == 0)
        r = find_present(image, false, &split, &there);
    struct page_runs_at at = page_runs_begin(&there);
    struct page_run run;
    while (r == 0 && page_runs_next(&at, &run))
        r = add_whole(ret, &run);
    return r;
}

/* ---- joining them ---- */

struct collapse {
    const struct memory_image *image;
    const struct page_runs *split;
    const volatile int *cancel;
    uint64_t held_us;
};

static int spawn(struct collapse *c, struct tracee **ret)
{
    struct tracee *t;
    int r = tracee_freeze(c->image->pid, now_us() + HOLD_TIME_US, &t, NULL);

    if (r < 0)
        return r;
    r = tracee_spawn_apart(t, false, ret, NULL);
    tracee_thaw(t, false, NULL);
    c->held_us += now_us() - t->frozen_at_us;
    tracee_free(t);
    return r;
}

/* -ENOMEM: there are no huge pages left. */
static int join(struct tracee *sharer, uint64_t page)
{
    int64_t result = -EAGAIN;
    int r = 0;

    for (int tries = 0; r == 0 && result == -EAGAIN && tries < TRIES; tries++)
        r = REMOTE(tracee_main(sharer), &result, NULL, SYS_madvise, page * PAGE, HUGE_PAGES * PAGE,
                   COLLAPSE);
    return r < 0 ? r : result == -ENOMEM ? -ENOMEM : 0;
}

static void *collapse_in_thread(void *arg)
{
    struct collapse *c = arg;
    struct page_runs_at at = page_runs_begin(c->split);
    struct tracee *sharer = NULL;
    struct page_run run;
    int r = -EAGAIN;

    /* A thread may still be on its way back from something. */
    for (int tries = 0; r == -EAGAIN && tries < N_HOLDS; tries++) {
        if (tries > 0)
            usleep(HOLD_AGAIN_US);
        r = spawn(c, &sharer);
    }
    while (r == 0 && page_runs_next(&at, &run))
        for (uint64_t k = 0; r == 0 && k < run.count; k += HUGE_PAGES)
            r = c->cancel && *c->cancel ? -ECANCELED : join(sharer, run.first + k);
    tracee_end_apart(sharer);
    return NULL;
}

/* In a thread of its own: what ptrace holds ends with it. */
static uint64_t collapse_image(struct memory_image *image, const volatile int *cancel)
{
    _cleanup_page_runs_ struct page_runs split = {0};
    struct collapse c = {.image = image, .split = &split, .cancel = cancel};
    pthread_t thread;

    if (image->huge.n == 0 || find_split(image, &split) < 0 || split.n == 0)
        return 0;
    if (thread_start_worker(&thread, collapse_in_thread, &c) == 0)
        pthread_join(thread, NULL);
    return c.held_us;
}

void memory_collapse(struct memory_set *set, const volatile int *cancel)
{
    /* One of them would see the end of the process that is made for it. */
    for (size_t i = 0; set && !set->adopter && i < set->images.n; i++) {
        uint64_t held_us = collapse_image(set->images.items[i], cancel);
        page_runs_clear(&set->images.items[i]->huge);
        set->held_us += held_us;
        if (held_us > set->longest_held_us)
            set->longest_held_us = held_us;
    }
}
