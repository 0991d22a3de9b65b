/* io_uring_map.c - where things are in an io_uring, and a view of one */
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kobj/io_uring.h"

#define SQE_SIZE 64u
#define CQE_SIZE 16u

void uring_layout_of(const struct io_uring_params *params, struct uring_layout *ret)
{
    uint32_t flags = params->flags;

    *ret = (struct uring_layout){
        .params = *params,
        .sqe_size = flags & URING_SETUP_SQE128 ? 2 * SQE_SIZE : SQE_SIZE,
        .cqe_size = flags & URING_SETUP_CQE32 ? 2 * CQE_SIZE : CQE_SIZE,
        .has_array = !(flags & URING_SETUP_NO_SQARRAY),
    };
    ret->sqes_size = params->sq_entries * ret->sqe_size;
    ret->ring_size = params->cq_off.cqes + params->cq_entries * ret->cqe_size;
    if (ret->has_array) /* behind the completions */
        ret->ring_size = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
}

int uring_layout_get(uint32_t sq_entries, uint32_t cq_entries, uint32_t flags,
                     struct uring_layout *ret)
{
    struct io_uring_params params = {.flags = (flags & URING_LAYOUT_FLAGS) | IORING_SETUP_CQSIZE,
                                     .cq_entries = cq_entries};
    _cleanup_close_ int fd = syscall(SYS_io_uring_setup, sq_entries, &params);

    if (fd < 0)
        return -errno;
    if (params.sq_entries != sq_entries || params.cq_entries != cq_entries)
        return -EINVAL;
    uring_layout_of(&params, ret);
    return 0;
}

void uring_layout_offsets(const struct uring_layout *layout, uint32_t ret[URING_N_OFFSETS])
{
    const struct io_sqring_offsets *sq = &layout->params.sq_off;
    const struct io_cqring_offsets *cq = &layout->params.cq_off;
    const uint32_t offsets[URING_N_OFFSETS] = {
        sq->head, sq->tail, sq->ring_mask, sq->ring_entries, sq->flags,    sq->dropped, sq->array,
        cq->head, cq->tail, cq->ring_mask, cq->ring_entries, cq->overflow, cq->cqes,    cq->flags,
    };

    memcpy(ret, offsets, sizeof(offsets));
}

static int map_part(int fd, size_t size, uint64_t offset, uint8_t **ret)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

    if (p == MAP_FAILED)
        return -errno;
    *ret = p;
    return 0;
}

int uring_map_ring(int fd, const struct uring_layout *layout, struct uring_map *ret)
{
    struct uring_map map = {.layout = *layout};
    int r = map_part(fd, layout->ring_size, IORING_OFF_SQ_RING, &map.ring);

    if (r == 0)
        *ret = map;
    return r;
}

int uring_map(int fd, const struct uring_layout *layout, struct uring_map *ret)
{
    struct uring_map map = {0};
    int r = uring_map_ring(fd, layout, &map);

    if (r == 0)
        r = map_part(fd, layout->sqes_size, IORING_OFF_SQES, &map.sqes);
    if (r < 0)
        uring_unmap(&map);
    else
        *ret = map;
    return r;
}

void uring_unmap(struct uring_map *map)
{
    if (map->ring)
        munmap(map->ring, map->layout.ring_size);
    if (map->sqes)
        munmap(map->sqes, map->layout.sqes_size);
    map->ring = map->sqes = NULL;
}
