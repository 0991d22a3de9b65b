/*
 * aio.c - contexts of asynchronous I/O (io_setup), with the events that wait in their rings
 *
 * A context's ID is the address of its ring, which is mapped with it. The kernel lets the ring be
 * moved, and has a position of its own in it, which is brought to where it was by reads of nothing.
 *
 * The kernel doesn't tell whether requests are in flight. Those on files end when the devices have
 * done their work, and then their events are in the ring, whatever the program does.
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "aio.pb-c.h"
#include "base/io.h"
#include "kobj/aio.h"
#include "kobj/attributes.h"
#include "kobj/ring_mapping.h"
#include "proc/maps.h"

#define PAGE         4096u
#define MAPS_LIMIT   (256u << 20)
#define RING_MAGIC   0xa10a10a1u
#define EVENT_SIZE   sizeof(struct io_event)
#define MAX_CONTEXTS 65536u
#define MAX_SIZE     (1u << 28)

_Static_assert(sizeof(struct io_event) == 32, "an event has the size of the ring's head");

/* What the ring begins with. */
struct ring_head {
    uint32_t id, n_places, head, tail, magic, features[2], length;
};

_Static_assert(sizeof(struct ring_head) == 32, "as the kernel has it");

/* ---- of a live process ---- */

bool aio_is_used(void)
{
    _cleanup_bytes_ struct bytes text = {0};

    return read_file(AT_FDCWD, "/proc/sys/fs/aio-nr", 64, &text) < 0 ||
           atoll((const char *)text.data) != 0;
}

static bool is_ring(const struct proc_map *map)
{
    return strncmp(map->name, "/[aio]", 6) == 0 && proc_map_marked_deleted(map) && map->shared;
}

int aio_rings(struct tracee *t, struct proc_maps *ret, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    _cleanup_proc_maps_ struct proc_maps maps = {0};
    size_t n = 0;
    int r = kobj_read_proc(t, &text, err, "task/%d/maps", tracee_main(t)->tid);

    if (r == 0)
        r = proc_maps_parse((const char *)text.data, text.size, &maps, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < maps.n; i++)
        if (is_ring(&maps.items[i]))
            maps.items[n++] = maps.items[i];
    maps.n = n;
    *ret = maps;
    maps = (struct proc_maps){0};
    return 0;
}

/* ---- dump ---- */

static int refuse(const struct tracee *t, const struct proc_map *map, const char *reason,
                  const char *remedy, struct crs_error *err)
{
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                    "the context of asynchronous I/O at %#llx of process %d %s; %s",
                    (unsigned long long)map->start, t->pid, reason, remedy);
}

static uint64_t ring_size(uint32_t n_places)
{
    return (sizeof(struct ring_head) + n_places * EVENT_SIZE + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

/* A child has its parent's mapping, but not the context. */
static int check_context(struct tracee *t, const struct proc_map *map, const struct ring_head *head,
                         struct crs_error *err)
{
    int64_t result;
    int r = REMOTE(tracee_main(t), &result, err, SYS_io_getevents, map->start, 0, 0, 0, 0);

    if (r < 0)
        return r;
    if (result < 0)
        return refuse(t, map, "is of another process, or gone, and only its ring is mapped here",
                      "unmap the ring before the checkpoint", err);
    if (head->magic != RING_MAGIC || map->end - map->start != ring_size(head->n_places) ||
        head->head >= head->n_places || head->tail >= head->n_places)
        return refuse(t, map, "has a ring of an unknown form, or only a part of it is mapped",
                      "call io_destroy() before the checkpoint", err);
    return 0;
}

static uint32_t count_events(const Crs__AioContext *c)
{
    return c->head <= c->tail ? c->tail - c->head : c->n_places - c->head + c->tail;
}

/* Events from `head` on: two pieces where they go round the end. */
struct pieces {
    uint64_t first_at, first_size, rest_size;
};

static struct pieces pieces_of(const Crs__AioContext *c)
{
    uint32_t n = count_events(c);
    uint32_t first = n < c->n_places - c->head ? n : c->n_places - c->head;

    return (struct pieces){c->address + sizeof(struct ring_head) + c->head * EVENT_SIZE,
                           first * EVENT_SIZE, (n - first) * EVENT_SIZE};
}

static int take_events(struct tracee *t, Crs__AioContext *c, struct crs_error *err)
{
    struct pieces p = pieces_of(c);
    int r = 0;

    c->events.len = p.first_size + p.rest_size;
    c->events.data = malloc(c->events.len + 1);
    if (!c->events.data)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (p.first_size)
        r = tracee_read(t, p.first_at, c->events.data, p.first_size, err);
    if (r == 0 && p.rest_size)
        r = tracee_read(t, c->address + sizeof(struct ring_head), c->events.data + p.first_size,
                        p.rest_size, err);
    return r;
}

static int take_context(struct tracee *t, const struct proc_map *map, Crs__AioContext *c,
                        struct crs_error *err)
{
    struct ring_head head;
    int r = tracee_read(t, map->start, &head, sizeof(head), err);

    if (r == 0)
        r = check_context(t, map, &head, err);
    if (r < 0)
        return r;
    c->address = map->start;
    c->size = map->end - map->start;
    c->n_places = head.n_places;
    c->head = head.head;
    c->tail = head.tail;
    return take_events(t, c, err);
}

static int take_contexts(struct tracee *t, const struct proc_maps *rings, Crs__Aio *m,
                         struct crs_error *err)
{
    int r = 0;

    m->contexts = calloc(rings->n, sizeof(*m->contexts));
    if (!m->contexts)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && i < rings->n; i++) {
        Crs__AioContext *c = malloc(sizeof(*c));
        if (!c)
            return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
        crs__aio_context__init(c);
        m->contexts[m->n_contexts++] = c;
        r = take_context(t, &rings->items[i], c, err);
    }
    return r;
}

static int dump(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    _cleanup_proc_maps_ struct proc_maps rings = {0};
    _cleanup_message_ Crs__Aio *m = NULL;
    int r = aio_is_used() ? aio_rings(ctx->t, &rings, err) : 0;

    if (r < 0 || rings.n == 0)
        return r;
    m = malloc(sizeof(*m));
    if (!m)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__aio__init(m);
    r = take_contexts(ctx->t, &rings, m, err);
    return r == 0 ? kobj_pack(&m->base, ret_payload, err) : r;
}

/* ---- check ---- */

/* The least that gives a ring of that size; the kernel doubles it, and has a minimum for each CPU
 * that there could be. */
static uint32_t places_to_ask_for(uint64_t size)
{
    uint64_t pages = size / PAGE;

    return pages > 1 ? 64 * (pages - 1) - 1 : 1;
}

static uint64_t count_possible_cpus(void)
{
    _cleanup_bytes_ struct bytes text = {0};

    if (read_file(AT_FDCWD, "/sys/devices/system/cpu/possible", 4096, &text) < 0)
        return 1; /* then io_setup() decides */
    const char *last = strrchr((const char *)text.data, '-');
    return last ? strtoull(last + 1, NULL, 10) + 1 : 1;
}

static int check_one(const Crs__AioContext *c, struct crs_error *err)
{
    uint64_t n_cpus = count_possible_cpus();

    if (c->size == 0 || c->size > MAX_SIZE || c->n_places > MAX_SIZE / EVENT_SIZE ||
        (c->address | c->size) % PAGE || c->size != ring_size(c->n_places) ||
        c->head >= c->n_places || c->tail >= c->n_places ||
        c->events.len != count_events(c) * EVENT_SIZE)
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "a context of asynchronous I/O can't be like that");
    if (ring_size(2 * 4 * n_cpus + 2) > c->size)
        return crs_fail(err, CRS_CANT_RESTART, ENOTSUP,
                        "a context of asynchronous I/O has a ring of %llu KiB, and this kernel "
                        "makes none smaller than %llu KiB, because it may have %llu CPUs",
                        (unsigned long long)c->size >> 10,
                        (unsigned long long)ring_size(2 * 4 * n_cpus + 2) >> 10,
                        (unsigned long long)n_cpus);
    return 0;
}

static int check(struct kobj_restore *ctx, const Crs__Process *process, const struct bytes *payload,
                 struct crs_error *err)
{
    _cleanup_message_ Crs__Aio *m = NULL;
    int r = kobj_unpack(&crs__aio__descriptor, payload, &m, err);

    if (r == 0 && m->n_contexts > MAX_CONTEXTS)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "there are %zu contexts of asynchronous I/O",
                        m->n_contexts);
    for (size_t i = 0; r == 0 && i < m->n_contexts; i++)
        r = check_one(m->contexts[i], err);
    return r;
}

/* ---- restore ---- */

#define MAKE "make a context of asynchronous I/O"
#define CANT "can't " MAKE

/* New rings must not lie where others will. */
static int reserve(struct tracee_thread *th, const Crs__AioContext *c, struct crs_error *err)
{
    int64_t at;
    int r = REMOTE_CHECKED(th, &at, err, CRS_CANT_RESTART, MAKE, SYS_mmap, c->address, c->size,
                           PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    return r == 0 && (uint64_t)at != c->address
               ? crs_fail(err, CRS_CANT_RESTART, EEXIST, CANT " at %#llx",
                          (unsigned long long)c->address)
               : r;
}

static int set_up(struct tracee_thread *th, const Crs__AioContext *c, struct crs_error *err)
{
    uint64_t id = 0;
    int64_t result;
    int r = tracee_call_with_block(th, &result, err, SYS_io_setup,
                                   (const uint64_t[6]){places_to_ask_for(c->size), 0}, 1, &id, &id,
                                   sizeof(id));

    if (r == 0 && result < 0)
        return crs_fail(err, CRS_CANT_RESTART, -result, CANT ": %s%s", strerror(-result),
                        result == -EAGAIN ? " (see /proc/sys/fs/aio-max-nr)" : "");
    if (r == 0)
        r = REMOTE_CHECKED(th, NULL, err, CRS_CANT_RESTART, MAKE, SYS_mremap, id, c->size, c->size,
                           MREMAP_MAYMOVE | MREMAP_FIXED, c->address);
    return r;
}

/* What does nothing: reads of no bytes from an empty file of ours. */
#define BATCH 64
struct nothing {
    struct iocb iocb;
    uint64_t pointers[BATCH];
};

static int prepare_nothing(struct tracee_thread *th, int64_t *ret_fd, struct crs_error *err)
{
    struct tracee *t = th->owner;
    struct nothing nothing = {.iocb.aio_lio_opcode = IOCB_CMD_PREAD};
    int r = tracee_call_with_block(th, ret_fd, err, SYS_memfd_create, (const uint64_t[6]){0, 0}, 0,
                                   "", NULL, 1);

    if (r == 0 && *ret_fd < 0)
        return crs_fail(err, CRS_CANT_RESTART, -*ret_fd, CANT ": memfd_create: %s",
                        strerror(-*ret_fd));
    nothing.iocb.aio_fildes = *ret_fd;
    nothing.iocb.aio_buf = t->scratch;
    for (size_t i = 0; i < BATCH; i++)
        nothing.pointers[i] = t->scratch + offsetof(struct nothing, iocb);
    return r < 0 ? r : tracee_write(t, t->scratch, &nothing, sizeof(nothing), err);
}

/* `n` events more in the ring; consumed: and taken from it. */
static int put_events(struct tracee_thread *th, const Crs__AioContext *c, uint32_t n, bool consumed,
                      struct crs_error *err)
{
    struct tracee *t = th->owner;
    struct ring_head head;
    int64_t result;
    int r = 0;

    while (r == 0 && n > 0) {
        r = REMOTE(th, &result, err, SYS_io_submit, c->address, n < BATCH ? n : BATCH,
                   t->scratch + offsetof(struct nothing, pointers));
        if (r == 0 && result <= 0)
            return crs_fail(err, CRS_CANT_RESTART, result ? -result : EIO, CANT ": io_submit: %s",
                            strerror(-result));
        n -= r == 0 ? result : 0;
        if (r == 0 && consumed)
            r = tracee_read(t, c->address, &head, sizeof(head), err);
        if (r == 0 && consumed)
            r = tracee_write(t, c->address + offsetof(struct ring_head, head), &head.tail,
                             sizeof(head.tail), err);
    }
    return r;
}

static int fill(struct tracee_thread *th, const Crs__AioContext *c, struct crs_error *err)
{
    struct pieces p = pieces_of(c);
    int r = put_events(th, c, c->head, true, err);

    if (r == 0)
        r = put_events(th, c, count_events(c), false, err);
    if (r == 0 && p.first_size)
        r = tracee_write(th->owner, p.first_at, c->events.data, p.first_size, err);
    if (r == 0 && p.rest_size)
        r = tracee_write(th->owner, c->address + sizeof(struct ring_head),
                         c->events.data + p.first_size, p.rest_size, err);
    return r;
}

static int check_made(struct tracee *t, const Crs__AioContext *c, struct crs_error *err)
{
    struct ring_head head;
    int r = tracee_read(t, c->address, &head, sizeof(head), err);

    if (r == 0 && (head.n_places != c->n_places || head.head != c->head || head.tail != c->tail))
        return crs_fail(err, CRS_CANT_RESTART, ENOTSUP,
                        CANT ": its ring has %u places, %u to %u in use, and had %u, %u to %u",
                        head.n_places, head.head, head.tail, c->n_places, c->head, c->tail);
    return r;
}

static int advise(struct kobj_restore *ctx, struct tracee_thread *th, const Crs__Process *process,
                  const Crs__AioContext *c, struct crs_error *err)
{
    const Crs__AddressSpace *space = ring_space(ctx, process);
    int r = 0;

    for (size_t i = 0; r == 0 && space && i < space->n_vmas; i++) {
        const Crs__Vma *vma = space->vmas[i];
        if (vma->kind != CRS__VMA_KIND__VMA_RING || vma->start != c->address)
            continue;
        r = ring_advise(th, vma, err);
        if (r == 0 && vma->protection != (PROT_READ | PROT_WRITE))
            r = REMOTE_CHECKED(th, NULL, err, CRS_CANT_RESTART, MAKE, SYS_mprotect, c->address,
                               c->size, vma->protection);
    }
    return r;
}

static int restore(struct kobj_restore *ctx, const Crs__Process *process,
                   const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__Aio *m = NULL;
    struct tracee_thread *th = tracee_main(ctx->t);
    int64_t nothing_fd = -1;
    int r = kobj_unpack(&crs__aio__descriptor, payload, &m, err);

    for (size_t i = 0; r == 0 && i < m->n_contexts; i++)
        r = reserve(th, m->contexts[i], err);
    for (size_t i = 0; r == 0 && i < m->n_contexts; i++)
        r = set_up(th, m->contexts[i], err);
    if (r == 0)
        r = prepare_nothing(th, &nothing_fd, err);
    for (size_t i = 0; r == 0 && i < m->n_contexts; i++)
        r = fill(th, m->contexts[i], err);
    if (r == 0)
        r = REMOTE_CHECKED(th, NULL, err, CRS_FAILED, MAKE, SYS_close, nothing_fd);
    for (size_t i = 0; r == 0 && i < m->n_contexts; i++)
        r = check_made(ctx->t, m->contexts[i], err);
    for (size_t i = 0; r == 0 && i < m->n_contexts; i++)
        r = advise(ctx, th, process, m->contexts[i], err);
    return r;
}

static int describe(const struct bytes *payload, char *text, size_t size)
{
    _cleanup_message_ Crs__Aio *m = NULL;
    size_t n_events = 0;
    int r = kobj_unpack(&crs__aio__descriptor, payload, &m, NULL);

    for (size_t i = 0; r == 0 && i < m->n_contexts; i++)
        n_events += m->contexts[i]->events.len / EVENT_SIZE;
    if (r == 0)
        snprintf(text, size, "%zu contexts, %zu events to take", m->n_contexts, n_events);
    return r;
}

const struct kobj_process_kind kobj_aio = {
    .name = "aio",
    .title = "asynchronous I/O (io_setup)",
    .saved = "with conditions",
    .conditions =
        "requests on files are waited for; whether others wait (IOCB_CMD_POLL) can't be "
        "told, and they would be lost. io_getevents() that the checkpoint interrupts goes "
        "on; it returns the events that it has, fewer than min_nr, where another thread "
        "has taken events between",
    .dump = dump,
    .check = check,
    .restore = restore,
    .describe = describe,
};
