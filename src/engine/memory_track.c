/*
 * memory_track.c - which memory is copied while the processes run, and from when it is tracked
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
#include "memory_ahead.h"
#include "memory_session.h"

#define HOLD_TIME_US 1000000 /* one that doesn't stand still soon is left to the freeze */
#define LEAST_PAGES  16    /* of a mapping: tracking it is not for nothing; unless all is wanted */
#define HUGE_SHARE   8     /* more than one part in so many is much */
#define MARKED_HELD  32768 /* pages: some ten microseconds for each thousand */
#define NEXT_BYTES   (1ull << 30)

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

/* What fails in the middle may have marked pages that it doesn't tell: then nothing counts. */
int ahead_mark(pid_t pid, struct memory_live *live, bool first, struct crs_error *err)
{
    int r = 0;

    page_runs_clear(&live->marked);
    live->faults = live_read_faults(pid);
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
    return h->marks ? ahead_mark(h->pid, h->live, true, err) : 0;
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
    int r = thread_start_worker(&thread, hold_in_thread, &h);
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

void ahead_settle(struct ahead *a, struct memory_image *image)
{
    if (hold(a, (struct holding){.pid = image->pid, .live = image->live}, NULL) < 0)
        live_give_up(image->live);
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

static int no_memory_for_pages(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages");
}

/* May it be tracked? */
static int check_image(const struct ahead *a, const struct memory_image *image,
                       struct crs_error *err)
{
    int r = check_descriptors(image->pid, err);

    return r < 0 ? r : check_shared(a->set, image->pid, err);
}

static int begin_tracking(struct ahead *a, struct memory_image *image, struct memory_live *live,
                          uint64_t pages, struct crs_error *err)
{
    int r = check_image(a, image, err);

    if (r == 0 && !live->early)
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
    if (memory_session_narrow(live) < 0 ||
        (!live->early && memory_session_prune(live, a->ctx->writer) < 0))
        return no_memory_for_pages(err);
    return 0;
}

static void note_reason(struct ahead *a, int r, const struct crs_error *why)
{
    if (!a->reason->kind && r != -ESRCH && r != -ENOENT) /* it has ended */
        *a->reason = *why;
}

/* Of the checkpoint before, where there is something. */
static struct memory_live *new_live(const struct ahead *a, struct memory_image *image)
{
    struct memory_live *live = memory_session_take(image, a->ctx->writer);

    if (live)
        return live;
    live = calloc(1, sizeof(*live));
    if (live)
        live->pagemap_fd = live->mem_fd = -1;
    return live;
}

static bool is_within(const struct live_range *range, const struct live_range *ranges, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (range->start >= ranges[i].start && range->end <= ranges[i].end)
            return true;
    return false;
}

/* Was all that is to be tracked marked in the early round? Mappings that have been made or have
 * grown since the last checkpoint were not. */
static bool was_marked(const struct memory_image *image, const struct memory_live *live,
                       const struct live_range *old, size_t n_old)
{
    for (size_t i = 0; i < live->ranges.n; i++) {
        const struct live_range *range = &live->ranges.items[i];
        const struct proc_smap *smap = proc_smaps_find(&image->smaps, range->start);
        bool was_tracked = image->borrowed || (smap && smap->flags & PROC_VM_UFFD_WP);
        if (!is_within(range, old, n_old) || !was_tracked)
            return false;
    }
    return true;
}

static int choose_anew(const struct ahead *a, const struct memory_image *image,
                       struct memory_live *live, uint64_t *ret_pages)
{
    _cleanup_free_ struct live_range *old = TAKE_PTR(live->ranges.items);
    size_t n_old = live->ranges.n;

    live->ranges.n = live->ranges.room = 0;
    if (live->track)
        track_begin_again(live->track);
    int r = choose_ranges(image, live, a->least_bytes ? LEAST_PAGES : 1, ret_pages);
    if (r == 0 && !was_marked(image, live, old, n_old))
        live->faults = 0;
    return r;
}

int ahead_begin(struct ahead *a, struct memory_image *image, struct crs_error *err)
{
    struct crs_error why = {0};
    uint64_t pages = 0;

    if (image->live && image->live->given_up)
        return 0;
    struct memory_live *live = image->live ? image->live : new_live(a, image);
    if (!live)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    image->live = NULL;
    int r = choose_anew(a, image, live, &pages);
    if (r < 0 || live->ranges.n == 0 || pages * PAGE < a->least_bytes) {
        memory_live_free(live);
        return r < 0 ? crs_fail(err, CRS_FAILED, ENOMEM, "out of memory") : 0;
    }
    r = begin_tracking(a, image, live, pages, &why);
    if (r < 0) {
        memory_live_free(live);
        note_reason(a, r, &why);
        return 0;
    }
    image->live = live;
    return 0;
}

int ahead_begin_early(struct ahead *a, struct memory_image *image, struct crs_error *err)
{
    struct memory_live *live = image->beside ? memory_session_take(image, a->ctx->writer) : NULL;
    struct crs_error why = {0};

    if (!live)
        return 0;
    image->live = live;
    /* Which pages are in huge ones must be noted before any is marked. */
    if (live->was_huge)
        return 0;
    int r = check_image(a, image, &why);
    if (r == 0)
        r = open_files(live, image->pid, &why);
    if (r < 0) {
        memory_live_free(TAKE_PTR(image->live));
        note_reason(a, r, &why);
        return 0;
    }
    live->early = true;
    return memory_session_prune(live, a->ctx->writer) < 0 ? no_memory_for_pages(err) : 0;
}
