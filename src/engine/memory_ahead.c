/*
 * memory_ahead.c - memory copied while the processes run
 *
 * In rounds: all pages that were written to since the last round are marked, and copied. When few
 * are left, or as many as before, the freeze copies the rest. What isn't known to be unchanged then
 * (memory_live.c) is copied there in any case.
 */
#include <fcntl.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "base/slice.h"
#include "base/thread.h"
#include "engine/tree.h"
#include "memory_live.h"
#include "memory_session.h"

#define HOLD_TIME_US 1000000 /* one that doesn't stand still soon is left to the freeze */
#define LEAST_PAGES  16   /* of a mapping: tracking it is not for nothing; unless all is wanted */
#define FEW_PAGES    1024 /* left to the freeze */
#define HUGE_SHARE   8    /* more than one part in so many is much */
#define MAX_ROUNDS   8
#define MARKED_HELD  32768 /* pages: some ten microseconds for each thousand */
#define MAX_LIVE     128   /* processes: each takes three descriptors of ours */
#define NEXT_BYTES   (1ull << 30)

struct ahead {
    struct memory_set *set;
    struct kobj_dump *ctx;
    const volatile int *cancel;
    uint64_t deadline_us, least_bytes;
    struct crs_error *reason;
    bool may_leave;     /* all may be left to forked copies */
    bool left;          /* it is */
    int round;          /* the first is 0 */
    uint64_t done, all; /* of this round: pages of the processes before this one, of all */
};

/* ---- which memory ---- */

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Its own memory, which nobody else can write to. The main stack is where our own calls run.
 * Whether it is tracked by somebody else, will be seen. */
static bool may_be_tracked(const struct proc_smap *smap)
{
    const uint32_t not_these = PROC_VM_SHADOW_STACK | PROC_VM_PFNMAP | PROC_VM_IO |
                               PROC_VM_MIXEDMAP | PROC_VM_HUGETLB | PROC_VM_SEALED |
                               PROC_VM_DROPPABLE | PROC_VM_UFFD_MISSING | PROC_VM_UFFD_MINOR |
                               PROC_VM_GROWSDOWN;
    const char *name = smap->map.name;

    return smap->map.inode == 0 && !smap->map.shared && !(smap->flags & not_these) &&
           (!name[0] || strcmp(name, "[heap]") == 0 || starts_with(name, "[anon:"));
}

static bool is_worth_it(const struct proc_smap *smap, uint64_t least_pages)
{
    return smap->resident_pages >= least_pages && may_be_tracked(smap);
}

/*
 * Mappings side by side can't become one while one of them is tracked and the other isn't, nor ever
 * again when both have got pages. So the next ones are tracked, too: heaps grow into what is mapped
 * without access.
 */
static bool is_beside(const struct proc_smaps *smaps, size_t i, uint64_t least_pages)
{
    const struct proc_smap *smap = &smaps->items[i];

    if (!may_be_tracked(smap) || smap->map.end - smap->map.start > NEXT_BYTES)
        return false;
    return (i > 0 && smap[-1].map.end == smap->map.start && is_worth_it(&smap[-1], least_pages)) ||
           (i + 1 < smaps->n && smap[1].map.start == smap->map.end &&
            is_worth_it(&smap[1], least_pages));
}

static int choose_ranges(const struct memory_image *image, struct memory_live *live,
                         uint64_t least_pages, uint64_t *ret_pages)
{
    uint64_t pages = 0;

    for (size_t i = 0; i < image->smaps.n; i++) {
        const struct proc_smap *smap = &image->smaps.items[i];
        if (!is_worth_it(smap, least_pages) && !is_beside(&image->smaps, i, least_pages))
            continue;
        struct live_range *range = ARRAY_ADD(&live->ranges);
        if (!range)
            return -ENOMEM;
        *range = (struct live_range){smap->map.start, smap->map.end,
                                     COPY_MAY_FAIL |
                                         (smap->map.protection & PROT_READ ? 0 : COPY_FORCED)};
        pages += smap->resident_pages;
    }
    *ret_pages = pages;
    return 0;
}

/* ---- marking it ---- */

/* Mappings that have changed meanwhile, or can't be tracked, are left to the freeze. */
static void add_ranges(struct memory_live *live)
{
    size_t n = 0;

    for (size_t i = 0; i < live->ranges.n; i++) {
        const struct live_range range = live->ranges.items[i];
        if (track_add(live->track, range.start, range.end) == 0)
            live->ranges.items[n++] = range;
    }
    live->ranges.n = n;
}

/* Mark what is to be copied in this round. What fails in the middle may have marked pages that it
 * doesn't tell: then nothing counts. */
static int mark(struct memory_live *live, bool first, struct crs_error *err)
{
    int r = 0;

    page_runs_clear(&live->marked);
    for (size_t i = 0; r == 0 && i < live->ranges.n; i++)
        r = pagemap_protect(live->pagemap_fd, live->guard_bit, live->ranges.items[i].start,
                            live->ranges.items[i].end, &live->marked, NULL);
    if (r == 0)
        r = page_runs_unite(&live->marked, &live->again);
    page_runs_clear(&live->again);
    if (r == 0)
        r = live_forget(live, &live->marked);
    if (r == 0 && !first)
        r = live_note_round(live);
    if (r == -ENOMEM)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages");
    if (r < 0)
        live_give_up(live);
    return 0;
}

/* ---- holding a process for a moment ---- */

struct holding {
    pid_t pid;
    uint64_t deadline_us, held_us;
    struct memory_live *live;
    bool begins; /* to be tracked from now on; else it need only stand still */
    bool marks;  /* and what is to be copied first is marked at once */
    int result;
    struct crs_error err;
};

static int track(struct tracee *t, struct memory_live *live, struct crs_error *err)
{
    const struct tree nobody = {0};

    tracee_for_each_thread (t, th)
        if (th->seccomp)
            return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP, "process %d is under seccomp",
                            t->pid);
    int r = tree_memory_check(&nobody, t, true, err);
    return r < 0 ? r : track_begin(t, &live->track, err);
}

static int begin_to_track(struct tracee *t, struct holding *h, struct crs_error *err)
{
    int r = track(t, h->live, err);

    if (r < 0)
        return r;
    add_ranges(h->live);
    h->live->is_marked = h->marks;
    return h->marks ? mark(h->live, true, err) : 0;
}

static int hold_here(struct holding *h)
{
    struct tracee *t;
    int r = tracee_freeze(h->pid, h->deadline_us, &t, &h->err);

    if (r < 0)
        return r;
    tracee_use_timeouts(t, &h->live->timeouts);
    if (h->begins)
        r = begin_to_track(t, h, &h->err);
    if (tracee_note_timeouts(t, &h->live->timeouts) < 0 && r == 0)
        r = crs_fail(&h->err, CRS_FAILED, ENOMEM, "out of memory");
    int gone = tracee_thaw(t, false, r < 0 ? NULL : &h->err);
    h->held_us = now_us() - t->frozen_at_us;
    tracee_free(t);
    return r < 0 ? r : gone;
}

static void *hold_in_thread(void *arg)
{
    struct holding *h = arg;

    slice_change(SLICE_SHORTEST_NS); /* the program waits for it */
    h->result = hold_here(h);
    return NULL;
}

/* In a thread of its own: what ptrace holds ends with it, also where not all stood still in time.
 */
static int hold(struct ahead *a, struct holding h, struct crs_error *err)
{
    pthread_t thread;

    h.deadline_us = now_us() + HOLD_TIME_US;

    if (a->deadline_us && a->deadline_us < h.deadline_us)
        h.deadline_us = a->deadline_us;
    int r = thread_start(&thread, false, hold_in_thread, &h);
    if (r > 0)
        return crs_fail(err, CRS_FAILED, r, "can't start a thread: %s", strerror(r));
    pthread_join(thread, NULL);
    a->set->held_us += h.held_us;
    if (h.held_us > a->set->longest_held_us)
        a->set->longest_held_us = h.held_us;
    if (h.result < 0 && err)
        *err = h.err;
    return h.result;
}

/* ---- beginning ---- */

/*
 * By a ring the kernel writes into the memory at any time, past the page table. And whoever uses a
 * userfaultfd himself may want to do so with any of his memory.
 */
static const struct {
    const char *target, *words;
} in_the_way[] = {
    {"anon_inode:[io_uring]", "an io_uring, by which the kernel may write to its memory unseen"},
    {"anon_inode:[userfaultfd]", "a userfaultfd of its own"},
};

static int check_descriptors(pid_t pid, struct crs_error *err)
{
    char path[48], target[64];

    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return crs_fail_errno(err, CRS_NOT_PERMITTED, "can't list the open descriptors");
    for (struct dirent *e; (e = readdir(dir));) {
        ssize_t n = readlinkat(fd, e->d_name, target, sizeof(target) - 1);
        target[n < 0 ? 0 : n] = 0;
        for (size_t i = 0; i < ELEMENTS(in_the_way); i++)
            if (strcmp(target, in_the_way[i].target) == 0)
                return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP, "process %d has %s", pid,
                                in_the_way[i].words);
    }
    return 0;
}

/* Another one that isn't held could use the place of our calls meanwhile. */
static int check_shared(const struct memory_set *set, pid_t pid, struct crs_error *err)
{
    for (size_t i = 0; i < set->images.n; i++) {
        pid_t other = set->images.items[i]->pid;
        if (other != pid && syscall(SYS_kcmp, pid, other, KCMP_VM, 0, 0) == 0)
            return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                            "process %d shares its memory with process %d", pid, other);
    }
    return 0;
}

static int open_files(struct memory_live *live, pid_t pid, struct crs_error *err)
{
    char path[48];
    bool can_scan;

    snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
    live->pagemap_fd = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/%d/mem", pid);
    live->mem_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (live->pagemap_fd < 0 || live->mem_fd < 0)
        return crs_fail_errno(err, CRS_NOT_PERMITTED, "can't read the memory of process %d", pid);
    pagemap_can_scan(live->pagemap_fd, &can_scan, &live->guard_bit);
    return 0;
}

/* Huge pages that are marked for long can't be joined again when they were split. */
static bool is_mostly_huge(const struct memory_image *image)
{
    uint64_t pages = 0;

    for (size_t i = 0; i < image->smaps.n; i++)
        if (may_be_tracked(&image->smaps.items[i]))
            pages += image->smaps.items[i].resident_pages;
    return page_runs_count(&image->huge) > pages / HUGE_SHARE;
}

static int begin_tracking(struct ahead *a, struct memory_image *image, struct memory_live *live,
                          uint64_t pages, struct crs_error *err)
{
    int r = check_descriptors(image->pid, err);

    if (r == 0)
        r = check_shared(a->set, image->pid, err);
    if (r == 0)
        r = open_files(live, image->pid, err);
    if (r == 0 && live->track)
        add_ranges(live);
    else if (r == 0)
        r = hold(
            a,
            (struct holding){
                .pid = image->pid, .live = live, .begins = true, .marks = pages <= MARKED_HELD},
            err);
    if (r < 0)
        return r;
    live->lasting = a->set->session && !is_mostly_huge(image);
    r = memory_session_prune(live, a->ctx->writer);
    return r < 0 ? crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages") : 0;
}

/* Of the checkpoint before, where there is something. */
static struct memory_live *new_live(const struct ahead *a, struct memory_image *image)
{
    struct memory_live *live = memory_session_take(image, a->ctx->writer);

    if (live) {
        track_begin_again(live->track);
        return live;
    }
    live = calloc(1, sizeof(*live));
    if (live)
        live->pagemap_fd = live->mem_fd = -1;
    return live;
}

/* Whatever keeps it from being tracked is no failure: it is copied in the freeze. */
static int begin_image(struct ahead *a, struct memory_image *image, struct crs_error *err)
{
    struct memory_live *live = new_live(a, image);
    struct crs_error why = {0};
    uint64_t pages = 0;

    if (!live)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = choose_ranges(image, live, a->least_bytes ? LEAST_PAGES : 1, &pages);
    if (r < 0 || live->ranges.n == 0 || pages * PAGE < a->least_bytes) {
        memory_live_free(live);
        return r < 0 ? crs_fail(err, CRS_FAILED, ENOMEM, "out of memory") : 0;
    }
    r = begin_tracking(a, image, live, pages, &why);
    if (r < 0) {
        memory_live_free(live);
        if (!a->reason->kind && r != -ESRCH && r != -ENOENT) /* it has ended */
            *a->reason = why;
        return 0;
    }
    image->live = live;
    return 0;
}

/* ---- rounds ---- */

static bool takes_part(const struct memory_image *image)
{
    return image->live && !image->live->given_up;
}

/* How many pages were written to? */
static uint64_t count_written(struct memory_set *set)
{
    uint64_t n = 0;

    for (size_t i = 0; i < set->images.n; i++) {
        const struct memory_live *live = set->images.items[i]->live;
        _cleanup_page_runs_ struct page_runs runs = {0};
        if (!takes_part(set->images.items[i]))
            continue;
        for (size_t k = 0; k < live->ranges.n; k++)
            pagemap_written(live->pagemap_fd, live->guard_bit, live->ranges.items[k].start,
                            live->ranges.items[k].end, &runs, NULL);
        n += page_runs_count(&runs);
    }
    return n;
}

/* All threads stand still for a moment (memory_live.h). */
static void settle(struct ahead *a, struct memory_image *image)
{
    if (hold(a, (struct holding){.pid = image->pid, .live = image->live}, NULL) < 0)
        live_give_up(image->live);
}

static int plan_marked(const struct memory_live *live, struct copy_plan *plan,
                       struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < live->ranges.n; i++) {
        const struct live_range *range = &live->ranges.items[i];
        _cleanup_page_runs_ struct page_runs runs = {0};
        if (page_runs_within(&live->marked, PAGE_OF(range->start),
                             PAGE_OF(range->end - range->start), &runs) < 0)
            return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages");
        r = copy_plan_add_set(plan, 0, &runs, range->how, err);
    }
    return r;
}

static int take_chunk(struct memory_live *live, Crs__Chunk **chunk)
{
    Crs__Chunk **place = *chunk ? ARRAY_ADD(&live->chunks) : NULL;

    if (place)
        *place = TAKE_PTR(*chunk);
    return *chunk ? -ENOMEM : 0;
}

static int take_chunks(struct memory_live *live, struct copy_plan *plan)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < plan->chunks.n; i++) {
        r = take_chunk(live, &plan->chunks.items[i].same);
        if (r == 0)
            r = take_chunk(live, &plan->chunks.items[i].result);
    }
    return r;
}

static int compare_pages(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void page_list_clear(struct page_list *list)
{
    free(list->items);
}

/* Those that were marked are covered now, but for some that couldn't be read. */
static int cover(struct memory_live *live, struct page_list *missed)
{
    _cleanup_page_runs_ struct page_runs read = {0}, unread = {0};
    int r = 0;

    if (missed->n > 1)
        qsort(missed->items, missed->n, sizeof(*missed->items), compare_pages);
    for (size_t i = 0; r == 0 && i < missed->n; i++)
        r = page_runs_add(&unread, missed->items[i], 1);
    if (r == 0)
        r = page_runs_subtract(&live->marked, &unread, &read);
    return r < 0 ? r : page_runs_unite(&live->covered, &read);
}

/*
 * Is the program faster than we are? Of what was marked more was written to than was copied, and
 * that is no small part of it, which it may write to over and over. Nothing is gained then.
 */
static bool too_fast(struct copy_source *source, uint64_t done_pages)
{
    struct ahead *a = source->enough_arg;
    uint64_t written = count_written(a->set);

    a->left = a->left || (written > a->done + done_pages && written > a->all / 4);
    return a->left;
}

static int copy_marked(struct ahead *a, struct memory_image *image, struct copy_plan *plan,
                       uint64_t *done, uint64_t all, struct crs_error *err)
{
    struct memory_live *live = image->live;
    _cleanup_(page_list_clear) struct page_list missed = {0};
    struct copy_source source = {image,
                                 a->ctx,
                                 plan,
                                 image->pid,
                                 live->mem_fd,
                                 &missed,
                                 PTHREAD_MUTEX_INITIALIZER,
                                 .enough = a->may_leave ? too_fast : NULL,
                                 .enough_arg = a};
    struct copy_buffer *buffer = copy_buffer_new(0, err);
    uint64_t begun_us = now_us();

    if (!buffer)
        return -ENOMEM;
    int r = copy_plan_run(&source, buffer, done, all, a->cancel, a->deadline_us, err);
    a->set->copied_bytes += plan->n_pages * PAGE;
    a->set->copied_us += now_us() - begun_us;
    copy_buffer_free(buffer);
    if (r == -ESRCH) { /* it has ended */
        live_give_up(live);
        return 0;
    }
    if (r == 0 && a->left) /* nothing of it will count */
        return 0;
    if (r == 0 && (take_chunks(live, plan) < 0 || cover(live, &missed) < 0))
        r = crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages");
    return r;
}

static int copy_image(struct ahead *a, struct memory_image *image, uint64_t *done, uint64_t all,
                      struct crs_error *err)
{
    struct copy_plan plan = {0};
    int r = plan_marked(image->live, &plan, err);

    if (r == 0)
        r = copy_marked(a, image, &plan, done, all, err);
    copy_plan_clear(&plan);
    return r;
}

/* *ret_copied: pages. */
static int copy_round(struct ahead *a, uint64_t *ret_copied, struct crs_error *err)
{
    struct memory_image **images = a->set->images.items;
    uint64_t all = 0, done = 0;
    size_t n = a->set->images.n;
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        if (takes_part(images[i]) && !images[i]->live->is_marked)
            r = mark(images[i]->live, a->round == 0, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (takes_part(images[i])) {
            if (!images[i]->live->is_marked)
                settle(a, images[i]);
            images[i]->live->is_marked = false;
            all += page_runs_count(&images[i]->live->marked);
        }
    a->all = all;
    for (size_t i = 0; r == 0 && i < n && !a->left; i++)
        if (takes_part(images[i])) {
            a->done = done;
            r = copy_image(a, images[i], &done, all, err);
        }
    *ret_copied = all;
    return r;
}

/* As long as each round leaves half as much as the one before, at most. */
static int run_rounds(struct ahead *a, uint64_t *ret_left, struct crs_error *err)
{
    uint64_t copied = 0, left = UINT64_MAX;
    int r = 0;

    for (int round = 0; r == 0 && round < MAX_ROUNDS && left > FEW_PAGES && !a->left; round++) {
        if (round > 0 && left > copied / 2)
            break;
        a->round = round;
        r = copy_round(a, &copied, err);
        left = count_written(a->set);
    }
    for (size_t i = 0; a->left && i < a->set->images.n; i++)
        if (a->set->images.items[i]->live) {
            live_give_up(a->set->images.items[i]->live);
            track_free(TAKE_PTR(a->set->images.items[i]->live->track));
        }
    a->set->fork_first = a->left;
    *ret_left = a->left ? 0 : left;
    return r;
}

int memory_copy_ahead(struct memory_set *set, struct kobj_dump *ctx, uint64_t least_bytes,
                      bool may_leave, const volatile int *cancel, uint64_t deadline_us,
                      struct crs_error *ret_reason, struct crs_error *err)
{
    struct ahead a = {
        set, ctx, cancel, deadline_us, least_bytes, ret_reason, .may_leave = may_leave};
    size_t n = 0;
    int r = 0;

    if (track_check(ret_reason) < 0)
        return 0;
    memory_note_huge(set);
    memory_same_begin(set);
    for (size_t i = 0; r == 0 && i < set->images.n && n < MAX_LIVE; i++) {
        r = begin_image(&a, set->images.items[i], err);
        n += set->images.items[i]->live != NULL;
    }
    if (r == 0 && memory_is_live(set)) {
        uint64_t left;
        r = run_rounds(&a, &left, err);
        memory_late_prepare(set, left);
    }
    return r;
}

bool memory_is_live(const struct memory_set *set)
{
    for (size_t i = 0; i < set->images.n; i++)
        if (takes_part(set->images.items[i]))
            return true;
    return false;
}

uint64_t memory_held_us(const struct memory_set *set, uint64_t *ret_longest)
{
    if (ret_longest)
        *ret_longest = set->longest_held_us;
    return set->held_us;
}
