/* attributes.c - the properties of processes and threads: the tables and what walks them */
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "kobj/attributes.h"
#include "kobj/later.h"
#include "kobj/questions.h"

#define PROC_TEXT_MAX (16u << 20)

/* ---- the tables ---- */

/* In the order of the restore: signals are queued when their actions stand, since setting an
 * action empties the queue; timers run from when they are set, so they come late. What a filter
 * forbids can't be done after it: so the filters come last of all. */
const struct kobj_process_kind *const kobj_process_kinds[] = {
    &kobj_sharing,       &kobj_namespaces,
    &kobj_sysv_ipc,      &kobj_ldt,
    &kobj_root,          &kobj_aio,
    &kobj_credentials,   &kobj_cwd,
    &kobj_umask,         &kobj_rlimits,
    &kobj_oom_score_adj, &kobj_coredump_filter,
    &kobj_process_prctl, &kobj_vector_permission,
    &kobj_sigactions,    &kobj_itimers,
    &kobj_posix_timers,  &kobj_pending_signals,
    &kobj_seccomp,       NULL,
};

const struct kobj_thread_kind *const kobj_thread_kinds[] = {
    &kobj_dispatch,
    &kobj_shadow_stack,
    &kobj_thread_directory,
    &kobj_comm,
    &kobj_personality,
    &kobj_scheduling,
    &kobj_ioprio,
    &kobj_memory_policy,
    &kobj_altstack,
    &kobj_tid_address,
    &kobj_robust_list,
    &kobj_rseq,
    &kobj_thread_prctl,
    &kobj_thread_pending_signals,
    NULL,
};

/* ---- what the kinds use ---- */

void kobj_warn(crs_progress_fn progress, void *arg, const char *format, ...)
{
    char text[CRS_ERROR_TEXT_SIZE];
    va_list ap;

    if (!progress)
        return;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    progress(&(struct crs_progress){.phase = "warning", .warning = text}, arg);
}

int kobj_pack(const ProtobufCMessage *message, struct bytes *ret, struct crs_error *err)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *data = malloc(size ? size : 1); /* also a message of defaults is something saved */

    if (!data)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a record of %zu bytes", size);
    protobuf_c_message_pack(message, data);
    bytes_clear(ret);
    *ret = (struct bytes){data, size};
    return 0;
}

int kobj_unpack(const ProtobufCMessageDescriptor *descriptor, const struct bytes *payload,
                void *ret, struct crs_error *err)
{
    return store_unpack(descriptor, payload->data, payload->size, ret, err);
}

static int cant_read(const struct tracee *t, const char *path, int r, struct crs_error *err)
{
    return crs_fail(err, r == -ESRCH ? CRS_NOT_FOUND : CRS_FAILED, -r, "can't read /proc/%d/%s: %s",
                    t->pid, path, strerror(-r));
}

int kobj_read_proc(struct tracee *t, struct bytes *ret, struct crs_error *err, const char *format,
                   ...)
{
    char path[64];
    va_list ap;

    va_start(ap, format);
    vsnprintf(path, sizeof(path), format, ap);
    va_end(ap);
    int r = read_file(t->proc_fd, path, PROC_TEXT_MAX, ret);
    return r < 0 ? cant_read(t, path, r, err) : 0;
}

int kobj_read_task(struct tracee_thread *thread, const char *name, struct bytes *ret,
                   struct crs_error *err)
{
    struct tracee *t = thread->owner;
    char path[64];

    snprintf(path, sizeof(path), "task/%d/%s", thread->tid, name);
    int r = read_record(t->proc_fd, path, PROC_TEXT_MAX, ret);
    return r < 0 ? cant_read(t, path, r, err) : 0;
}

int kobj_read_status_now(struct tracee_thread *thread, struct proc_status *ret,
                         struct crs_error *err)
{
    tracee_forget_status(thread);
    return kobj_read_status(thread, ret, err);
}

static int know_status(struct tracee_thread *thread, struct crs_error *err)
{
    struct bytes *text = &thread->status;
    int r = 0;

    if (!text->data)
        r = kobj_read_task(thread, "status", text, err);
    if (r < 0)
        return r;
    thread->known = calloc(1, sizeof(*thread->known));
    if (!thread->known)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    r = proc_status_parse((const char *)text->data, thread->known);
    if (r == 0)
        return 0;
    tracee_forget_status(thread);
    return crs_fail(err, CRS_FAILED, -r, "can't make sense of /proc/%d/task/%d/status",
                    thread->owner->pid, thread->tid);
}

int kobj_read_status(struct tracee_thread *thread, struct proc_status *ret, struct crs_error *err)
{
    int r = 0;

    if (thread->owner->stub)
        tracee_forget_status(thread); /* what it is changes all the time */
    if (!thread->known)
        r = know_status(thread, err);
    if (r == 0 && proc_status_copy(thread->known, ret) < 0)
        r = crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    return r;
}

int kobj_need_scratch(struct tracee_thread *thread, struct crs_error *err)
{
    return thread->owner->scratch ? 0 : tracee_prepare_calls(thread->owner, err);
}

int kobj_call_blocks(struct tracee_thread *thread, struct remote_call *calls, size_t n,
                     int pointer_arg, const void *in, void *out, size_t block_size,
                     struct crs_error *err)
{
    struct tracee *t = thread->owner;
    size_t at_once = TRACEE_SCRATCH_SIZE / block_size;
    int r = kobj_need_scratch(thread, err);

    for (size_t done = 0; r == 0 && done < n; done += at_once) {
        size_t some = n - done < at_once ? n - done : at_once;
        for (size_t i = 0; i < some; i++)
            calls[done + i].args[pointer_arg] = t->scratch + i * block_size;
        if (in)
            r = tracee_write(t, t->scratch, (const char *)in + done * block_size, some * block_size,
                             err);
        if (r == 0)
            r = tracee_calls(thread, calls + done, some, err);
        if (r == 0 && out)
            r = tracee_read(t, t->scratch, (char *)out + done * block_size, some * block_size, err);
    }
    return r;
}

/* ---- the checkpoint ---- */

static int add_attribute(Crs__Attribute ***list, size_t *n, const char *kind, struct bytes *payload,
                         struct crs_error *err)
{
    Crs__Attribute *attribute = malloc(sizeof(*attribute));
    char *name = strdup(kind);
    Crs__Attribute **more = reallocarray(*list, *n + 1, sizeof(*more));

    if (more)
        *list = more;
    if (!attribute || !name || !more) {
        free(attribute);
        free(name);
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the properties of a process");
    }
    crs__attribute__init(attribute);
    attribute->kind = name;
    attribute->payload = (ProtobufCBinaryData){payload->size, payload->data};
    *payload = (struct bytes){0};
    more[(*n)++] = attribute;
    return 0;
}

static void free_attributes(Crs__Attribute **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        crs__attribute__free_unpacked(list[i], NULL);
    free(list);
}

int kobj_dump_process(struct kobj_dump *ctx, Crs__Attribute ***ret, size_t *ret_n,
                      struct crs_error *err)
{
    Crs__Attribute **list = NULL;
    size_t n = 0;
    int r = kobj_ask_all(tracee_main(ctx->t), err);

    if (r < 0)
        return r;
    for (const struct kobj_process_kind *const *kind = kobj_process_kinds; *kind; kind++) {
        _cleanup_bytes_ struct bytes payload = {0};
        r = (*kind)->dump(ctx, &payload, err);
        if (r == 0 && payload.data)
            r = add_attribute(&list, &n, (*kind)->name, &payload, err);
        if (r < 0) {
            free_attributes(list, n);
            return r;
        }
    }
    *ret = list;
    *ret_n = n;
    return 0;
}

/* Nobody asks for it again, but of the first thread, which stands for its process. */
static void forget_thread(struct tracee_thread *thread)
{
    if (thread == tracee_main(thread->owner))
        return;
    tracee_forget_status(thread);
    bytes_clear(&thread->stat);
    kobj_forget_answers(thread);
}

/* What will be asked for, while it makes its calls; not read where that can't be done now. Of what
 * changes by the calls nobody asks but for the signals that wait: their own may be among them. */
static void read_meanwhile(struct tracee_thread *thread)
{
    if (!thread->known && know_status(thread, NULL) == 0 && thread->known->signals_pending != 0)
        tracee_forget_status(thread);
    if (!thread->stat.data)
        kobj_read_task(thread, "stat", &thread->stat, NULL);
}

static int ask_of_thread(struct tracee_thread *thread, struct crs_error *err)
{
    struct tracee *t = thread->owner;

    if (thread == tracee_main(t))
        return 0; /* with its process */
    t->meanwhile = read_meanwhile;
    int r = kobj_ask_all(thread, err);
    t->meanwhile = NULL;
    return r;
}

int kobj_dump_thread(struct kobj_dump *ctx, struct tracee_thread *thread, Crs__Attribute ***ret,
                     size_t *ret_n, struct crs_error *err)
{
    Crs__Attribute **list = NULL;
    size_t n = 0;
    int r = ask_of_thread(thread, err);

    if (r < 0)
        return r;
    for (const struct kobj_thread_kind *const *kind = kobj_thread_kinds; *kind; kind++) {
        _cleanup_bytes_ struct bytes payload = {0};
        r = (*kind)->dump(ctx, thread, &payload, err);
        if (r == 0 && payload.data)
            r = add_attribute(&list, &n, (*kind)->name, &payload, err);
        if (r < 0) {
            free_attributes(list, n);
            return r;
        }
    }
    forget_thread(thread);
    *ret = list;
    *ret_n = n;
    return 0;
}

/* ---- the restart ---- */

/* The record of that kind; false: there is none. *ret_payload is borrowed. */
static bool find_attribute(Crs__Attribute *const *list, size_t n, const char *kind,
                           struct bytes *ret_payload)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i]->kind, kind) != 0)
            continue;
        *ret_payload = (struct bytes){list[i]->payload.data, list[i]->payload.len};
        return true;
    }
    return false;
}

static bool is_process_kind(const char *name)
{
    for (const struct kobj_process_kind *const *kind = kobj_process_kinds; *kind; kind++)
        if (strcmp((*kind)->name, name) == 0)
            return true;
    return false;
}

static bool is_thread_kind(const char *name)
{
    for (const struct kobj_thread_kind *const *kind = kobj_thread_kinds; *kind; kind++)
        if (strcmp((*kind)->name, name) == 0)
            return true;
    return false;
}

/* Every property is of a kind that we know, and there only once. */
static int check_kinds(Crs__Attribute *const *list, size_t n, bool (*known)(const char *name),
                       const char *of, struct crs_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!known(list[i]->kind))
            return crs_fail(err, CRS_CANT_RESTART, EPROTO,
                            "the snapshot has a property '%.64s' of a %s that this version doesn't "
                            "know: restart it with the version that made it, or a newer one",
                            list[i]->kind, of);
        for (size_t j = 0; j < i; j++)
            if (strcmp(list[i]->kind, list[j]->kind) == 0)
                return crs_fail(err, CRS_DAMAGED, EBADMSG,
                                "the snapshot has the property '%s' of a %s twice", list[i]->kind,
                                of);
    }
    return 0;
}

int kobj_check_process(struct kobj_restore *ctx, const Crs__Process *process, struct crs_error *err)
{
    int r =
        check_kinds(process->attributes, process->n_attributes, is_process_kind, "process", err);

    for (size_t i = 0; r == 0 && i < process->n_threads; i++)
        r = check_kinds(process->threads[i]->attributes, process->threads[i]->n_attributes,
                        is_thread_kind, "thread", err);
    for (size_t i = 0; r == 0 && kobj_process_kinds[i]; i++) {
        const struct kobj_process_kind *kind = kobj_process_kinds[i];
        struct bytes payload;
        if (kind->check &&
            find_attribute(process->attributes, process->n_attributes, kind->name, &payload))
            r = kind->check(ctx, process, &payload, err);
    }
    return r;
}

typedef int (*restore_step)(struct kobj_restore *ctx, const Crs__Process *process,
                            const struct bytes *payload, struct crs_error *err);

static int run_step(struct kobj_restore *ctx, const Crs__Process *process,
                    const struct kobj_process_kind *kind, restore_step step, struct crs_error *err)
{
    struct bytes payload;

    if (!step || !find_attribute(process->attributes, process->n_attributes, kind->name, &payload))
        return 0;
    int r = step(ctx, process, &payload, err);
    return r < 0 ? crs_fail_at(err, r, "%s", kind->title) : 0;
}

int kobj_restore_process(struct kobj_restore *ctx, const Crs__Process *process,
                         struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && kobj_process_kinds[i]; i++)
        r = run_step(ctx, process, kobj_process_kinds[i], kobj_process_kinds[i]->restore, err);
    return r;
}

int kobj_finish_process(struct kobj_restore *ctx, const Crs__Process *process,
                        struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && kobj_process_kinds[i]; i++)
        r = run_step(ctx, process, kobj_process_kinds[i], kobj_process_kinds[i]->finish, err);
    return r;
}

int kobj_lock_process(struct kobj_restore *ctx, const Crs__Process *process, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && kobj_process_kinds[i]; i++)
        r = run_step(ctx, process, kobj_process_kinds[i], kobj_process_kinds[i]->lock, err);
    return r;
}

int kobj_restore_thread(struct kobj_restore *ctx, struct tracee_thread *thread,
                        const Crs__Thread *record, struct crs_error *err)
{
    for (const struct kobj_thread_kind *const *kind = kobj_thread_kinds; *kind; kind++) {
        struct bytes payload;
        if (!(*kind)->restore ||
            !find_attribute(record->attributes, record->n_attributes, (*kind)->name, &payload))
            continue;
        ctx->later_title = (*kind)->title;
        int r = (*kind)->restore(ctx, thread, record, &payload, err);
        if (r < 0)
            return crs_fail_at(err, r, "%s of thread %u", (*kind)->title, record->tid);
    }
    return kobj_make_calls(ctx, thread, record->tid, err);
}
