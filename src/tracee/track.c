/* track.c - a process that tells which of its pages are written to */
#include <fcntl.h>
#include <linux/ioctl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc/pagemap.h"
#include "tracee/sandbox.h"
#include "tracee/track.h"

/* The kernel's interface (linux/userfaultfd.h of 6.7), not in older headers. */
struct uffd_api {
    uint64_t api, features, ioctls;
};
struct uffd_range {
    uint64_t start, size;
};
struct uffd_register {
    struct uffd_range range;
    uint64_t mode, ioctls;
};
#define UFFD_API_VERSION 0xaaull
#define UFFD_API         _IOWR(0xaa, 0x3f, struct uffd_api)
#define UFFD_REGISTER    _IOWR(0xaa, 0x00, struct uffd_register)
#define UFFD_UNREGISTER  _IOR(0xaa, 0x01, struct uffd_range)
#define UFFD_ASYNC       (1ull << 15) /* feature: the kernel resolves the faults itself */
#define UFFD_WRITE       2            /* mode: of pages that are write-protected */
#define UFFD_USER_ONLY   1

#define END_BYTES  (32ull << 20) /* unmarked in one step */
#define HUGE_PAGE  (2ull << 20)  /* steps end where none is cut in two */
#define PAGE       4096
#define TRIAL_SIZE (8u << 20) /* with whole tables of pages that aren't there */

struct track {
    int fd;
    ARRAY_OF(struct uffd_range) ranges;
};

static int enable(int fd)
{
    struct uffd_api api = {.api = UFFD_API_VERSION, .features = UFFD_ASYNC};

    return ioctl(fd, UFFD_API, &api) < 0 ? -errno : 0;
}

static int add_range(int fd, uint64_t start, uint64_t end)
{
    struct uffd_register arg = {.range = {start, end - start}, .mode = UFFD_WRITE};

    return ioctl(fd, UFFD_REGISTER, &arg) < 0 ? -errno : 0;
}

/* ---- the trial ---- */

/* Is it so that exactly the pages from `first` on, up to the end, have no mark? */
static bool unmarked_from(int pagemap, uint64_t start, uint64_t first)
{
    _cleanup_page_runs_ struct page_runs runs = {0};

    return pagemap_unprotected(pagemap, start, start + TRIAL_SIZE, &runs, NULL) == 0 &&
           runs.n == 1 && runs.last.first == first / PAGE &&
           runs.last.count == (start + TRIAL_SIZE - first) / PAGE;
}

/* All that is relied on: marks of pages that are there, writes and MADV_DONTNEED that take them
 * away, and that pages without any table have none. */
static bool works(int pagemap, volatile uint8_t *memory)
{
    uint64_t start = (uintptr_t)memory;
    _cleanup_page_runs_ struct page_runs runs = {0};

    memory[0] = memory[PAGE] = memory[2 * PAGE] = 1;
    if (pagemap_protect(pagemap, false, start, start + TRIAL_SIZE, &runs, NULL) < 0 ||
        page_runs_count(&runs) != 3 || !unmarked_from(pagemap, start, start + 3ull * PAGE))
        return false;
    memory[2 * PAGE] = 2;
    if (!unmarked_from(pagemap, start, start + 2ull * PAGE))
        return false;
    return madvise((void *)(memory + PAGE), PAGE, MADV_DONTNEED) == 0 &&
           unmarked_from(pagemap, start, start + PAGE) &&
           madvise((void *)memory, TRIAL_SIZE, MADV_DONTNEED) == 0 &&
           unmarked_from(pagemap, start, start);
}

static int try_memory(int fd, int pagemap)
{
    void *memory =
        mmap(NULL, TRIAL_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return -ENOMEM;
    madvise(memory, TRIAL_SIZE, MADV_NOHUGEPAGE); /* or 2 MiB would be there at once */
    int r = add_range(fd, (uintptr_t)memory, (uintptr_t)memory + TRIAL_SIZE);
    if (r == 0 && !works(pagemap, memory))
        r = -ENOTSUP;
    munmap(memory, TRIAL_SIZE);
    return r;
}

static int trial_result;

static void try_once(void)
{
    _cleanup_close_ int fd = -1, pagemap = -1;
    unsigned n_filters = 0;

    /* A filter that we live under may kill for an unusual call. */
    trial_result = sandbox_own_filters(&n_filters, NULL) < 0 || n_filters > 0 ? -EPERM : 0;
    if (trial_result == 0 && (fd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_ONLY)) < 0)
        trial_result = -errno;
    if (trial_result == 0)
        trial_result = enable(fd);
    if (trial_result == 0 && (pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)) < 0)
        trial_result = -errno;
    if (trial_result == 0)
        trial_result = try_memory(fd, pagemap);
}

int track_check(struct crs_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, try_once);
    if (trial_result < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "this kernel doesn't tell, or not this user, which pages a program writes "
                        "to: that takes Linux 6.7 and userfaultfd(2)");
    return 0;
}

/* ---- a process ---- */

int track_begin(struct tracee *t, struct track **ret, struct crs_error *err)
{
    _cleanup_(cleanup_track) struct track *track = calloc(1, sizeof(*track));

    if (!track)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    track->fd = -1;
    int r = tracee_take_fd(t, &track->fd, err, "make a userfaultfd", SYS_userfaultfd,
                           (const uint64_t[6]){O_CLOEXEC | UFFD_USER_ONLY});
    if (r < 0)
        return r;
    r = enable(track->fd);
    if (r < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, -r, "can't track the memory of process %d: %s",
                        t->pid, strerror(-r));
    *ret = TAKE_PTR(track);
    return 0;
}

int track_add(struct track *track, uint64_t start, uint64_t end)
{
    struct uffd_range *range = ARRAY_ADD(&track->ranges);

    if (!range)
        return -ENOMEM;
    *range = (struct uffd_range){start, end - start};
    int r = add_range(track->fd, start, end);
    if (r < 0)
        track->ranges.n--;
    return r;
}

void track_begin_again(struct track *track)
{
    track->ranges.n = 0;
}

bool track_covers(const struct track *track, uint64_t start, uint64_t end)
{
    for (size_t i = 0; i < track->ranges.n; i++) {
        const struct uffd_range *range = &track->ranges.items[i];
        if (range->start < end && range->start + range->size > start)
            return true;
    }
    return false;
}

/* Whatever it is by now: where nothing of ours is, nothing happens. */
static void end_range(int fd, const struct uffd_range *range)
{
    uint64_t end = range->start + range->size;

    for (uint64_t at = range->start, next; at < end; at = next) {
        next = (at + END_BYTES) & ~(HUGE_PAGE - 1);
        struct uffd_range part = {at, (next < end ? next : end) - at};
        ioctl(fd, UFFD_UNREGISTER, &part);
    }
}

void track_free(struct track *track)
{
    if (!track)
        return;
    for (size_t i = 0; i < track->ranges.n; i++)
        end_range(track->fd, &track->ranges.items[i]);
    cleanup_close(&track->fd);
    free(track->ranges.items);
    free(track);
}
