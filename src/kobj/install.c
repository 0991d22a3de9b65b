/*
 * install.c - descriptors into the process, under their numbers
 *
 * They are passed over a unix socket. The kernel gives each the lowest free number, so with the
 * wanted numbers in ascending order the i-th descriptor received never has a number above the
 * i-th wanted one: moving the last first, none lands on a number that is still in use. So no spare
 * numbers are needed but one, for the socket.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kobj/file.h"

#define BATCH 128 /* descriptors in a message; the kernel takes up to 253 */

/* Where the arguments of the remote recvmsg() stand in the scratch memory. */
struct letter {
    struct msghdr header;
    struct iovec iov;
    uint64_t byte;
    _Alignas(8) uint8_t control[CMSG_SPACE(BATCH * sizeof(int))];
};

_Static_assert(sizeof(struct letter) <= TRACEE_SCRATCH_SIZE, "the letter fits into the scratch");

/* One wanted descriptor. */
struct wanted {
    int number;
    bool cloexec;
    const Crs__OpenFile *record;
    int fd; /* ours */
};

struct plan {
    struct wanted *items;
    size_t n;
};

static void plan_clear(struct plan *plan)
{
    free(plan->items);
}

static int compare_wanted(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

/* What the restarter has under that number: the same description for all processes that shared
 * theirs. */
static int inherit_shared(struct kobj_restore *ctx, const Crs__OpenFile *record, int number,
                          int *ret_fd, struct crs_error *err)
{
    int *place = &ctx->inherited_fds[record->id - 1][number];
    int r = *place < 0 ? inherit_number(ctx, record, number, place, err) : 0;

    if (r == 0)
        *ret_fd = *place;
    return r;
}

static int plan_one(struct kobj_restore *ctx, const Crs__Descriptor *d, struct wanted *w,
                    struct crs_error *err)
{
    const Crs__OpenFile *record = file_find(ctx, d->file);

    if (!record || d->fd > INT32_MAX)
        return crs_fail(err, CRS_DAMAGED, EINVAL, "fd %u refers to file %u, which isn't there",
                        d->fd, d->file);
    *w = (struct wanted){.number = d->fd, .cloexec = d->close_on_exec, .record = record, .fd = -1};
    if (d->fd <= 2 && inherit_is_wanted(record))
        return inherit_shared(ctx, record, d->fd, &w->fd, err);
    return 0; /* the one that we have of the file, by the time */
}

static int make_plan(struct kobj_restore *ctx, struct plan *plan, struct crs_error *err)
{
    const Crs__Process *p = ctx->process;
    int r = 0;

    plan->items = calloc(p->n_descriptors + 1, sizeof(*plan->items));
    if (!plan->items)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (; r == 0 && plan->n < p->n_descriptors; plan->n++)
        r = plan_one(ctx, p->descriptors[plan->n], &plan->items[plan->n], err);
    if (r < 0)
        return r;
    if (plan->n > 0)
        qsort(plan->items, plan->n, sizeof(*plan->items), compare_wanted);
    for (size_t i = 1; i < plan->n; i++)
        if (plan->items[i].number == plan->items[i - 1].number)
            return crs_fail(err, CRS_DAMAGED, EINVAL,
                            "there are two descriptors with the number %d", plan->items[i].number);
    return 0;
}

/* ---- room in the process ---- */

/* The attribute of limits sets the saved ones later. */
static int raise_limit(struct kobj_restore *ctx, int highest, struct crs_error *err)
{
    struct tracee_thread *th = tracee_main(ctx->t);
    struct rlimit limit = {0};
    int64_t result;
    int r = 0;

    /* Of a process with the caller's own IDs it can be read from outside. */
    result = syscall(SYS_prlimit64, ctx->t->pid, RLIMIT_NOFILE, NULL, &limit);
    if (result < 0)
        r = tracee_call_with_block(th, &result, err, SYS_prlimit64,
                                   (const uint64_t[6]){0, RLIMIT_NOFILE, 0, 0}, 3, NULL, &limit,
                                   sizeof(limit));
    if (r < 0 || result < 0)
        return r < 0 ? r
                     : crs_fail(err, CRS_FAILED, -result, "can't read the limit of descriptors");
    if (limit.rlim_cur > (rlim_t)highest)
        return 0;
    limit.rlim_cur = (rlim_t)highest + 1;
    if (limit.rlim_max < limit.rlim_cur)
        limit.rlim_max = limit.rlim_cur; /* needs CAP_SYS_RESOURCE */
    r = tracee_call_with_block(th, &result, err, SYS_prlimit64,
                               (const uint64_t[6]){0, RLIMIT_NOFILE, 0, 0}, 2, &limit, NULL,
                               sizeof(limit));
    if (r == 0 && result < 0)
        return crs_fail(err, CRS_CANT_RESTART, -result,
                        "the program has a descriptor with the number %d and the limit here is "
                        "lower; raise it (ulimit -Hn)",
                        highest);
    return r;
}

/* Nothing may stand in the table but the socket, under a number that is not wanted. */
static int clear_table(struct kobj_restore *ctx, const struct plan *plan, int *socket,
                       struct crs_error *err)
{
    struct remote_call calls[4];
    size_t n = 0;
    int spare = 0, r = 0;

    for (size_t i = 0; i < plan->n && plan->items[i].number == spare; i++)
        spare++;
    r = raise_limit(ctx,
                    plan->n > 0 && plan->items[plan->n - 1].number > spare
                        ? plan->items[plan->n - 1].number
                        : spare,
                    err);
    if (r < 0)
        return r;
    const uint64_t at = *socket;
    if (at > 0)
        calls[n++] = (struct remote_call){SYS_close_range, {0, at - 1}, 0};
    calls[n++] = (struct remote_call){SYS_close_range, {at + 1, UINT32_MAX}, 0};
    if (spare != *socket) {
        calls[n++] = (struct remote_call){SYS_dup3, {at, spare, O_CLOEXEC}, 0};
        calls[n++] = (struct remote_call){SYS_close, {at}, 0};
    }
    r = tracee_calls(tracee_main(ctx->t), calls, n, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (calls[i].result < 0)
            r = crs_fail(err, CRS_FAILED, -calls[i].result,
                         "can't empty the table of descriptors in process %d: %s", ctx->t->pid,
                         strerror(-calls[i].result));
    if (r == 0)
        *socket = spare;
    return r;
}

/* ---- pass ---- */

static int send_batch(const struct wanted *items, size_t n, int service_fd, struct crs_error *err)
{
    _Alignas(8) uint8_t control[CMSG_SPACE(BATCH * sizeof(int))] = {0};
    char byte = 0;
    struct iovec iov = {&byte, 1};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = CMSG_SPACE(n * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&header);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(n * sizeof(int));
    for (size_t i = 0; i < n; i++)
        memcpy(CMSG_DATA(c) + i * sizeof(int), &items[i].fd, sizeof(int));
    ssize_t sent;
    do
        sent = sendmsg(service_fd, &header, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == 1 ? 0 : crs_fail_errno(err, CRS_FAILED, "can't pass descriptors");
}

static int receive_batch(struct kobj_restore *ctx, int socket, size_t n, int *numbers,
                         struct crs_error *err)
{
    struct tracee_thread *th = tracee_main(ctx->t);
    uint64_t at = ctx->t->scratch;
    struct letter letter = {0};
    int64_t result;

    letter.header.msg_iov = (void *)(at + offsetof(struct letter, iov));
    letter.header.msg_iovlen = 1;
    letter.header.msg_control = (void *)(at + offsetof(struct letter, control));
    letter.header.msg_controllen = CMSG_SPACE(n * sizeof(int));
    letter.iov = (struct iovec){(void *)(at + offsetof(struct letter, byte)), 1};
    int r = tracee_call_with_block(th, &result, err, SYS_recvmsg,
                                   (const uint64_t[6]){socket, 0, MSG_DONTWAIT}, 1, &letter,
                                   &letter, sizeof(letter));
    if (r < 0)
        return r;
    struct cmsghdr *c = (struct cmsghdr *)letter.control;
    if (result != 1 || (letter.header.msg_flags & MSG_CTRUNC) || c->cmsg_type != SCM_RIGHTS ||
        c->cmsg_len != CMSG_LEN(n * sizeof(int)))
        return crs_fail(err, CRS_FAILED, result < 0 ? -result : EMFILE,
                        "the process can't receive %zu descriptors: %s", n,
                        strerror(result < 0 ? -result : EMFILE));
    memcpy(numbers, CMSG_DATA(c), n * sizeof(int));
    return 0;
}

/* Where a call failed, say which. */
static int check_calls(const struct remote_call *calls, size_t n, struct crs_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (calls[i].result < 0)
            return crs_fail(err, CRS_FAILED, -calls[i].result, "can't put a descriptor at %d: %s",
                            (int)calls[i].args[calls[i].number == SYS_dup3],
                            strerror(-calls[i].result));
    return 0;
}

static int place_batch(struct kobj_restore *ctx, const struct wanted *items, size_t n,
                       const int *numbers, struct crs_error *err)
{
    struct remote_call calls[2 * BATCH];
    size_t n_calls = 0;

    for (size_t i = n; i-- > 0;) {
        uint64_t from = numbers[i], to = items[i].number;
        if (from == to) {
            if (items[i].cloexec)
                calls[n_calls++] = (struct remote_call){SYS_fcntl, {from, F_SETFD, FD_CLOEXEC}, 0};
            continue;
        }
        calls[n_calls++] =
            (struct remote_call){SYS_dup3, {from, to, items[i].cloexec ? O_CLOEXEC : 0}, 0};
        calls[n_calls++] = (struct remote_call){SYS_close, {from}, 0};
    }
    int r = tracee_calls(tracee_main(ctx->t), calls, n_calls, err);
    return r < 0 ? r : check_calls(calls, n_calls, err);
}

/* Have them all, those that were postponed as well. */
static int take_batch(struct kobj_restore *ctx, struct wanted *items, size_t n,
                      struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++) {
        if (items[i].fd >= 0) /* inherited */
            continue;
        r = file_restore(ctx, items[i].record, err);
        items[i].fd = ctx->file_fds[items[i].record->id - 1];
    }
    return r;
}

/* Those that were postponed are not needed here once the last process has them. */
static void drop_batch(struct kobj_restore *ctx, const struct wanted *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t at = items[i].record->id - 1;
        if (ctx->file_waits[at] == 0 || --ctx->file_waits[at] > 0)
            continue;
        cleanup_close(&ctx->file_fds[at]);
        ctx->file_fds[at] = -1;
    }
}

static int pass(struct kobj_restore *ctx, struct plan *plan, int service_fd, int socket,
                struct crs_error *err)
{
    int numbers[BATCH], r = 0;

    for (size_t i = 0; r == 0 && i < plan->n; i += BATCH) {
        size_t n = plan->n - i < BATCH ? plan->n - i : BATCH;
        r = take_batch(ctx, &plan->items[i], n, err);
        if (r == 0)
            r = send_batch(&plan->items[i], n, service_fd, err);
        if (r == 0)
            r = receive_batch(ctx, socket, n, numbers, err);
        if (r == 0)
            r = place_batch(ctx, &plan->items[i], n, numbers, err);
        drop_batch(ctx, &plan->items[i], n);
    }
    return r;
}

int kobj_install_files(struct kobj_restore *ctx, const Crs__Process *process, int service_fd,
                       int remote_service_fd, struct crs_error *err)
{
    _cleanup_(plan_clear) struct plan plan = {0};
    int socket = remote_service_fd;

    ctx->process = process;
    int r = make_plan(ctx, &plan, err);
    if (r == 0)
        r = clear_table(ctx, &plan, &socket, err);
    if (r == 0)
        r = pass(ctx, &plan, service_fd, socket, err);
    if (r == 0)
        r = REMOTE_CHECKED(tracee_main(ctx->t), NULL, err, CRS_FAILED, "close the socket",
                           SYS_close, socket);
    ctx->process = NULL;
    return r;
}
