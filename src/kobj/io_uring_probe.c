/*
 * io_uring_probe.c - how an io_uring was made, and what is registered with it
 *
 * The kernel doesn't tell its flags. But calls that can't succeed (a NULL pointer, a time at an
 * impossible address) fail in different ways, and what is shown of an entry has another form.
 *
 * Not to be found out: IORING_SETUP_SUBMIT_ALL, _COOP_TASKRUN and _TASKRUN_FLAG, for which a
 * restart has answers that suit programs of both sorts (io_uring_make.c), and how long the thread
 * of SQPOLL spins before it sleeps.
 */
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/io_uring.h"
#include "kobj/shelter.h"

#define BAD_TIME        1ull /* an address that can't be */
#define N_GROUPS_OURS   4096 /* of provided buffers, asked for */
#define N_GROUPS_REMOTE 16
#define ONE_PAGE        4096
#define TEXT_ROOM       (64u << 10)
#define ENTRY_ROOM      512u /* of a line that shows one */

/* Who asks the kernel about a ring. */
struct asker {
    const struct open_file *file;
    struct tracee_thread *thread; /* its only user; NULL: we may ask ourselves */
};

static int64_t own_result(long r)
{
    return r < 0 ? -errno : r;
}

/* *ret: what the kernel says, -errno in it. */
static int ask_register(const struct asker *a, unsigned op, uint64_t arg, unsigned n, int64_t *ret,
                        struct crs_error *err)
{
    if (a->thread)
        return REMOTE(a->thread, ret, err, SYS_io_uring_register, a->file->fd, op, arg, n);
    *ret = own_result(syscall(SYS_io_uring_register, a->file->dup_fd, op, arg, n));
    return 0;
}

/* ---- who may use it ---- */

static int find_submitter(struct asker *a, struct crs_error *err)
{
    int64_t result;

    tracee_for_each_thread (a->file->holder, th) {
        int r = REMOTE(th, &result, err, SYS_io_uring_register, a->file->fd, IORING_REGISTER_PROBE,
                       0, 1);
        if (r < 0)
            return r;
        if (result != -EEXIST) {
            a->thread = th;
            return 0;
        }
    }
    return file_refuse(a->file, err,
                       "only one thread may use it (IORING_SETUP_SINGLE_ISSUER), which isn't there "
                       "any more",
                       "close it before the checkpoint");
}

static int probe_users(struct asker *a, struct uring_nature *nature, struct crs_error *err)
{
    int64_t result =
        own_result(syscall(SYS_io_uring_register, a->file->dup_fd, IORING_REGISTER_PROBE, NULL, 1));
    int r = 0;

    if (result == -EEXIST) {
        r = find_submitter(a, err);
        if (r < 0)
            return r;
        nature->flags |= URING_SETUP_SINGLE_ISSUER;
        nature->submitter = a->thread->inner_tid;
        r = ask_register(a, IORING_REGISTER_PROBE, 0, 1, &result, err);
    }
    if (r == 0 && result == -EACCES)
        return file_refuse(a->file, err, "its restrictions can't be read",
                           "close it before the checkpoint");
    return r;
}

/* ---- ways of working ---- */

static int probe_enter(const struct asker *a, const struct proc_uring *ring,
                       struct uring_nature *nature, struct crs_error *err)
{
    struct io_uring_getevents_arg arg = {.ts = BAD_TIME};
    int fd = a->file->dup_fd;
    int64_t result =
        own_result(syscall(SYS_io_uring_enter, fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0));

    if (result == -EBADFD)
        return file_refuse(a->file, err, "it was made but is not enabled yet",
                           "enable it, or close it, before the checkpoint");
    if (result == -EEXIST)
        nature->flags |= URING_SETUP_DEFER_TASKRUN;
    /* The time is looked at only where somebody would wait: not in one that is polled. */
    if (ring->cq_head == ring->cq_posted &&
        syscall(SYS_io_uring_enter, fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg,
                sizeof(arg)) == 0)
        return file_refuse(a->file, err, "it polls devices (IORING_SETUP_IOPOLL)",
                           "close it before the checkpoint");
    return 0;
}

static int probe_registered_eventfd(const struct asker *a, struct crs_error *err)
{
    int64_t result;
    int r = ask_register(a, IORING_REGISTER_EVENTFD, 0, 1, &result, err);

    if (r == 0 && result == -EBUSY)
        return file_refuse(a->file, err,
                           "an eventfd is registered with it, and which one can't be read",
                           "unregister it (IORING_UNREGISTER_EVENTFD) before the checkpoint");
    return r;
}

/* ---- provided buffers ---- */

/* As of struct io_uring_buf_status, which older headers don't have. */
struct group_status {
    uint32_t group, head, reserved[8];
};

static int ask_group(const struct asker *a, uint32_t group, int64_t *ret, struct crs_error *err)
{
    struct group_status status = {.group = group};

    if (!a->thread)
        return ask_register(a, URING_REGISTER_PBUF_STATUS, (uint64_t)&status, 1, ret, err);
    return tracee_call_with_block(
        a->thread, ret, err, SYS_io_uring_register,
        (const uint64_t[6]){a->file->fd, URING_REGISTER_PBUF_STATUS, 0, 1}, 2, &status, NULL,
        sizeof(status));
}

/* Linux 6.8 and later tell. */
static int probe_groups(const struct asker *a, struct crs_error *err)
{
    uint32_t n = a->thread ? N_GROUPS_REMOTE : N_GROUPS_OURS;
    int64_t result, first;
    int r = ask_group(a, UINT16_MAX, &first, err);

    for (uint32_t i = 0; r == 0 && first == -ENOENT && i < n; i++) {
        r = ask_group(a, i, &result, err);
        if (r == 0 && result != -ENOENT)
            return file_refuse(a->file, err, "buffers are provided to it, which can't be read",
                               "unregister them before the checkpoint");
    }
    return r;
}

/* ---- the form of its entries ---- */

/* An entry behind the head is shown when the head is put back by one. Nobody but the program, which
 * stands still, looks at these words meanwhile: the kernel goes by counters of its own. */
struct view {
    _Atomic uint32_t *sq_head, *cq_head; /* NULL: there is an entry */
    char path[40];
    char *text;
    size_t room, size;
    int result;
};

static void look_behind(void *arg)
{
    struct view *v = arg;
    ssize_t n = -1;

    if (v->sq_head)
        --*v->sq_head;
    if (v->cq_head)
        --*v->cq_head;
    int fd = open(v->path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && v->size < v->room - 1 &&
           (n = read(fd, v->text + v->size, v->room - 1 - v->size)) > 0)
        v->size += n;
    v->result = n == 0 ? 0 : -EIO;
    if (fd >= 0)
        close(fd);
    if (v->sq_head)
        ++*v->sq_head;
    if (v->cq_head)
        ++*v->cq_head;
}

static int view_entries(const struct asker *a, const struct proc_uring *ring, uint8_t *words,
                        const struct io_uring_params *params, struct proc_uring *ret,
                        struct crs_error *err)
{
    uint64_t n = (uint64_t)(ring->sq_tail - ring->sq_head) + (ring->cq_tail - ring->cq_head);
    struct view v = {.room = TEXT_ROOM + (n < URING_MAX_CQ ? n : URING_MAX_CQ) * ENTRY_ROOM};
    _cleanup_free_ char *text = v.text = calloc(1, v.room);

    if (!text)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (ring->sq_tail == ring->sq_head)
        v.sq_head = (_Atomic uint32_t *)(words + params->sq_off.head);
    if (ring->cq_tail == ring->cq_head)
        v.cq_head = (_Atomic uint32_t *)(words + params->cq_off.head);
    snprintf(v.path, sizeof(v.path), "/proc/self/fdinfo/%d", a->file->dup_fd);
    int r = shelter(look_behind, &v);
    if (r == 0)
        r = v.result;
    if (r == 0)
        r = proc_uring_parse(text, ret);
    if (r == 0 && (!ret->has_counters || ret->n_cqes_shown == 0)) {
        proc_uring_clear(ret);
        r = -EAGAIN;
    }
    return r == -EAGAIN ? file_refuse_for_now(a->file, err, "it is in use", "try again")
           : r < 0      ? crs_fail(err, CRS_FAILED, -r, "can't read about an io_uring in /proc: %s",
                                   strerror(-r))
                        : 0;
}

/* The kernel maps a ring in one piece only, whose size depends on what is asked for here; older
 * ones also map a part. */
static int map_words(const struct asker *a, const struct proc_uring *ring, uint8_t **ret,
                     struct uring_layout *ret_layout, struct crs_error *err)
{
    static const uint32_t flags[] = {0, URING_SETUP_CQE32, URING_SETUP_NO_SQARRAY,
                                     URING_SETUP_NO_SQARRAY | URING_SETUP_CQE32};
    struct uring_map map = {0};
    int r = -EINVAL;

    for (size_t i = 0; r < 0 && i < ELEMENTS(flags); i++) {
        r = uring_layout_get(ring->sq_mask + 1, ring->cq_mask + 1, flags[i], &map.layout);
        if (r == 0)
            r = uring_map_ring(a->file->dup_fd, &map.layout, &map);
    }
    if (r == -EINVAL || r == -ENOMEM)
        return file_refuse(a->file, err,
                           "its rings can't be mapped (they are in memory of the program's own: "
                           "IORING_SETUP_NO_MMAP)",
                           "close it before the checkpoint");
    if (r < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, -r, "can't map the rings of an io_uring: %s",
                        strerror(-r));
    *ret = map.ring;
    *ret_layout = map.layout;
    return 0;
}

/*
 * Without an array the kernel shows no requests. A mapping of the wrong size fails; where both
 * sizes take as many pages, the requests that were made tell: each has something in its first half.
 */
static bool has_big_requests(const struct asker *a, const struct uring_layout *words)
{
    struct uring_layout big = *words;
    _cleanup_uring_map_ struct uring_map map = {0};
    size_t size = words->params.sq_entries * sizeof(struct io_uring_sqe);
    bool odd = false, even = false;

    big.sqes_size = 2 * size;
    if (uring_map(a->file->dup_fd, &big, &map) < 0)
        return false;
    if (size >= ONE_PAGE)
        return true;
    for (size_t i = 0; i < 2 * size; i++) {
        size_t place = i / sizeof(struct io_uring_sqe);
        if (map.sqes[i] && i >= size)
            return true;
        if (map.sqes[i] && place > 0)
            *(place % 2 ? &odd : &even) = true;
    }
    return even && !odd;
}

static int probe_layout(const struct asker *a, const struct proc_uring *ring,
                        struct uring_nature *nature, struct crs_error *err)
{
    _cleanup_uring_map_ struct uring_map map = {0};
    _cleanup_proc_uring_ struct proc_uring seen = {0};
    int r = map_words(a, ring, &map.ring, &map.layout, err);

    if (r == 0)
        r = view_entries(a, ring, map.ring, &map.layout.params, &seen, err);
    if (r < 0)
        return r;
    nature->flags |= (seen.big_sqes ? URING_SETUP_SQE128 : 0) |
                     (seen.big_cqes ? URING_SETUP_CQE32 : 0) |
                     (seen.n_sqes_shown == 0 ? URING_SETUP_NO_SQARRAY : 0);
    if (seen.n_sqes_shown == 0 && has_big_requests(a, &map.layout))
        nature->flags |= URING_SETUP_SQE128;
    return 0;
}

/* ---- its thread ---- */

static void probe_thread(const struct asker *a, const struct proc_uring *ring,
                         struct uring_nature *nature)
{
    cpu_set_t cpus;
    char path[40];

    nature->flags |= IORING_SETUP_SQPOLL;
    /* The number may be another process's where we are in a PID namespace. */
    snprintf(path, sizeof(path), "task/%d", ring->sq_thread);
    if (faccessat(a->file->holder->proc_fd, path, F_OK, 0) < 0 ||
        sched_getaffinity(ring->sq_thread, sizeof(cpus), &cpus) < 0 || CPU_COUNT(&cpus) != 1 ||
        sysconf(_SC_NPROCESSORS_ONLN) == 1)
        return;
    nature->flags |= IORING_SETUP_SQ_AFF;
    while (!CPU_ISSET(nature->sq_cpu, &cpus))
        nature->sq_cpu++;
}

int uring_probe(struct kobj_dump *ctx, const struct open_file *file, const struct proc_uring *ring,
                struct uring_nature *ret, struct crs_error *err)
{
    struct asker a = {.file = file};
    struct uring_nature nature = {0};
    int r = probe_users(&a, &nature, err);

    if (r == 0)
        r = probe_enter(&a, ring, &nature, err);
    if (r == 0)
        r = probe_registered_eventfd(&a, err);
    if (r == 0)
        r = probe_groups(&a, err);
    if (r == 0)
        r = probe_layout(&a, ring, &nature, err);
    if (r == 0 && ring->sq_thread != -1)
        probe_thread(&a, ring, &nature);
    if (r == 0)
        *ret = nature;
    return r;
}

/* ---- threads that it is registered with ---- */

static size_t count_rings(const struct kobj_dump *ctx, const struct tracee *t)
{
    const Crs__Process *p = kobj_record_of(ctx, t);
    size_t n = 0;
    uint32_t last = 0;

    for (size_t i = 0; i < p->n_descriptors; i++)
        if (ctx->files.items[p->descriptors[i]->file - 1].kind == &kobj_io_uring &&
            p->descriptors[i]->file != last) {
            last = p->descriptors[i]->file;
            n++;
        }
    return n;
}

static int add_registered(Crs__IoUring *m, uint32_t tid, uint32_t place)
{
    Crs__IoUringRegistered **all = realloc(m->registered, (m->n_registered + 1) * sizeof(*all));

    if (!all)
        return -ENOMEM;
    m->registered = all;
    all[m->n_registered] = malloc(sizeof(**all));
    if (!all[m->n_registered])
        return -ENOMEM;
    crs__io_uring_registered__init(all[m->n_registered]);
    all[m->n_registered]->tid = tid;
    all[m->n_registered++]->place = place;
    return 0;
}

static int probe_places(struct tracee_thread *th, Crs__IoUring *m, struct crs_error *err)
{
    int64_t result = 0;
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < URING_MAX_PLACES; i++) {
        r = REMOTE(th, &result, err, SYS_io_uring_enter, i, 0, 0, URING_ENTER_REGISTERED);
        if (r == 0 && result == -EINVAL) /* the thread has never used a ring */
            return 0;
        if (r == 0 && result != -EBADF && add_registered(m, th->inner_tid, i) < 0)
            r = crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    }
    return r;
}

/* The number of a place says nothing of the ring that is there. */
int uring_probe_registered(struct kobj_dump *ctx, const struct open_file *file, Crs__IoUring *m,
                           struct crs_error *err)
{
    int r = 0;

    tracee_for_each_thread (file->holder, th)
        r = r < 0 ? r : probe_places(th, m, err);
    if (r == 0 && m->n_registered > 0 && count_rings(ctx, file->holder) > 1)
        return file_refuse(file, err,
                           "it, or another of the process, is registered with a thread "
                           "(IORING_REGISTER_RING_FDS), and which one can't be read",
                           "unregister it before the checkpoint");
    return r;
}
