/*
 * io_uring.c - rings for requests to the kernel, and its answers (io_uring)
 *
 * Saved when no request is in flight. The ring's memory is the kernel's: what is in it is in the
 * record, and its mappings (VMA_RING) are made with it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kobj/io_uring.h"

static bool match(const struct open_file *file)
{
    return file_is_anonymous(file, "[io_uring]");
}

static bool has_descriptor(const struct kobj_dump *ctx, const struct tracee *t, uint32_t id)
{
    const Crs__Process *p = kobj_record_of(ctx, t);

    for (size_t i = 0; i < p->n_descriptors; i++)
        if (p->descriptors[i]->file == id)
            return true;
    return false;
}

uint32_t kobj_io_uring_of(struct kobj_dump *ctx, dev_t dev, ino_t ino)
{
    const struct stat st = {.st_dev = dev, .st_ino = ino};
    const struct open_file *file;
    uint32_t found = 0;

    for (size_t i = file_first_place(ctx, &st); (file = file_at_place(ctx, i, &st)); i++) {
        if (file->kind != &kobj_io_uring || !has_descriptor(ctx, ctx->t, file->id))
            continue;
        if (found) /* before Linux 5.16 all of them have one inode */
            return 0;
        found = file->id;
    }
    return found;
}

/* ---- can it be saved? ---- */

static int check_holders(const struct kobj_dump *ctx, const struct open_file *file,
                         struct crs_error *err)
{
    char words[100];

    if (file->in_flight)
        return file_refuse(file, err, "it can't be sent to a process again",
                           "receive it before the checkpoint");
    for (size_t i = 0; i < ctx->members.n; i++) {
        const struct tracee *t = ctx->members.items[i].t;
        if (t == file->holder || !has_descriptor(ctx, t, file->id))
            continue;
        snprintf(words, sizeof(words), "process %d has it, too", t->pid);
        return file_refuse(file, err, words, "close it there before the checkpoint");
    }
    return 0;
}

static const char *op_name(uint32_t op, char *text, size_t size)
{
    static const struct {
        uint32_t op;
        const char *name;
    } names[] = {
        {IORING_OP_POLL_ADD, "poll"},     {IORING_OP_ACCEPT, "accept"},
        {IORING_OP_CONNECT, "connect"},   {IORING_OP_RECV, "receive"},
        {IORING_OP_RECVMSG, "receive"},   {IORING_OP_SEND, "send"},
        {IORING_OP_SENDMSG, "send"},      {IORING_OP_READ, "read"},
        {IORING_OP_READV, "read"},        {IORING_OP_READ_FIXED, "read"},
        {IORING_OP_WRITE, "write"},       {IORING_OP_WRITEV, "write"},
        {IORING_OP_WRITE_FIXED, "write"},
    };

    for (size_t i = 0; i < ELEMENTS(names); i++)
        if (names[i].op == op)
            return names[i].name;
    snprintf(text, size, "operation %" PRIu32, op);
    return text;
}

#define LET_THEM_END "let them end before the checkpoint, or try again"

/* What the kernel tells of. */
static int check_lists(const struct open_file *file, const struct proc_uring *ring,
                       struct crs_error *err)
{
    char words[160], op[40];

    if (ring->n_polled > 0) {
        snprintf(words, sizeof(words),
                 "%" PRIu32 " requests in it wait until a file is ready (the first: %s)",
                 ring->n_polled, op_name(ring->polled_op, op, sizeof(op)));
        return file_refuse_for_now(file, err, words, "cancel them before the checkpoint");
    }
    if (ring->n_overflown > 0)
        return file_refuse_for_now(file, err, "its ring of answers has overflowed",
                                   "let the program take them before the checkpoint");
    if (ring->sq_thread != -1 && ring->sq_tail != ring->sq_consumed)
        return file_refuse_for_now(file, err, "its thread hasn't taken all requests yet",
                                   LET_THEM_END);
    return 0;
}

/* What follows from what it has counted. */
static int check_in_flight(const struct open_file *file, const struct proc_uring *ring,
                           const Crs__IoUring *m, struct crs_error *err)
{
    int32_t n = uring_in_flight(ring, m->sq_dropped, m->cq_lost);
    char words[160];

    if (n < 0)
        return file_refuse_for_now(
            file, err,
            "it has had more answers than requests (requests with several, or messages of other "
            "rings), so what is in flight can't be told",
            "close it before the checkpoint");
    if (n > 0) {
        snprintf(words, sizeof(words),
                 "%" PRId32 " of its requests are in flight, or have ended without an answer "
                 "(IOSQE_CQE_SKIP_SUCCESS)",
                 n);
        return file_refuse_for_now(file, err, words, LET_THEM_END);
    }
    return 0;
}

static int check_told(const struct open_file *file, const struct proc_uring *ring,
                      struct crs_error *err)
{
    if (!ring->has_lists)
        return file_refuse_for_now(file, err, "it is in use all the time", LET_THEM_END);
    if (!ring->has_counters)
        return file_refuse(file, err, "this kernel doesn't tell what it is about",
                           "use Linux 5.19 or newer, or close it before the checkpoint");
    if (ring->n_files > 0)
        return file_refuse(file, err, "files are registered with it, and which ones can't be read",
                           "unregister them (IORING_UNREGISTER_FILES) before the checkpoint");
    if (ring->personalities)
        return file_refuse(file, err, "credentials are registered with it, which can't be read",
                           "unregister them (IORING_UNREGISTER_PERSONALITY) before the checkpoint");
    if (ring->napi)
        return file_refuse(file, err, "it polls network devices (NAPI), which can't be saved",
                           "unregister that (IORING_UNREGISTER_NAPI) before the checkpoint");
    if (ring->n_buffers > URING_MAX_BUFFERS)
        return file_refuse(file, err, "too many buffers are registered with it (1024 can be saved)",
                           "unregister them before the checkpoint");
    return 0;
}

/* ---- dump ---- */

static int take_part(const uint8_t *from, size_t size, ProtobufCBinaryData *ret)
{
    while (size > 0 && from[size - 1] == 0)
        size--;
    ret->data = malloc(size ? size : 1);
    if (!ret->data)
        return -ENOMEM;
    memcpy(ret->data, from, size);
    ret->len = size;
    return 0;
}

/* The words that the program and the kernel write. */
static void take_words(const struct uring_map *map, Crs__IoUring *m)
{
    const struct io_sqring_offsets *sq = &map->layout.params.sq_off;
    const struct io_cqring_offsets *cq = &map->layout.params.cq_off;

    m->sq_tail = *uring_word(map, sq->tail);
    m->sq_dropped = *uring_word(map, sq->dropped);
    m->cq_head = *uring_word(map, cq->head);
    m->cq_lost = *uring_word(map, cq->overflow);
    m->cq_flags = *uring_word(map, cq->flags);
}

static int take_offsets(const struct uring_layout *layout, Crs__IoUring *m)
{
    m->offsets = calloc(URING_N_OFFSETS, sizeof(*m->offsets));
    if (!m->offsets)
        return -ENOMEM;
    m->n_offsets = URING_N_OFFSETS;
    uring_layout_offsets(layout, m->offsets);
    return 0;
}

static int take_buffers(const struct proc_uring *ring, Crs__IoUring *m)
{
    m->buffers = calloc(ring->n_buffers + 1, sizeof(*m->buffers));
    if (!m->buffers)
        return -ENOMEM;
    for (; m->n_buffers < ring->n_buffers; m->n_buffers++) {
        Crs__IoUringBuffer *b = m->buffers[m->n_buffers] = malloc(sizeof(*b));
        if (!b)
            return -ENOMEM;
        crs__io_uring_buffer__init(b);
    }
    for (size_t i = 0; i < ring->buffers.n; i++) {
        const struct proc_uring_buffer *b = &ring->buffers.items[i];
        if (b->place >= m->n_buffers)
            return -EINVAL;
        m->buffers[b->place]->address = b->address;
        m->buffers[b->place]->size = b->size;
    }
    return 0;
}

static int take_contents(const struct uring_map *map, const struct proc_uring *ring,
                         Crs__IoUring *m)
{
    const struct uring_layout *l = &map->layout;
    const struct io_uring_params *p = &l->params;

    take_words(map, m);
    int r = take_part(map->sqes, l->sqes_size, &m->sqes);
    if (r == 0)
        r = take_part(map->ring + p->cq_off.cqes, p->cq_entries * l->cqe_size, &m->cqes);
    if (r == 0 && l->has_array)
        r = take_part(map->ring + p->sq_off.array, p->sq_entries * sizeof(uint32_t), &m->sq_array);
    if (r == 0)
        r = take_offsets(l, m);
    return r == 0 ? take_buffers(ring, m) : r;
}

static int find_shared_thread(const struct kobj_dump *ctx, const struct open_file *file,
                              const struct proc_uring *ring, uint32_t *ret, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && *ret == 0 && i < file->id - 1; i++) {
        _cleanup_proc_uring_ struct proc_uring other = {0};
        struct open_file f = ctx->files.items[i];
        if (f.kind != &kobj_io_uring || f.holder != file->holder)
            continue;
        r = file_hold(&f, err);
        if (r == 0)
            r = uring_read(f.dup_fd, &other, err);
        file_let_go(&f);
        if (r == 0 && other.sq_thread == ring->sq_thread)
            *ret = f.id;
    }
    return r;
}

static int dump_ring(struct kobj_dump *ctx, const struct open_file *file,
                     const struct proc_uring *ring, Crs__IoUring *m, struct crs_error *err)
{
    _cleanup_uring_map_ struct uring_map map = {0};
    struct uring_nature nature = {0};
    int r = uring_probe(ctx, file, ring, &nature, err);

    if (r < 0)
        return r;
    m->sq_entries = ring->sq_mask + 1;
    m->cq_entries = ring->cq_mask + 1;
    m->setup_flags = nature.flags;
    m->sq_cpu = nature.sq_cpu;
    m->submitter = nature.submitter;
    m->sq_consumed = ring->sq_consumed;
    m->cq_posted = ring->cq_posted;
    r = uring_layout_get(m->sq_entries, m->cq_entries, nature.flags, &map.layout);
    if (r == 0)
        r = uring_map(file->dup_fd, &map.layout, &map);
    if (r == 0)
        r = take_contents(&map, ring, m);
    if (r < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, -r, "fd %d (%s): can't read its rings: %s",
                        file->fd, file->link, strerror(-r));
    if (ring->sq_thread != -1)
        r = find_shared_thread(ctx, file, ring, &m->shares_thread_of, err);
    if (r == 0)
        r = uring_probe_registered(ctx, file, m, err);
    return r == 0 ? check_in_flight(file, ring, m, err) : r;
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    _cleanup_proc_uring_ struct proc_uring ring = {0};
    Crs__IoUring *m = malloc(sizeof(*m));
    int r = check_holders(ctx, file, err);

    if (!m)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__io_uring__init(m);
    if (r == 0)
        r = uring_read(file->dup_fd, &ring, err);
    if (r == 0)
        r = check_told(file, &ring, err);
    if (r == 0)
        r = check_lists(file, &ring, err);
    if (r == 0)
        r = dump_ring(ctx, file, &ring, m, err);
    if (r == 0)
        r = kobj_pack(&m->base, ret_payload, err);
    crs__io_uring__free_unpacked(m, NULL);
    return r;
}

/* ---- check ---- */

int uring_unpack(const Crs__OpenFile *record, Crs__IoUring **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__io_uring__descriptor, (ProtobufCMessage **)ret, err);
}

static bool is_power_of_two(uint32_t n)
{
    return n > 0 && (n & (n - 1)) == 0;
}

static bool is_possible(const Crs__IoUring *m, uint32_t id)
{
    return is_power_of_two(m->sq_entries) && m->sq_entries <= URING_MAX_SQ &&
           is_power_of_two(m->cq_entries) && m->cq_entries <= URING_MAX_CQ &&
           m->cq_entries >= m->sq_entries && !(m->setup_flags & ~URING_SAVED_FLAGS) &&
           m->n_offsets == URING_N_OFFSETS && m->shares_thread_of < id &&
           m->n_buffers <= URING_MAX_BUFFERS &&
           (!(m->setup_flags & IORING_SETUP_SQPOLL) || m->sq_tail == m->sq_consumed);
}

static int check_layout(const Crs__OpenFile *record, const Crs__IoUring *m, struct crs_error *err)
{
    uint32_t offsets[URING_N_OFFSETS];
    struct uring_layout l;
    int r = uring_layout_get(m->sq_entries, m->cq_entries, m->setup_flags, &l);

    if (r < 0)
        return crs_fail(err, CRS_CANT_RESTART, -r,
                        "an io_uring like that of the program can't be made here: %s%s",
                        strerror(-r),
                        r == -EPERM    ? " (see /proc/sys/kernel/io_uring_disabled)"
                        : r == -EINVAL ? " (the kernel is older)"
                                       : "");
    uring_layout_offsets(&l, offsets);
    if (memcmp(offsets, m->offsets, sizeof(offsets)) != 0)
        return crs_fail(err, CRS_CANT_RESTART, ENOTSUP,
                        "this kernel lays out the rings of an io_uring in another way than the one "
                        "that the program has learned it from; restart under a kernel like that");
    if (m->sqes.len > l.sqes_size || m->cqes.len > m->cq_entries * l.cqe_size ||
        m->sq_array.len > (l.has_array ? m->sq_entries * sizeof(uint32_t) : 0))
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s has more in it than fits", record->name);
    return 0;
}

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    Crs__IoUring *m;
    int r = uring_unpack(record, &m, err);

    if (r < 0)
        return r;
    r = is_possible(m, record->id)
            ? check_layout(record, m, err)
            : crs_fail(err, CRS_DAMAGED, EBADMSG, "%s can't be like that", record->name);
    crs__io_uring__free_unpacked(m, NULL);
    return r;
}

/* Something that can be passed stands in for it (io_uring_make.c). */
static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    int fd = eventfd(0, EFD_CLOEXEC);

    if (fd < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't make an eventfd");
    *ret_fd = fd;
    return 0;
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    Crs__IoUring *m;
    int r = uring_unpack(record, &m, NULL);

    if (r < 0)
        return r;
    snprintf(text, size, "%u requests, %u answers%s%s; %u answers to take", m->sq_entries,
             m->cq_entries, m->setup_flags & IORING_SETUP_SQPOLL ? ", a thread of its own" : "",
             m->submitter ? ", of one thread" : "", m->cq_posted - m->cq_head);
    crs__io_uring__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_io_uring = {
    .name = "io-uring",
    .title = "io_uring",
    .saved = "with conditions",
    .conditions =
        "no request in flight (short ones are waited for); registered files, eventfds and "
        "provided buffers are refused; Linux 5.19",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = restore,
    .describe = describe,
};
