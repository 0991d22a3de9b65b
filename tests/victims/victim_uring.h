/* victim_uring.h - an io_uring by its bare system calls */
#ifndef VICTIM_URING_H
#define VICTIM_URING_H

#include <linux/io_uring.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "victim.h"

/* Not in older headers. */
#define RING_SQE128        (1u << 10)
#define RING_CQE32         (1u << 11)
#define RING_SINGLE_ISSUER (1u << 12)
#define RING_DEFER_TASKRUN (1u << 13)
#define RING_NO_SQARRAY    (1u << 16)

struct ring {
    int fd;
    struct io_uring_params p;
    uint8_t *rings, *sqes;
    size_t rings_size, sqes_size, sqe_size, cqe_size;
    uint32_t sq_tail; /* our own, as a library keeps it */
};

static inline _Atomic uint32_t *ring_word(const struct ring *r, uint32_t offset)
{
    return (_Atomic uint32_t *)(r->rings + offset);
}

/* With r->p as it is wanted. false: this kernel can't. */
static inline bool ring_set_up(struct ring *r, uint32_t entries)
{
    uint32_t flags = r->p.flags;

    r->p.sq_thread_idle = 20;
    r->fd = syscall(SYS_io_uring_setup, entries, &r->p);
    if (r->fd < 0)
        return false;
    r->sqe_size = flags & RING_SQE128 ? 128 : 64;
    r->cqe_size = flags & RING_CQE32 ? 32 : 16;
    r->sqes_size = r->p.sq_entries * r->sqe_size;
    r->rings_size = r->p.cq_off.cqes + r->p.cq_entries * r->cqe_size;
    if (!(flags & RING_NO_SQARRAY))
        r->rings_size = r->p.sq_off.array + r->p.sq_entries * sizeof(uint32_t);
    r->rings = mmap(NULL, r->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd,
                    IORING_OFF_SQ_RING);
    r->sqes = mmap(NULL, r->sqes_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd,
                   IORING_OFF_SQES);
    MUST(r->rings != MAP_FAILED && r->sqes != MAP_FAILED);
    return true;
}

/* cq_entries: 0: as usual. */
static inline bool ring_try(struct ring *r, uint32_t entries, uint32_t flags, uint32_t cq_entries)
{
    *r = (struct ring){.p.flags = flags | (cq_entries ? IORING_SETUP_CQSIZE : 0),
                       .p.cq_entries = cq_entries};
    return ring_set_up(r, entries);
}

/* With the thread of the ring `other`. */
static inline bool ring_try_attached(struct ring *r, uint32_t entries, uint32_t flags, int other)
{
    *r = (struct ring){.p.flags = flags | IORING_SETUP_ATTACH_WQ, .p.wq_fd = other};
    return ring_set_up(r, entries);
}

/* Where io_uring is forbidden, the test is skipped. */
static inline void ring_make(struct ring *r, uint32_t entries, uint32_t flags)
{
    if (ring_try(r, entries, flags, 0))
        return;
    fprintf(stderr, "io_uring_setup with the flags 0x%x: %s\n", flags, strerror(errno));
    _exit(77);
}

/* The next request, zeroed. */
static inline struct io_uring_sqe *ring_next(struct ring *r, uint8_t opcode, uint64_t user_data)
{
    uint32_t place = r->sq_tail & (r->p.sq_entries - 1);
    struct io_uring_sqe *sqe = (void *)(r->sqes + place * r->sqe_size);

    memset(sqe, 0, r->sqe_size);
    sqe->opcode = opcode;
    sqe->user_data = user_data;
    if (!(r->p.flags & RING_NO_SQARRAY))
        ((uint32_t *)(r->rings + r->p.sq_off.array))[place] = place;
    r->sq_tail++;
    return sqe;
}

/* Show the kernel what was prepared. */
static inline void ring_publish(struct ring *r)
{
    *ring_word(r, r->p.sq_off.tail) = r->sq_tail;
}

static inline int ring_enter(struct ring *r, uint32_t n, uint32_t min, uint32_t flags)
{
    return syscall(SYS_io_uring_enter, r->fd, n, min, flags | (min ? IORING_ENTER_GETEVENTS : 0),
                   NULL, 0);
}

/* Publish and submit all, and wait for `min` answers in the ring. */
static inline void ring_submit(struct ring *r, uint32_t min)
{
    uint32_t n = r->sq_tail - *ring_word(r, r->p.sq_off.head);

    ring_publish(r);
    CHECK_EQ(ring_enter(r, n, min, min ? IORING_ENTER_GETEVENTS : 0), n);
}

static inline uint32_t ring_waiting(struct ring *r)
{
    return *ring_word(r, r->p.cq_off.tail) - *ring_word(r, r->p.cq_off.head);
}

/* The i-th answer that waits. */
static inline struct io_uring_cqe *ring_answer(struct ring *r, uint32_t i)
{
    uint32_t place = (*ring_word(r, r->p.cq_off.head) + i) & (r->p.cq_entries - 1);

    return (void *)(r->rings + r->p.cq_off.cqes + place * r->cqe_size);
}

static inline void ring_take(struct ring *r, uint32_t n)
{
    *ring_word(r, r->p.cq_off.head) += n;
}

/* Take one, which must be there, and be this. */
static inline void ring_expect(struct ring *r, uint64_t user_data, int32_t res)
{
    CHECK(ring_waiting(r) > 0);
    if (ring_waiting(r) == 0)
        return;
    CHECK_EQ(ring_answer(r, 0)->user_data, user_data);
    CHECK_EQ(ring_answer(r, 0)->res, res);
    ring_take(r, 1);
}

/* `n` requests that do nothing, and their answers. */
static inline void ring_spin(struct ring *r, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        ring_next(r, IORING_OP_NOP, i);
        ring_submit(r, 1);
        ring_expect(r, i, 0);
    }
}

#endif
