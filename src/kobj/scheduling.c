/* scheduling.c - scheduling policy, priority, nice value and processors of a thread */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "kobj/attributes.h"
#include "scheduling.pb-c.h"

#define MAX_CPUS        8192
#define MASK_BYTES      (MAX_CPUS / 8)
#define POLICY_DEADLINE 6 /* SCHED_DEADLINE */

/* As of sched_setattr(2). */
struct attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

static int get_attr(pid_t tid, struct attr *ret)
{
    *ret = (struct attr){.size = sizeof(*ret)};
    if (syscall(SYS_sched_getattr, tid, ret, sizeof(*ret), 0) < 0)
        return -errno;
    errno = 0; /* sched_getattr() tells the nice value of some policies only */
    ret->nice = getpriority(PRIO_PROCESS, tid);
    return -errno;
}

/* ---- processors ---- */

struct mask {
    uint8_t bytes[MASK_BYTES];
};

static bool mask_has(const struct mask *mask, size_t cpu)
{
    return cpu < MAX_CPUS && (mask->bytes[cpu / 8] >> (cpu % 8) & 1);
}

static int get_mask(pid_t tid, struct mask *ret)
{
    *ret = (struct mask){0};
    return syscall(SYS_sched_getaffinity, tid, sizeof(ret->bytes), ret->bytes) < 0 ? -errno : 0;
}

static int set_mask(pid_t tid, const struct mask *mask)
{
    return syscall(SYS_sched_setaffinity, tid, sizeof(mask->bytes), mask->bytes) < 0 ? -errno : 0;
}

/* "0-3,8": does the mask have them all? */
static bool mask_has_list(const struct mask *mask, const char *list)
{
    char *end;

    for (;; list = end + 1) {
        unsigned long first = strtoul(list, &end, 10), last = first;
        if (end == list)
            return false;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (unsigned long cpu = first; cpu <= last && cpu < MAX_CPUS; cpu++)
            if (!mask_has(mask, cpu))
                return false;
        if (*end != ',')
            return true;
    }
}

/* May it run everywhere, so that it should be so on another machine too? All processors are meant,
 * or all that this container has, as its first process shows. */
static bool look_if_unrestricted(const struct mask *mask)
{
    _cleanup_bytes_ struct bytes online = {0};
    struct mask first;

    if (read_file(-1, "/sys/devices/system/cpu/online", 65536, &online) == 0 &&
        mask_has_list(mask, (const char *)online.data))
        return true;
    return get_mask(1, &first) == 0 && memcmp(&first, mask, sizeof(first)) == 0;
}

/* Most threads have the same mask: one that was looked at is kept. */
static bool is_unrestricted(struct kobj_dump *ctx, const struct mask *mask)
{
    if (ctx->everywhere && memcmp(ctx->everywhere, mask, sizeof(*mask)) == 0)
        return true;
    if (!look_if_unrestricted(mask))
        return false;
    if (!ctx->everywhere)
        ctx->everywhere = malloc(sizeof(*mask));
    if (ctx->everywhere)
        memcpy(ctx->everywhere, mask, sizeof(*mask));
    return true;
}

static size_t mask_size(const struct mask *mask)
{
    size_t n = MASK_BYTES;

    while (n > 0 && !mask->bytes[n - 1])
        n--;
    return n;
}

/* ---- the checkpoint ---- */

static int dump_scheduling(struct kobj_dump *ctx, struct tracee_thread *thread,
                           struct bytes *ret_payload, struct crs_error *err)
{
    Crs__Scheduling message = CRS__SCHEDULING__INIT;
    struct attr attr;
    struct mask mask;
    int r = get_attr(thread->tid, &attr);

    if (r == 0)
        r = get_mask(thread->tid, &mask);
    if (r < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, -r, "can't read how thread %d is scheduled: %s",
                        thread->tid, strerror(-r));
    message.policy = attr.policy;
    message.flags = attr.flags;
    message.nice = attr.nice;
    message.priority = attr.priority;
    if (attr.policy == POLICY_DEADLINE) { /* others show the kernel's own time slice there */
        message.runtime_ns = attr.runtime_ns;
        message.deadline_ns = attr.deadline_ns;
        message.period_ns = attr.period_ns;
    }
    if (!is_unrestricted(ctx, &mask))
        message.affinity = (ProtobufCBinaryData){mask_size(&mask), mask.bytes};
    return kobj_pack(&message.base, ret_payload, err);
}

/* ---- the restart ---- */

static void restore_policy(struct kobj_restore *ctx, struct tracee_thread *thread,
                           const Crs__Thread *record, const Crs__Scheduling *saved)
{
    struct attr now, attr = {
                         .size = sizeof(attr),
                         .policy = saved->policy,
                         .flags = saved->flags,
                         .nice = saved->nice,
                         .priority = saved->priority,
                         .runtime_ns = saved->runtime_ns,
                         .deadline_ns = saved->deadline_ns,
                         .period_ns = saved->period_ns,
                     };

    int known = get_attr(thread->tid, &now);
    /* sched_setattr() ignores the nice value of some policies. */
    if ((known < 0 || now.nice != attr.nice) &&
        setpriority(PRIO_PROCESS, thread->tid, attr.nice) < 0) {
        KOBJ_WARN(ctx, "thread %u had the nice value %d, which can't be set here: %s", record->tid,
                  attr.nice, strerror(errno));
        attr.nice = known < 0 ? attr.nice : now.nice;
    }
    if (known == 0 && now.policy == attr.policy && now.flags == attr.flags &&
        now.priority == attr.priority && attr.policy != POLICY_DEADLINE)
        return;
    if (syscall(SYS_sched_setattr, thread->tid, &attr, 0) < 0)
        KOBJ_WARN(
            ctx, "thread %u was scheduled with policy %u, priority %u, which can't be set here: %s",
            record->tid, saved->policy, saved->priority, strerror(errno));
}

static void warn_of_processors(struct kobj_restore *ctx, const Crs__Thread *record,
                               const struct mask *wanted, const struct mask *got)
{
    char words[256] = "";
    size_t n = 0;

    for (size_t cpu = 0; cpu < MAX_CPUS && n < sizeof(words); cpu++)
        if (mask_has(wanted, cpu) && !mask_has(got, cpu))
            n += snprintf(words + n, sizeof(words) - n, " %zu", cpu);
    if (n > 0)
        KOBJ_WARN(ctx, "thread %u was bound to processors that are not to be had here:%s",
                  record->tid, words);
}

static int restore_affinity(struct kobj_restore *ctx, struct tracee_thread *thread,
                            const Crs__Thread *record, const Crs__Scheduling *saved,
                            struct crs_error *err)
{
    struct mask all, wanted = {0}, got = {0};
    int r;

    memset(&all, 0xff, sizeof(all));
    if (saved->affinity.len > MASK_BYTES)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "a mask of %zu bytes for processors",
                        saved->affinity.len);
    if (saved->affinity.len == 0)
        r = set_mask(thread->tid, &all);
    else {
        memcpy(wanted.bytes, saved->affinity.data, saved->affinity.len);
        r = set_mask(thread->tid, &wanted);
        if (r == -EINVAL) /* none of them is here */
            r = set_mask(thread->tid, &all);
    }
    if (r < 0)
        KOBJ_WARN(ctx, "can't bind thread %u to its processors: %s", record->tid, strerror(-r));
    else if (saved->affinity.len && get_mask(thread->tid, &got) == 0)
        warn_of_processors(ctx, record, &wanted, &got);
    return 0;
}

static int restore_scheduling(struct kobj_restore *ctx, struct tracee_thread *thread,
                              const Crs__Thread *record, const struct bytes *payload,
                              struct crs_error *err)
{
    _cleanup_message_ Crs__Scheduling *message = NULL;
    int r = kobj_unpack(&crs__scheduling__descriptor, payload, &message, err);

    if (r == 0)
        r = restore_affinity(ctx, thread, record, message, err);
    if (r == 0)
        restore_policy(ctx, thread, record, message);
    return r;
}

static int describe_scheduling(const struct bytes *payload, char *text, size_t size)
{
    static const char *const names[] = {"other", "FIFO", "round-robin", "batch",
                                        "?",     "idle", "deadline",    "extensible"};
    _cleanup_message_ Crs__Scheduling *message = NULL;
    int r = kobj_unpack(&crs__scheduling__descriptor, payload, &message, NULL);

    if (r == 0)
        snprintf(text, size, "%s, priority %u, nice %d%s",
                 message->policy < ELEMENTS(names) ? names[message->policy] : "?",
                 message->priority, message->nice,
                 message->affinity.len ? ", bound to some processors" : "");
    return r;
}

const struct kobj_thread_kind kobj_scheduling = {
    .name = "scheduling",
    .title = "scheduling",
    .saved = "yes",
    .conditions = "bound to those of its processors that exist",
    .privilege = "CAP_SYS_NICE for real-time policies and to lower a nice value",
    .dump = dump_scheduling,
    .restore = restore_scheduling,
    .describe = describe_scheduling,
};
