/*
 * io_uring_state.c - what an io_uring is about at the moment
 *
 * The kernel doesn't tell which requests it is about, with one exception (those that wait until a
 * file is ready). But it counts: what it has taken, and what it has answered.
 *
 * Reads and writes of files end by themselves within moments. Their answers arrive when a thread
 * that has made them returns from a system call: so the frozen threads make one that does nothing.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/io_uring.h"

#define INFO_LIMIT   (64u << 20)
#define N_READS      50 /* while another thread of the kernel has the ring's lock */
#define READ_REST_US 200

#define SETTLE_US       (40 * 1000)
#define SETTLE_FIRST_US 100
#define SETTLE_MOST_US  5000

static int read_once(int fd, struct proc_uring *ret, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    char path[40];

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    int r = read_file(AT_FDCWD, path, INFO_LIMIT, &text);
    if (r == 0)
        r = proc_uring_parse((const char *)text.data, ret);
    return r < 0 ? crs_fail(err, CRS_FAILED, -r, "can't read about an io_uring in /proc: %s",
                            strerror(-r))
                 : 0;
}

int uring_read(int fd, struct proc_uring *ret, struct crs_error *err)
{
    int r = 0;

    for (int i = 0; i < N_READS; i++) {
        r = read_once(fd, ret, err);
        if (r < 0 || (ret->has_counters && ret->has_lists))
            return r;
        if (i < N_READS - 1)
            proc_uring_clear(ret);
        usleep(READ_REST_US);
    }
    return 0;
}

int32_t uring_in_flight(const struct proc_uring *ring, uint32_t dropped, uint32_t lost)
{
    return (int32_t)(ring->sq_consumed - dropped - ring->cq_posted - ring->n_overflown - lost);
}

/* ---- settle ---- */

/* Its own thread may still have some to take. */
static bool is_busy(const struct proc_uring *ring)
{
    if (!ring->has_counters || !ring->has_lists)
        return false; /* the dump will say so */
    return (ring->sq_consumed != ring->cq_posted + ring->n_overflown ||
            (ring->sq_thread != -1 && ring->sq_tail != ring->sq_consumed)) &&
           ring->n_polled == 0;
}

/* Whatever waits to be done for a thread is done on its way through the kernel. */
static int pass_through_kernel(struct tracee *t, struct crs_error *err)
{
    int64_t result;
    int r = 0;

    tracee_for_each_thread (t, th)
        r = r < 0 ? r : REMOTE(th, &result, err, SYS_getppid, 0);
    return r;
}

/* Where some requests have never had an answer (IOSQE_CQE_SKIP_SUCCESS) this takes its time, and
 * the dump decides. */
static int settle_held(const struct open_file *file, struct crs_error *err)
{
    uint64_t until = now_us() + SETTLE_US;
    unsigned rest_us = SETTLE_FIRST_US;
    int r = 0;

    while (r == 0) {
        _cleanup_proc_uring_ struct proc_uring ring = {0};
        r = uring_read(file->dup_fd, &ring, err);
        if (r < 0 || !is_busy(&ring) || now_us() > until)
            break;
        r = pass_through_kernel(file->holder, err);
        usleep(rest_us);
        rest_us = rest_us < SETTLE_MOST_US ? 2 * rest_us : rest_us;
    }
    return r;
}

static int settle_ring(struct open_file *file, struct crs_error *err)
{
    int r = file_hold(file, err);

    if (r == 0)
        r = settle_held(file, err);
    file_let_go(file);
    return r;
}

int io_uring_settle(struct kobj_dump *ctx, bool *ret_found, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < ctx->files.n; i++) {
        if (!file_is_anonymous(&ctx->files.items[i], "[io_uring]"))
            continue;
        *ret_found = true;
        r = settle_ring(&ctx->files.items[i], err);
    }
    return r;
}
