/*
 * memory_fork.c - a forked copy of a process, from which its memory is read when it runs again
 *
 * The program makes the copy for us in the freeze (tracee/spawn.h); it costs as much as going
 * through the page table, and later something for each page that the program writes to while the
 * copy is there. What fork(2) doesn't copy (shared memory, MADV_DONTFORK, MADV_WIPEONFORK,
 * hugetlbfs) is read in the freeze. The kernel is told to end the copy first, should memory run
 * out.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "memory_image.h"
#include "proc/available.h"
#include "tracee/spawn.h"

#define MAX_FORKS      128          /* each takes three descriptors of ours */
#define MARGIN         16           /* one part in so many of the machine's memory stays free */
#define US_PER_GIB     20000        /* of fork(2), with small pages */
#define FORK_US        1500         /* all but that */
#define BYTES_PER_US   1000         /* in the freeze, as long as nothing else was measured */
#define LEAST_BYTES    (8ull << 20) /* below that the freeze is short enough */
#define LEAST_MEASURED (16ull << 20)

struct memory_fork {
    struct tracee *copy;
    uint64_t place; /* of our calls, whose bytes are to be taken back in the copy, too */
    size_t place_size;
};

/* ---- what is where ---- */

enum copy_part memory_freeze_part(const struct memory_image *image)
{
    return image->fork ? COPY_FREEZE_PART : COPY_ALL;
}

static uint64_t count_pages(const struct memory_image *image, enum copy_part part)
{
    uint64_t n = 0;

    for (size_t i = 0; i < image->plan.chunks.n; i++)
        if (copy_takes(part, &image->plan.chunks.items[i]))
            n += image->plan.chunks.items[i].n_pages;
    return n;
}

uint64_t memory_freeze_pages(const struct memory_image *image)
{
    return image->fork ? count_pages(image, COPY_FREEZE_PART) : image->plan.n_pages;
}

bool memory_is_forked(const struct memory_set *set)
{
    for (size_t i = 0; i < set->images.n; i++)
        if (set->images.items[i]->fork)
            return true;
    return false;
}

/* ---- is it worth it? ---- */

/* What the copy would have in small pages, and in all. */
static void sizes(const struct memory_image *image, uint64_t *ret_small, uint64_t *ret_all)
{
    uint64_t small = 0, all = 0;

    for (size_t i = 0; i < image->smaps.n; i++) {
        const struct proc_smap *smap = &image->smaps.items[i];
        if (smap->map.shared || smap->flags & PROC_VM_DONTFORK)
            continue;
        all += smap->resident_pages;
        small += smap->resident_pages - smap->huge_resident_pages;
    }
    *ret_small = small * PAGE;
    *ret_all = all * PAGE;
}

static bool is_faster(const struct memory_image *image, uint64_t left_bytes)
{
    const struct memory_set *set = image->set;
    uint64_t small, all, copy_us = left_bytes / BYTES_PER_US;

    sizes(image, &small, &all);
    if (set->copied_bytes >= LEAST_MEASURED && set->copied_us > 0)
        copy_us = left_bytes * set->copied_us / set->copied_bytes;
    return FORK_US + (small >> 20) * US_PER_GIB / 1024 < copy_us;
}

/* All that it may write to while the copy is there is needed twice. */
static int check_memory(const struct memory_image *image, uint64_t *taken, struct crs_error *err)
{
    uint64_t small, all, available, total;
    int r = proc_available(image->pid, &available, &total);

    sizes(image, &small, &all);
    if (r == 0 && *taken + all + total / MARGIN > available)
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOMEM,
                        "process %d has %llu MiB of memory, and a copy might need as much again: "
                        "%llu MiB are available",
                        image->pid, (unsigned long long)all >> 20,
                        (unsigned long long)available >> 20);
    *taken += all;
    return 0;
}

/* ---- in the freeze ---- */

/* Any user may make his own process a likelier victim. */
static void give_up_first(const struct tracee *copy)
{
    int fd = openat(copy->proc_fd, "oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd >= 0 && write(fd, "1000", 4) < 0)
        errno = 0; /* it is as likely as the program, then */
    cleanup_close(&fd);
}

static bool takes_in_orphans(struct tracee *t)
{
    int32_t is = 0;
    int64_t result;

    return t->inner_pid == 1 || (tracee_call_with_block(tracee_main(t), &result, NULL, SYS_prctl,
                                                        (const uint64_t[6]){PR_GET_CHILD_SUBREAPER},
                                                        1, NULL, &is, sizeof(is)) == 0 &&
                                 result == 0 && is);
}

void memory_ask_orphans(struct memory_set *set)
{
    for (size_t i = 0; !set->orphans_asked && !set->adopter && i < set->images.n; i++) {
        const struct memory_image *image = set->images.items[i];
        if (image->space && takes_in_orphans(image->t))
            set->adopter = image->pid;
    }
    set->orphans_asked = true;
}

static int fork_image(struct memory_image *image, struct crs_error *err)
{
    struct memory_fork *fork;

    memory_ask_orphans(image->set);
    if (image->set->adopter)
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "process %d takes in orphans (PR_SET_CHILD_SUBREAPER, or as PID 1), and "
                        "would see the end of a copy",
                        image->set->adopter);
    fork = calloc(1, sizeof(*fork));
    if (!fork)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = tracee_spawn_apart(image->t, true, &fork->copy, err);
    if (r < 0) {
        free(fork);
        return r;
    }
    arch_calls_place(image->t, &fork->place, &fork->place_size);
    give_up_first(fork->copy);
    image->fork = fork;
    return 0;
}

/* Is it to be copied so? */
static bool is_worth_it(const struct memory_image *image, enum memory_forking how)
{
    uint64_t small, all, bytes = count_pages(image, COPY_FORKED_PART) * PAGE;

    if (how == MEMORY_FORK_NEVER)
        return false;
    sizes(image, &small, &all);
    if (image->deferred.vmas.n > 0)
        bytes += all;
    if (how == MEMORY_FORK_ALL || bytes < LEAST_BYTES)
        return how == MEMORY_FORK_ALL && bytes > 0;
    return image->set->fork_first ||
           (!(image->set->late && memory_late_fits(bytes / PAGE)) && is_faster(image, bytes));
}

/* It can't be: what was left to the copy is planned now. */
static int plan_rest(struct memory_image *image, struct crs_error *err)
{
    char path[64];

    if (image->fork || image->deferred.vmas.n == 0)
        return 0;
    snprintf(path, sizeof(path), "task/%d/pagemap", image->tid);
    _cleanup_close_ int fd = openat(image->t->proc_fd, path, O_RDONLY | O_CLOEXEC);
    return fd < 0
               ? crs_fail_errno(err, CRS_NOT_PERMITTED, "can't open /proc/%d/pagemap", image->pid)
               : memory_plan_deferred(image, fd, err);
}

int memory_fork(struct memory_set *set, enum memory_forking how, struct crs_error *ret_reason,
                struct crs_error *err)
{
    uint64_t taken = 0, n = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < set->images.n; i++) {
        struct memory_image *image = set->images.items[i];
        struct crs_error why = {0};
        if (!image->space)
            continue;
        int can = n < MAX_FORKS && !image->borrowed && is_worth_it(image, how) ? 0 : 1;
        if (can == 0)
            can = check_memory(image, &taken, &why);
        if (can == 0)
            can = fork_image(image, &why);
        n += can == 0;
        if (can < 0 && !ret_reason->kind && (how == MEMORY_FORK_ALL || can != -ENOTSUP))
            *ret_reason = why;
        r = plan_rest(image, err);
    }
    return r;
}

/* The bytes of the place of our calls, as the program had them. */
static int settle(struct memory_image *image, struct crs_error *err)
{
    struct memory_fork *fork = image->fork;
    _cleanup_free_ uint8_t *bytes = malloc(fork->place_size);

    if (!fork->place)
        return 0;
    if (!bytes)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = tracee_read(image->t, fork->place, bytes, fork->place_size, err);
    return r < 0 ? r : tracee_write(fork->copy, fork->place, bytes, fork->place_size, err);
}

int memory_fork_settle(struct memory_set *set, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < set->images.n; i++)
        if (set->images.items[i]->fork)
            r = settle(set->images.items[i], err);
    return r;
}

/* ---- when they run again ---- */

static int plan_copy(struct memory_image *image, struct crs_error *err)
{
    _cleanup_close_ int fd = openat(image->fork->copy->proc_fd, "pagemap", O_RDONLY | O_CLOEXEC);

    return fd < 0 ? crs_fail_errno(err, CRS_FAILED,
                                   "can't open the pagemap of the copy of process %d", image->pid)
                  : memory_plan_deferred(image, fd, err);
}

static int dump(struct memory_image *image, struct kobj_dump *ctx, struct copy_buffer *buffer,
                uint64_t *done, uint64_t all, const volatile int *cancel, uint64_t deadline_us,
                struct crs_error *err)
{
    struct tracee *copy = image->fork->copy;
    struct copy_source source = {.image = image,
                                 .ctx = ctx,
                                 .plan = &image->plan,
                                 .tid = copy->pid,
                                 .mem_fd = copy->mem_fd,
                                 .guards_lock = PTHREAD_MUTEX_INITIALIZER,
                                 .part = COPY_FORKED_PART};
    int r = copy_plan_run(&source, buffer, done, all, cancel, deadline_us, err);

    if (r == -ESRCH)
        return crs_fail(err, CRS_FAILED, ENOMEM,
                        "the copy of process %d was ended before it was saved, as the kernel does "
                        "where memory runs out: try --freeze=stop",
                        image->pid);
    return r;
}

int memory_fork_dump(struct memory_set *set, struct kobj_dump *ctx, const volatile int *cancel,
                     uint64_t deadline_us, struct crs_error *err)
{
    struct copy_buffer *buffer = NULL;
    uint64_t all = 0, done = 0;
    int r = 0;

    if (!memory_is_forked(set))
        return 0;
    buffer = copy_buffer_new(0, err);
    if (!buffer)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < set->images.n; i++)
        if (set->images.items[i]->fork) {
            r = plan_copy(set->images.items[i], err);
            all += count_pages(set->images.items[i], COPY_FORKED_PART);
        }
    for (size_t i = 0; r == 0 && i < set->images.n; i++) {
        struct memory_image *image = set->images.items[i];
        if (!image->fork)
            continue;
        r = dump(image, ctx, buffer, &done, all, cancel, deadline_us, err);
        if (r == 0 && !memory_late_taken(set)) /* else with those */
            r = copy_plan_hand_over(&image->plan, err);
    }
    copy_buffer_free(buffer);
    return r;
}

void memory_fork_end(struct memory_set *set)
{
    for (size_t i = 0; set && i < set->images.n; i++) {
        struct memory_fork *fork = set->images.items[i]->fork;
        if (fork)
            tracee_end_apart(TAKE_PTR(fork->copy));
    }
}

void memory_fork_prepare(struct memory_set *set, enum memory_forking how)
{
    uint64_t bytes = memory_resident_bytes(set);

    set->fork_first = how == MEMORY_FORK_ALL;
    memory_late_prepare(set, bytes < LEAST_BYTES ? bytes / PAGE / 2 : 0);
    memory_note_huge(set);
}
