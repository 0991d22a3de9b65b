/*
 * epoll_lists.c - interest lists, built up by the processes themselves
 *
 * A list is built in the process that has most of what it watches under the saved numbers; what
 * only another one has is added there.
 *
 * An entry is added under the number that it had. Where that number belongs to something else now,
 * the file stands in for a moment. An entry that fired once (EPOLLONESHOT) and waits to be armed
 * again can only be made by letting it fire: these come first, while the list is else empty.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "epoll.pb-c.h"
#include "kobj/file.h"

#define BATCH        256
#define MAX_DEPTH    16 /* the kernel allows 5 */
#define PRIVATE_BITS (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)

_Static_assert(BATCH * sizeof(struct epoll_event) <= TRACEE_SCRATCH_SIZE, "a batch fits");

enum state { WAITING, BEGUN, DONE };

struct lists {
    struct kobj_restore *ctx;
    enum state *state; /* by file */
};

/* One list being built, in one process. */
struct list {
    struct lists *all;
    struct tracee_thread *th;
    const Crs__Process *process;
    int fd; /* in the process */
    const Crs__OpenFile *record;
};

static int compare_numbers(const void *a, const void *b)
{
    const Crs__Descriptor *const *x = a, *const *y = b;

    return ((*x)->fd > (*y)->fd) - ((*x)->fd < (*y)->fd);
}

/* Descriptors are in the order of their numbers. */
static const Crs__Descriptor *find_number(const Crs__Process *p, uint32_t fd)
{
    Crs__Descriptor key = {.fd = fd}, *pointer = &key;
    Crs__Descriptor **found = NULL;

    if (p->n_descriptors > 0)
        found =
            bsearch(&pointer, p->descriptors, p->n_descriptors, sizeof(pointer), compare_numbers);
    return found ? *found : NULL;
}

static bool stands_in(const Crs__Process *p, const Crs__EpollItem *item)
{
    const Crs__Descriptor *d = find_number(p, item->fd);

    return d && d->file == item->file;
}

static bool stands(const struct list *list, const Crs__EpollItem *item)
{
    return stands_in(list->process, item);
}

static struct list list_in(struct lists *all, const Crs__OpenFile *record,
                           const struct file_holder *holder)
{
    file_enter(all->ctx, holder);
    return (struct list){all, tracee_main(all->ctx->t), all->ctx->process, holder->fd, record};
}

static bool has_fired(const Crs__EpollItem *item)
{
    return (item->events & EPOLLONESHOT) && !(item->events & ~(uint32_t)PRIVATE_BITS);
}

static int control(const struct list *list, int operation, const Crs__EpollItem *item,
                   uint32_t events, struct crs_error *err)
{
    struct epoll_event event = {.events = events, .data.u64 = item->data};
    int64_t result;
    int r = tracee_call_with_block(list->th, &result, err, SYS_epoll_ctl,
                                   (const uint64_t[6]){list->fd, operation, item->fd}, 3, &event,
                                   NULL, sizeof(event));
    if (r == 0 && result < 0)
        return crs_fail(err, CRS_CANT_RESTART, -result, "can't watch fd %u again: %s", item->fd,
                        strerror(-result));
    return r;
}

/* Collect the event, if there's one. */
static int let_fire(const struct list *list, bool *ret_fired, struct crs_error *err)
{
    struct epoll_event event = {0};
    int64_t result;
    int r = tracee_call_with_block(list->th, &result, err, SYS_epoll_pwait,
                                   (const uint64_t[6]){list->fd, 0, 1, 0, 0, 8}, 1, &event, NULL,
                                   sizeof(event));
    if (r == 0)
        *ret_fired = result > 0;
    return r;
}

/* Make a pipe ready for a moment: a byte for the reader of an empty one, room for the writer to a
 * full one. *ret_undo undoes it; -1: can't be done. */
struct nudge {
    int fd;   /* a descriptor of ours for both ends */
    int size; /* the pipe's size before; 0: a byte was written */
};

static bool nudge_begin(const struct list *list, const Crs__EpollItem *item, struct nudge *nudge)
{
    const Crs__OpenFile *record = file_find(list->all->ctx, item->file);
    int ours = list->all->ctx->file_fds[item->file - 1];

    *nudge = (struct nudge){.fd = -1};
    if (strcmp(record->kind, kobj_pipe.name) != 0 && strcmp(record->kind, kobj_fifo.name) != 0)
        return false;
    if (inherit_is_wanted(record) || file_reopen(ours, O_RDWR | O_NONBLOCK, &nudge->fd) < 0)
        return false;
    if ((record->flags & O_ACCMODE) == O_RDONLY)
        return write(nudge->fd, "", 1) == 1;
    nudge->size = fcntl(nudge->fd, F_GETPIPE_SZ);
    return fcntl(nudge->fd, F_SETPIPE_SZ, 2 * nudge->size) > nudge->size;
}

static void nudge_end(struct nudge *nudge)
{
    char byte;

    if (nudge->fd < 0)
        return;
    if (nudge->size > 0)
        fcntl(nudge->fd, F_SETPIPE_SZ, nudge->size);
    else if (read(nudge->fd, &byte, 1) < 0)
        errno = 0; /* the write had failed */
    cleanup_close(&nudge->fd);
}

/*
 * Add an entry that has fired. Where nothing makes it fire it is added without events; only an
 * error or a hang-up could then be reported, and most kinds know neither.
 */
static int add_fired(const struct list *list, const Crs__EpollItem *item, struct crs_error *err)
{
    const uint32_t any = item->events | EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP;
    struct nudge nudge = {.fd = -1};
    bool fired = false;
    int r = control(list, EPOLL_CTL_ADD, item, any, err);

    if (r == 0)
        r = let_fire(list, &fired, err);
    if (r < 0 || fired)
        return r;
    r = control(list, EPOLL_CTL_DEL, item, 0, err);
    bool nudged = r == 0 && nudge_begin(list, item, &nudge);
    if (r == 0)
        r = control(list, EPOLL_CTL_ADD, item, nudged ? any : item->events, err);
    if (r == 0 && nudged)
        r = let_fire(list, &fired, err);
    nudge_end(&nudge);
    if (r == 0 && nudged && !fired)
        r = control(list, EPOLL_CTL_MOD, item, item->events, err);
    return r;
}

static int add_entry(const struct list *list, const Crs__EpollItem *item, struct crs_error *err)
{
    return has_fired(item) ? add_fired(list, item, err)
                           : control(list, EPOLL_CTL_ADD, item, item->events, err);
}

/* Under a number that is another file's, or nobody's. */
static int add_by_stand_in(const struct list *list, const Crs__EpollItem *item,
                           struct crs_error *err)
{
    struct tracee_thread *th = list->th;
    const Crs__Descriptor *occupant = find_number(list->process, item->fd);
    int source = file_number(list->all->ctx, item->file);
    int64_t kept = -1;
    int r = 0;

    if (source < 0)
        return crs_fail(err, CRS_CANT_RESTART, EBADF,
                        "an epoll instance watches file %u, which the process doesn't have",
                        item->file);
    if (occupant)
        r = REMOTE_CHECKED(th, &kept, err, CRS_CANT_RESTART, "keep a descriptor", SYS_fcntl,
                           item->fd, F_DUPFD_CLOEXEC, 0);
    if (r == 0)
        r = REMOTE_CHECKED(th, NULL, err, CRS_CANT_RESTART, "duplicate a descriptor", SYS_dup3,
                           source, item->fd, O_CLOEXEC);
    if (r == 0)
        r = add_entry(list, item, err);
    if (r < 0)
        return r;
    if (!occupant)
        return REMOTE_CHECKED(th, NULL, err, CRS_CANT_RESTART, "close a descriptor", SYS_close,
                              item->fd);
    r = REMOTE_CHECKED(th, NULL, err, CRS_CANT_RESTART, "put a descriptor back", SYS_dup3, kept,
                       item->fd, occupant->close_on_exec ? O_CLOEXEC : 0);
    if (r == 0)
        r = REMOTE_CHECKED(th, NULL, err, CRS_CANT_RESTART, "close a descriptor", SYS_close, kept);
    return r;
}

/* The common case, many at once. */
static int add_batch(const struct list *list, const Crs__EpollItem *const *items, size_t n,
                     struct crs_error *err)
{
    struct tracee *t = list->th->owner;
    struct remote_call calls[BATCH];
    struct epoll_event events[BATCH] = {0};
    int r;

    for (size_t i = 0; i < n; i++) {
        events[i] = (struct epoll_event){.events = items[i]->events, .data.u64 = items[i]->data};
        calls[i] = (struct remote_call){
            SYS_epoll_ctl,
            {list->fd, EPOLL_CTL_ADD, items[i]->fd, t->scratch + i * sizeof(events[0])},
            0};
    }
    r = tracee_write(t, t->scratch, events, n * sizeof(events[0]), err);
    if (r == 0)
        r = tracee_calls(list->th, calls, n, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (calls[i].result < 0)
            r = crs_fail(err, CRS_CANT_RESTART, -calls[i].result, "can't watch fd %u again: %s",
                         items[i]->fd, strerror(-calls[i].result));
    return r;
}

static int add_plain(const struct list *list, const Crs__Epoll *m, struct crs_error *err)
{
    const Crs__EpollItem *batch[BATCH];
    size_t n = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < m->n_items; i++) {
        if (has_fired(m->items[i]) || !stands(list, m->items[i]))
            continue;
        batch[n++] = m->items[i];
        if (n < BATCH)
            continue;
        r = add_batch(list, batch, n, err);
        n = 0;
    }
    return r == 0 && n > 0 ? add_batch(list, batch, n, err) : r;
}

/* ---- entries that the list's process hasn't under their numbers ---- */

/* In another process that has both the instance and what it watches. */
static int add_elsewhere(const struct list *list, const Crs__EpollItem *item, struct crs_error *err)
{
    struct lists *all = list->all;
    size_t n;
    const struct file_holder *holders = file_holders_of(all->ctx, list->record->id, &n);

    for (size_t i = 0; i < n; i++)
        if (stands_in(all->ctx->tree->processes[holders[i].process], item)) {
            const struct list there = list_in(all, list->record, &holders[i]);
            return add_entry(&there, item, err);
        }
    for (size_t i = 0; i < n; i++) {
        const struct list there = list_in(all, list->record, &holders[i]);
        if (file_number(all->ctx, item->file) >= 0)
            return add_by_stand_in(&there, item, err);
    }
    return crs_fail(err, CRS_CANT_RESTART, EBADF,
                    "an epoll instance watches file %u, which no process has that has the instance",
                    item->file);
}

static int add_special(const struct list *list, const Crs__Epoll *m, bool fired,
                       struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < m->n_items; i++) {
        const Crs__EpollItem *item = m->items[i];
        if (has_fired(item) != fired)
            continue;
        if (!stands(list, item))
            r = add_elsewhere(list, item, err);
        else if (fired)
            r = add_entry(list, item, err);
    }
    return r;
}

/* ---- all lists ---- */

/* The holder under whose numbers most entries stand. */
static const struct file_holder *choose_holder(const struct lists *all, uint32_t id,
                                               const Crs__Epoll *m)
{
    size_t n, most = 0;
    const struct file_holder *holders = file_holders_of(all->ctx, id, &n), *best = NULL;

    for (size_t i = 0; i < n && (!best || most < m->n_items); i++) {
        size_t standing = 0;
        for (size_t k = 0; k < m->n_items; k++)
            standing += stands_in(all->ctx->tree->processes[holders[i].process], m->items[k]);
        if (best && standing <= most)
            continue;
        best = &holders[i];
        most = standing;
    }
    return best;
}

static int fill_list(const struct list *list, const Crs__Epoll *m, struct crs_error *err)
{
    int r = add_special(list, m, true, err);

    if (r == 0)
        r = add_plain(list, m, err);
    return r == 0 ? add_special(list, m, false, err) : r;
}

static int build(struct lists *all, uint32_t id, int depth, struct crs_error *err)
{
    const Crs__OpenFile *record = file_find(all->ctx, id);
    Crs__Epoll *m;

    if (all->state[id - 1] == DONE || strcmp(record->kind, kobj_epoll.name) != 0)
        return 0;
    if (all->state[id - 1] == BEGUN || depth > MAX_DEPTH)
        return crs_fail(err, CRS_DAMAGED, ELOOP,
                        "epoll instances watch each other in a circle, or too deep");
    int r = file_unpack(record, &crs__epoll__descriptor, (ProtobufCMessage **)&m, err);
    if (r < 0)
        return r;
    const struct file_holder *holder = choose_holder(all, id, m);
    all->state[id - 1] = BEGUN;
    for (size_t i = 0; holder && r == 0 && i < m->n_items; i++)
        r = build(all, m->items[i]->file, depth + 1, err);
    if (holder && r == 0) {
        const struct list list = list_in(all, record, holder);
        r = fill_list(&list, m, err);
        if (r < 0)
            crs_fail_at(err, r, "fd %d of process %u", list.fd, list.process->pid);
    }
    all->state[id - 1] = DONE;
    crs__epoll__free_unpacked(m, NULL);
    return r;
}

int epoll_restore_lists(struct kobj_restore *ctx, struct crs_error *err)
{
    _cleanup_free_ void *state = calloc(ctx->files->n_files + 1, sizeof(int));
    struct lists all = {ctx, state};
    int r = 0;

    if (!state)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && i < ctx->files->n_files; i++)
        r = build(&all, i + 1, 0, err);
    return r;
}
