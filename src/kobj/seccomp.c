/*
 * seccomp.c - seccomp filters and the strict mode
 *
 * Threads of a process share filters that were there when they were made, or that one of them gave
 * to all (TSYNC, which demands that the others' filters are the beginning of its own). What all
 * have in common, by content, is given to all at once again; the rest is each thread's own.
 *
 * They are installed by the very last calls of a restart: each is judged by those before it only,
 * as it was in the program, so no privilege is needed beyond what the program had. The memory for
 * a filter is lent by the program and put back at once.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "kobj/attributes.h"
#include "seccomp.pb-c.h"
#include "tracee/sandbox.h"

#define FILTERS_MAX   10000 /* the kernel has fewer: 32768 instructions in all */
#define CODE_SIZE_MAX (BPF_MAXINSNS * sizeof(struct sock_filter))
#define BELOW_FRAME   256 /* what a function without a frame of its own uses, and more */

/* ---- the checkpoint ---- */

/* A filter of the process, as often as it is met in threads, once. */
struct saved_filter {
    Crs__SeccompFilter record;
    struct sock_filter code[BPF_MAXINSNS];
};

struct saved {
    ARRAY_OF(struct saved_filter *) filters;
    ARRAY_OF(Crs__SeccompThread *) threads;
};

static void saved_clear(struct saved *saved)
{
    for (size_t i = 0; i < saved->filters.n; i++)
        free(saved->filters.items[i]);
    for (size_t i = 0; i < saved->threads.n; i++) {
        free(saved->threads.items[i]->filters);
        free(saved->threads.items[i]);
    }
    free(saved->filters.items);
    free(saved->threads.items);
}

/* A filter that leaves the decision to a process which listens: nobody would after a restart. */
static bool asks_listener(const struct sock_filter *code, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (code[i].code == (BPF_RET | BPF_K) &&
            (code[i].k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF)
            return true;
    return false;
}

static bool is_same_filter(const struct saved_filter *a, const struct saved_filter *b)
{
    return a->record.flags == b->record.flags && a->record.code.len == b->record.code.len &&
           memcmp(a->code, b->code, a->record.code.len) == 0;
}

/* Its place among those of the process; `filter` is taken over. -ENOMEM. */
static int place_of(struct saved *saved, struct saved_filter *filter)
{
    for (size_t i = 0; i < saved->filters.n; i++)
        if (is_same_filter(saved->filters.items[i], filter)) {
            free(filter);
            return i;
        }
    struct saved_filter **place = ARRAY_ADD(&saved->filters);
    if (!place) {
        free(filter);
        return -ENOMEM;
    }
    *place = filter;
    return saved->filters.n - 1;
}

/* 1: there are no more. */
static int save_filter(struct saved *saved, struct tracee_thread *thread,
                       Crs__SeccompThread *record, struct crs_error *err)
{
    _cleanup_free_ struct saved_filter *filter = calloc(1, sizeof(*filter));
    uint32_t *more = reallocarray(record->filters, record->n_filters + 1, sizeof(*record->filters));
    size_t n;

    if (more)
        record->filters = more;
    if (!filter || !more)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a seccomp filter");
    crs__seccomp_filter__init(&filter->record);
    int r = sandbox_read_filter(thread, record->n_filters, filter->code, &n, &filter->record.flags,
                                err);
    if (r < 0 || n == 0)
        return r < 0 ? r : 1;
    if (asks_listener(filter->code, n))
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "thread %d of process %d runs under a seccomp filter that leaves decisions "
                        "to a listener, which would be missing after a restart; run the program "
                        "without that sandbox",
                        thread->tid, thread->owner->pid);
    filter->record.code = (ProtobufCBinaryData){n * sizeof(filter->code[0]), (void *)filter->code};
    int place = place_of(saved, TAKE_PTR(filter));
    if (place < 0)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a seccomp filter");
    more[record->n_filters++] = place;
    return 0;
}

static int save_thread(struct saved *saved, struct tracee_thread *thread, struct crs_error *err)
{
    Crs__SeccompThread **place = ARRAY_ADD(&saved->threads);
    Crs__SeccompThread *record = place ? malloc(sizeof(*record)) : NULL;
    int r = 0;

    if (!record) {
        saved->threads.n -= place != NULL;
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a seccomp filter");
    }
    *place = record;
    crs__seccomp_thread__init(record);
    record->tid = thread->inner_tid;
    record->strict = thread->seccomp == SECCOMP_MODE_STRICT;
    if (thread->filters_inherited)
        record->inherited = thread->n_filters;
    else if (!record->strict)
        while (r == 0)
            r = save_filter(saved, thread, record, err);
    return r < 0 ? r : 0;
}

static int dump_seccomp(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    _cleanup_(saved_clear) struct saved saved = {0};
    Crs__Seccomp message = CRS__SECCOMP__INIT;
    int r = 0;

    tracee_for_each_thread (ctx->t, thread) {
        if (r == 0 && thread->seccomp != SECCOMP_MODE_DISABLED)
            r = save_thread(&saved, thread, err);
    }
    if (r < 0 || saved.threads.n == 0)
        return r;
    _cleanup_free_ Crs__SeccompFilter **filters = calloc(saved.filters.n + 1, sizeof(*filters));
    if (!filters)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the seccomp filters");
    for (size_t i = 0; i < saved.filters.n; i++)
        filters[i] = &saved.filters.items[i]->record;
    message.filters = filters;
    message.n_filters = saved.filters.n;
    message.threads = saved.threads.items;
    message.n_threads = saved.threads.n;
    return kobj_pack(&message.base, ret_payload, err);
}

/* ---- before the restart ---- */

static int check_filters(const Crs__Seccomp *message, struct crs_error *err)
{
    for (size_t i = 0; i < message->n_filters; i++) {
        size_t size = message->filters[i]->code.len;
        if (size == 0 || size > CODE_SIZE_MAX || size % sizeof(struct sock_filter))
            return crs_fail(err, CRS_DAMAGED, EBADMSG, "a seccomp filter of %zu bytes", size);
    }
    return 0;
}

static int check_thread(const Crs__Seccomp *message, const Crs__SeccompThread *thread,
                        struct crs_error *err)
{
    if (thread->n_filters > FILTERS_MAX)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "thread %u has %zu seccomp filters", thread->tid,
                        thread->n_filters);
    for (size_t i = 0; i < thread->n_filters; i++)
        if (thread->filters[i] >= message->n_filters)
            return crs_fail(err, CRS_DAMAGED, EBADMSG,
                            "thread %u has seccomp filter %u, which isn't there", thread->tid,
                            thread->filters[i]);
    return 0;
}

static int check_seccomp(struct kobj_restore *ctx, const Crs__Process *process,
                         const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__Seccomp *message = NULL;
    unsigned own = 0, inherited = 0;
    int r = kobj_unpack(&crs__seccomp__descriptor, payload, &message, err);

    if (r == 0)
        r = check_filters(message, err);
    for (size_t i = 0; r == 0 && i < message->n_threads; i++) {
        r = check_thread(message, message->threads[i], err);
        if (message->threads[i]->inherited)
            inherited = message->threads[i]->inherited;
    }
    if (r == 0)
        r = sandbox_own_filters(&own, err);
    if (r == 0 && inherited && inherited != own)
        KOBJ_WARN(ctx,
                  "process %u ran under %u seccomp filters of its surroundings (a container or a "
                  "service), and will run under the %u of these",
                  process->pid, inherited, own);
    return r;
}

/* ---- the restart ---- */

/* One that is there and may be written, as its last pages are not shared with anybody. */
static uint64_t find_room(struct kobj_restore *ctx, const Crs__Process *process, size_t size)
{
    for (size_t i = 0; i < ctx->memory->n_spaces; i++) {
        const Crs__AddressSpace *space = ctx->memory->spaces[i];
        for (size_t j = 0; space->id == process->address_space && j < space->n_vmas; j++) {
            const Crs__Vma *vma = space->vmas[j];
            if (vma->kind == CRS__VMA_KIND__VMA_ANONYMOUS && vma->end - vma->start >= size &&
                (vma->protection & (PROT_READ | PROT_WRITE)) == (PROT_READ | PROT_WRITE) &&
                !(vma->flags & (CRS__VMA_FLAG__VMA_FLAG_DROPPABLE)))
                return vma->end - size;
        }
    }
    return 0;
}

/* Where the thread's own stack goes on; that may end there. *ret_before: what is there now. */
static int lend_memory(struct kobj_restore *ctx, const Crs__Process *process,
                       const Crs__Thread *thread, struct bytes *before, uint64_t *ret,
                       struct crs_error *err)
{
    const struct arch_regs *regs = (const void *)thread->registers.data;

    *ret = (arch_stack_pointer(regs) - BELOW_FRAME - before->size) & ~15ULL;
    if (tracee_read(ctx->t, *ret, before->data, before->size, NULL) == 0 &&
        tracee_write(ctx->t, *ret, before->data, before->size, NULL) == 0)
        return 0;
    *ret = find_room(ctx, process, before->size);
    if (!*ret)
        return crs_fail(err, CRS_CANT_RESTART, ENOMEM,
                        "no memory of process %u has room for a seccomp filter of %zu bytes",
                        process->pid, before->size);
    return tracee_read(ctx->t, *ret, before->data, before->size, err);
}

/* The call that installs what is there in memory. */
static int call_install(struct tracee_thread *th, uint64_t address, uint32_t flags,
                        struct crs_error *err)
{
    int64_t result;
    int r = REMOTE(th, &result, err, SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, address);

    /* An older filter may know only the other way to do it, as the program had done. */
    if (r == 0 && kobj_call_failed(result) && result != -EACCES && flags == 0)
        r = REMOTE(th, &result, err, SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, address);
    if (r < 0 || result == 0)
        return r;
    if (result > 0)
        return crs_fail(err, CRS_CANT_RESTART, EBUSY,
                        "thread %lld has seccomp filters already, so all can't be given one",
                        (long long)result);
    return crs_fail(err, CRS_CANT_RESTART, -result, "can't install a seccomp filter: %s%s",
                    strerror(-result),
                    result == -EACCES ? " (the program had it without no_new_privs, which takes "
                                        "CAP_SYS_ADMIN)"
                                      : "");
}

static int install(struct kobj_restore *ctx, const Crs__Process *process, size_t thread,
                   const Crs__SeccompFilter *filter, uint32_t flags, struct crs_error *err)
{
    struct {
        struct sock_fprog program;
        uint8_t code[CODE_SIZE_MAX];
    } block = {.program.len = filter->code.len / sizeof(struct sock_filter)};
    uint8_t old[sizeof(block)];
    struct bytes before = {old, sizeof(block.program) + filter->code.len};
    uint64_t address;
    int r = lend_memory(ctx, process, process->threads[thread], &before, &address, err);

    if (r < 0)
        return r;
    block.program.filter = (void *)(address + sizeof(block.program));
    memcpy(block.code, filter->code.data, filter->code.len);
    r = tracee_write(ctx->t, address, &block, before.size, err);
    if (r == 0)
        r = call_install(&ctx->t->threads[thread], address,
                         flags | (filter->flags & SECCOMP_FILTER_FLAG_LOG), err);
    return r < 0 ? r : tracee_write(ctx->t, address, old, before.size, err);
}

static const Crs__SeccompThread *find_thread(const Crs__Seccomp *message, uint32_t tid)
{
    for (size_t i = 0; i < message->n_threads; i++)
        if (message->threads[i]->tid == tid)
            return message->threads[i];
    return NULL;
}

/* How many filters, the oldest, all threads have. */
static size_t count_shared(const struct tracee *t, const Crs__Seccomp *message,
                           const Crs__Process *process)
{
    const Crs__SeccompThread *first = NULL;
    size_t n = 0;

    for (size_t i = 0; i < process->n_threads; i++) {
        const Crs__SeccompThread *thread = find_thread(message, process->threads[i]->tid);
        size_t same = 0;
        if (t->threads[i].exited)
            continue;
        if (!thread)
            return 0;
        if (!first)
            n = (first = thread)->n_filters;
        while (same < n && same < thread->n_filters &&
               thread->filters[same] == first->filters[same])
            same++;
        n = same;
    }
    return n;
}

/* The first thread that lives: a leader that has exited has no calls to make. */
static size_t first_thread(const struct tracee *t)
{
    for (size_t i = 0; i < t->n_threads; i++)
        if (!t->threads[i].exited)
            return i;
    return 0;
}

static int restore_thread(struct kobj_restore *ctx, const Crs__Process *process, size_t i,
                          const Crs__Seccomp *message, size_t n_shared, struct crs_error *err)
{
    const Crs__SeccompThread *thread = find_thread(message, process->threads[i]->tid);
    int r = 0;

    if (!thread || ctx->t->threads[i].exited)
        return 0;
    for (size_t j = n_shared; r == 0 && j < thread->n_filters; j++)
        r = install(ctx, process, i, message->filters[thread->filters[j]], 0, err);
    if (r == 0 && thread->strict)
        r = REMOTE_CHECKED(&ctx->t->threads[i], NULL, err, CRS_CANT_RESTART,
                           "set seccomp's strict mode", SYS_prctl, PR_SET_SECCOMP,
                           SECCOMP_MODE_STRICT);
    return r;
}

static int lock_seccomp(struct kobj_restore *ctx, const Crs__Process *process,
                        const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__Seccomp *message = NULL;
    size_t main = first_thread(ctx->t);
    int r = kobj_unpack(&crs__seccomp__descriptor, payload, &message, err);

    if (r < 0)
        return r;
    tracee_for_each_thread (ctx->t, th)
        sandbox_suspend_stub(th);
    size_t n_shared = count_shared(ctx->t, message, process);
    uint32_t flags = process->n_threads > 1 ? SECCOMP_FILTER_FLAG_TSYNC : 0;
    for (size_t i = 0; r == 0 && i < n_shared; i++) {
        const Crs__SeccompThread *thread = find_thread(message, process->threads[main]->tid);
        r = install(ctx, process, main, message->filters[thread->filters[i]], flags, err);
    }
    for (size_t i = 0; r == 0 && i < process->n_threads; i++)
        r = restore_thread(ctx, process, i, message, n_shared, err);
    return r;
}

static int describe_seccomp(const struct bytes *payload, char *text, size_t size)
{
    _cleanup_message_ Crs__Seccomp *message = NULL;
    int r = kobj_unpack(&crs__seccomp__descriptor, payload, &message, NULL);
    unsigned inherited = 0, strict = 0;

    for (size_t i = 0; r == 0 && i < message->n_threads; i++) {
        inherited += message->threads[i]->inherited != 0;
        strict += message->threads[i]->strict;
    }
    if (r == 0 && inherited)
        snprintf(text, size, "%u threads under filters of their surroundings", inherited);
    else if (r == 0)
        snprintf(text, size, "%zu filters on %zu threads%s", message->n_filters, message->n_threads,
                 strict ? ", strict mode" : "");
    return r;
}

const struct kobj_process_kind kobj_seccomp = {
    .name = "seccomp",
    .title = "seccomp filters",
    .saved = "with conditions",
    .conditions = "a filter that leaves decisions to a listener is refused; what a container or "
                  "service has put on all that is in it, the tool too, is not saved but had again",
    .privilege = "CAP_SYS_ADMIN for filters of the program's own",
    .dump = dump_seccomp,
    .check = check_seccomp,
    .lock = lock_seccomp,
    .describe = describe_seccomp,
};
