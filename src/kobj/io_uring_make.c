/*
 * io_uring_make.c - an io_uring in a restarted process
 *
 * It is made by the process itself, by the thread that had it: the kernel keeps whose it is, and
 * doesn't let rings be passed through sockets (Linux 6.7 and later). An eventfd has stood in for it
 * until now.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kobj/io_uring_wind.h"
#include "kobj/ring_mapping.h"
#include "kobj/ring_room.h"

/*
 * With TASKRUN_FLAG a program that only looks at the ring is told when to enter the kernel; one
 * that didn't ask for it enters anyway. With SUBMIT_ALL nothing is left behind a faulty request;
 * whoever didn't ask for it goes by the number that was submitted. Without COOP_TASKRUN answers
 * come by themselves.
 */
#define SUITS_ALL      URING_SETUP_SUBMIT_ALL
#define THREAD_IDLE_MS 50

struct ring {
    struct kobj_restore *ctx;
    const Crs__OpenFile *record;
    const Crs__IoUring *m;
    struct tracee_thread *thread;
    int remote_fd, fd; /* in the process, before it has its number; ours */
    struct uring_map map;
};

static void ring_clear(struct ring *ring)
{
    uring_unmap(&ring->map);
    cleanup_close(&ring->fd);
}

static struct tracee_thread *find_thread(const struct kobj_restore *ctx, uint32_t tid)
{
    for (size_t i = 0; i < ctx->process->n_threads; i++)
        if (ctx->process->threads[i]->tid == tid)
            return &ctx->t->threads[i];
    return NULL;
}

/* ---- set up ---- */

static int call_setup(const struct ring *ring, struct io_uring_params *params, int64_t *ret,
                      struct crs_error *err)
{
    return tracee_call_with_block(ring->thread, ret, err, SYS_io_uring_setup,
                                  (const uint64_t[6]){ring->m->sq_entries, 0}, 1, params, params,
                                  sizeof(*params));
}

static int set_up(struct ring *ring, struct io_uring_params *ret_params, struct crs_error *err)
{
    const Crs__IoUring *m = ring->m;
    struct io_uring_params params = {.flags = m->setup_flags | IORING_SETUP_CQSIZE | SUITS_ALL,
                                     .cq_entries = m->cq_entries,
                                     .sq_thread_cpu = m->sq_cpu,
                                     .sq_thread_idle = THREAD_IDLE_MS};
    struct io_uring_params older;
    int64_t result;

    if (m->setup_flags & URING_SETUP_DEFER_TASKRUN)
        params.flags |= URING_SETUP_TASKRUN_FLAG;
    if (m->shares_thread_of) {
        params.flags |= IORING_SETUP_ATTACH_WQ;
        params.wq_fd = file_number(ring->ctx, m->shares_thread_of);
    }
    older = params;
    older.flags &= ~SUITS_ALL;
    int r = call_setup(ring, &params, &result, err);
    if (r == 0 && result == -EINVAL) {
        params = older;
        r = call_setup(ring, &params, &result, err);
    }
    if (r == 0 && result < 0)
        return crs_fail(err, CRS_CANT_RESTART, -result,
                        "can't make an io_uring of %u entries: %s%s", m->sq_entries,
                        strerror(-result),
                        result == -EPERM ? " (see /proc/sys/kernel/io_uring_disabled)" : "");
    ring->remote_fd = result;
    *ret_params = params;
    return r;
}

static int view(struct ring *ring, const struct io_uring_params *params, struct crs_error *err)
{
    struct uring_layout layout;
    int r = tracee_get_fd(ring->ctx->t, ring->remote_fd, &ring->fd, err);

    if (r < 0)
        return r;
    uring_layout_of(params, &layout);
    r = uring_map(ring->fd, &layout, &ring->map);
    return r < 0 ? crs_fail(err, CRS_CANT_RESTART, -r, "can't map an io_uring: %s", strerror(-r))
                 : 0;
}

/* ---- what was in it ---- */

static void fill_part(void *to, size_t size, const ProtobufCBinaryData *from)
{
    memset(to, 0, size);
    if (from->len > 0) /* the check has seen that it fits */
        memcpy(to, from->data, from->len);
}

/* The tails last: a thread of the kernel may look at them. */
static void fill(const struct ring *ring)
{
    const struct uring_layout *l = &ring->map.layout;
    const struct io_sqring_offsets *sq = &l->params.sq_off;
    const struct io_cqring_offsets *cq = &l->params.cq_off;
    const Crs__IoUring *m = ring->m;

    fill_part(ring->map.sqes, l->sqes_size, &m->sqes);
    fill_part(ring->map.ring + cq->cqes, l->params.cq_entries * l->cqe_size, &m->cqes);
    if (l->has_array)
        fill_part(ring->map.ring + sq->array, l->params.sq_entries * sizeof(uint32_t),
                  &m->sq_array);
    *uring_word(&ring->map, sq->dropped) = m->sq_dropped;
    *uring_word(&ring->map, cq->overflow) = m->cq_lost;
    *uring_word(&ring->map, cq->flags) = m->cq_flags;
    *uring_word(&ring->map, cq->head) = m->cq_head;
    *uring_word(&ring->map, sq->tail) = m->sq_tail;
}

/* ---- its mappings ---- */

static int map_part(const struct ring *ring, const Crs__Vma *vma, uint64_t address, uint32_t flags,
                    int64_t *ret, struct crs_error *err)
{
    return REMOTE(ring->thread, ret, err, SYS_mmap, address, vma->end - vma->start, vma->protection,
                  MAP_SHARED | flags, ring->remote_fd, vma->offset);
}

static int check_part(const struct ring *ring, const Crs__Vma *vma, int64_t at,
                      struct crs_error *err)
{
    if (at < 0 && at >= -4095)
        return crs_fail(err, CRS_CANT_RESTART, -at, "can't map an io_uring at %#llx: %s",
                        (unsigned long long)vma->start, strerror(-at));
    if ((uint64_t)at != vma->start)
        return crs_fail(err, CRS_CANT_RESTART, EEXIST,
                        "can't map an io_uring at %#llx: it went to %#llx",
                        (unsigned long long)vma->start, (unsigned long long)at);
    return ring_advise(ring->thread, vma, err);
}

/* Its mappings, in order. */
static size_t list_parts(const struct ring *ring, const Crs__AddressSpace *space,
                         const Crs__Vma **ret)
{
    size_t n = 0;

    for (size_t i = 0; i < space->n_vmas; i++)
        if (space->vmas[i]->kind == CRS__VMA_KIND__VMA_RING &&
            space->vmas[i]->ring == ring->record->id)
            ret[n++] = space->vmas[i];
    return n;
}

/* Where the kernel chooses the address. */
static int map_in_room(const struct ring *ring, const Crs__Vma *const *parts, size_t n,
                       struct crs_error *err)
{
    _cleanup_ring_room_ struct ring_room room = {0};
    int64_t at;
    int r = ring_room_take(ring->thread, &room, err);

    for (size_t i = 0; r == 0 && i < n; i++) {
        r = ring_room_open(ring->thread, parts[i], err);
        if (r == 0)
            r = map_part(ring, parts[i], 0, 0, &at, err);
        if (r == 0)
            r = check_part(ring, parts[i], at, err);
    }
    return r < 0 ? r : ring_room_give_back(ring->thread, &room, parts, n, err);
}

static int map_parts(const struct ring *ring, struct crs_error *err)
{
    const Crs__AddressSpace *space = ring_space(ring->ctx, ring->ctx->process);
    _cleanup_free_ const Crs__Vma **parts = space ? calloc(space->n_vmas, sizeof(*parts)) : NULL;
    int64_t at;
    int r = 0;

    if (!parts)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    size_t n = list_parts(ring, space, parts);
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = map_part(ring, parts[i], parts[i]->start, MAP_FIXED_NOREPLACE, &at, err);
        if (r == 0 && i == 0 && at == -EINVAL)
            return map_in_room(ring, parts, n, err);
        if (r == 0)
            r = check_part(ring, parts[i], at, err);
    }
    return r;
}

/* ---- what is registered ---- */

static int register_buffers(const struct ring *ring, struct crs_error *err)
{
    struct iovec iov[URING_MAX_BUFFERS];
    const Crs__IoUring *m = ring->m;
    int64_t result;

    if (m->n_buffers == 0)
        return 0;
    for (size_t i = 0; i < m->n_buffers; i++)
        iov[i] = (struct iovec){(void *)m->buffers[i]->address,
                                m->buffers[i]->address ? m->buffers[i]->size : 0};
    int r = tracee_call_with_block(
        ring->thread, &result, err, SYS_io_uring_register,
        (const uint64_t[6]){ring->remote_fd, IORING_REGISTER_BUFFERS, 0, m->n_buffers}, 2, iov,
        NULL, m->n_buffers * sizeof(iov[0]));
    if (r == 0 && result < 0)
        return crs_fail(err, CRS_CANT_RESTART, -result,
                        "can't register %zu buffers with an io_uring: %s%s", m->n_buffers,
                        strerror(-result),
                        result == -ENOMEM ? "; raise the limit of locked memory (ulimit -l)" : "");
    return r;
}

static int register_ring(const struct ring *ring, const Crs__IoUringRegistered *place,
                         struct crs_error *err)
{
    struct io_uring_rsrc_update update = {.offset = place->place, .data = ring->remote_fd};
    struct tracee_thread *th = find_thread(ring->ctx, place->tid);
    int64_t result;

    if (!th)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "an io_uring is registered with no thread");
    int r =
        tracee_call_with_block(th, &result, err, SYS_io_uring_register,
                               (const uint64_t[6]){ring->remote_fd, URING_REGISTER_RING_FDS, 0, 1},
                               2, &update, NULL, sizeof(update));
    return r == 0 && result < 0
               ? crs_fail(err, CRS_CANT_RESTART, -result,
                          "can't register an io_uring with a thread: %s", strerror(-result))
               : r;
}

/* ---- its numbers ---- */

static int put_in_place(const struct ring *ring, struct crs_error *err)
{
    const Crs__Process *p = ring->ctx->process;
    int r = file_set_flags(ring->fd, ring->record, err);

    for (size_t i = 0; r == 0 && i < p->n_descriptors; i++)
        if (p->descriptors[i]->file == ring->record->id)
            r = REMOTE_CHECKED(ring->thread, NULL, err, CRS_FAILED, "place an io_uring", SYS_dup3,
                               ring->remote_fd, p->descriptors[i]->fd,
                               p->descriptors[i]->close_on_exec ? O_CLOEXEC : 0);
    return r < 0 ? r
                 : REMOTE_CHECKED(ring->thread, NULL, err, CRS_FAILED, "close an io_uring",
                                  SYS_close, ring->remote_fd);
}

static int fill_ring(struct ring *ring, struct crs_error *err)
{
    struct io_uring_params params;
    int r = set_up(ring, &params, err);

    if (r == 0)
        r = view(ring, &params, err);
    struct uring_winder w = {ring->ctx, &ring->map, ring->fd, ring->thread, ring->remote_fd};
    if (r == 0)
        r = uring_wind(&w, ring->m->sq_consumed, ring->m->cq_posted, err);
    if (r == 0)
        fill(ring);
    return r;
}

static int make(struct kobj_restore *ctx, const Crs__OpenFile *record, const Crs__IoUring *m,
                struct crs_error *err)
{
    _cleanup_(ring_clear) struct ring ring = {
        .ctx = ctx, .record = record, .m = m, .thread = tracee_main(ctx->t), .fd = -1};

    if (m->submitter)
        ring.thread = find_thread(ctx, m->submitter);
    if (!ring.thread)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "an io_uring is of no thread");
    int r = fill_ring(&ring, err);
    if (r == 0)
        r = map_parts(&ring, err);
    if (r == 0)
        r = register_buffers(&ring, err);
    for (size_t i = 0; r == 0 && i < m->n_registered; i++)
        r = register_ring(&ring, m->registered[i], err);
    return r == 0 ? put_in_place(&ring, err) : r;
}

static int restore_one(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    Crs__IoUring *m;
    size_t n;
    const struct file_holder *first = file_holders_of(ctx, record->id, &n);

    if (n != 1)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "an io_uring belongs to %zu processes", n);
    file_enter(ctx, first);
    int r = uring_unpack(record, &m, err);
    if (r < 0)
        return r;
    r = make(ctx, record, m, err);
    crs__io_uring__free_unpacked(m, NULL);
    return r < 0 ? crs_fail_at(err, r, "fd %d of process %u", first->fd, ctx->process->pid) : 0;
}

int io_uring_restore_all(struct kobj_restore *ctx, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < ctx->files->n_files; i++)
        if (strcmp(ctx->files->files[i]->kind, kobj_io_uring.name) == 0)
            r = restore_one(ctx, ctx->files->files[i], err);
    return r;
}
