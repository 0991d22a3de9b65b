/* rlimits.c - resource limits */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kobj/attributes.h"
#include "rlimits.pb-c.h"

static const char *const names[] = {
    [RLIMIT_CPU] = "CPU time",
    [RLIMIT_FSIZE] = "file size",
    [RLIMIT_DATA] = "data size",
    [RLIMIT_STACK] = "stack size",
    [RLIMIT_CORE] = "core file size",
    [RLIMIT_RSS] = "resident memory",
    [RLIMIT_NPROC] = "processes",
    [RLIMIT_NOFILE] = "open files",
    [RLIMIT_MEMLOCK] = "locked memory",
    [RLIMIT_AS] = "address space",
    [RLIMIT_LOCKS] = "file locks",
    [RLIMIT_SIGPENDING] = "pending signals",
    [RLIMIT_MSGQUEUE] = "message queues",
    [RLIMIT_NICE] = "nice value",
    [RLIMIT_RTPRIO] = "real-time priority",
    [RLIMIT_RTTIME] = "real-time CPU time",
};
#define N_LIMITS ELEMENTS(names)

/* As of prlimit64(2). */
struct limit {
    uint64_t soft, hard;
};

/* Those of a process with the caller's own IDs can be read from outside. */
static bool read_own_limits(const struct tracee *t, struct limit limits[N_LIMITS])
{
    for (size_t i = 0; i < N_LIMITS; i++)
        if (syscall(SYS_prlimit64, t->pid, i, NULL, &limits[i]) < 0)
            return false;
    return true;
}

static int read_limits(struct tracee *t, struct limit limits[N_LIMITS], struct crs_error *err)
{
    struct remote_call calls[N_LIMITS] = {0};

    if (read_own_limits(t, limits))
        return 0;
    for (size_t i = 0; i < N_LIMITS; i++)
        calls[i] = (struct remote_call){.number = SYS_prlimit64, .args = {0, i, 0}};
    int r =
        kobj_call_blocks(tracee_main(t), calls, N_LIMITS, 3, NULL, limits, sizeof(limits[0]), err);
    for (size_t i = 0; r == 0 && i < N_LIMITS; i++)
        if (kobj_call_failed(calls[i].result))
            r = crs_fail(err, CRS_FAILED, -calls[i].result,
                         "can't read the limit of %s of process %d: %s", names[i], t->pid,
                         strerror(-calls[i].result));
    return r;
}

static int dump_rlimits(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    Crs__Rlimit records[N_LIMITS], *pointers[N_LIMITS];
    Crs__Rlimits message = CRS__RLIMITS__INIT;
    struct limit limits[N_LIMITS];
    int r = read_limits(ctx->t, limits, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < N_LIMITS; i++) {
        crs__rlimit__init(&records[i]);
        records[i].resource = i;
        records[i].soft = limits[i].soft;
        records[i].hard = limits[i].hard;
        pointers[i] = &records[i];
    }
    message.limits = pointers;
    message.n_limits = N_LIMITS;
    return kobj_pack(&message.base, ret_payload, err);
}

static int set_limit(struct kobj_restore *ctx, unsigned resource, const struct limit *limit,
                     int64_t *ret_result, struct crs_error *err)
{
    return tracee_call_with_block(tracee_main(ctx->t), ret_result, err, SYS_prlimit64,
                                  (uint64_t[6]){0, resource}, 2, limit, NULL, sizeof(*limit));
}

static void limit_words(uint64_t limit, char text[24])
{
    if (limit == UINT64_MAX)
        strcpy(text, "unlimited");
    else
        snprintf(text, 24, "%llu", (unsigned long long)limit);
}

/* The saved hard limit is above ours: as much as we may give. */
static int set_lower_limit(struct kobj_restore *ctx, unsigned resource, struct limit wanted,
                           const struct limit *current, struct crs_error *err)
{
    char saved[24], here[24];
    int64_t result;

    limit_words(wanted.hard, saved);
    limit_words(current->hard, here);
    if (wanted.hard > current->hard)
        wanted.hard = current->hard;
    if (wanted.soft > wanted.hard)
        wanted.soft = wanted.hard;
    int r = set_limit(ctx, resource, &wanted, &result, err);
    if (r == 0 && kobj_call_failed(result))
        return crs_fail(err, CRS_CANT_RESTART, -result, "can't set the limit of %s: %s",
                        names[resource], strerror(-result));
    if (r == 0)
        KOBJ_WARN(ctx, "the hard limit of %s was %s and is %s here: raising it needs privilege",
                  names[resource], saved, here);
    return r;
}

static int restore_limit(struct kobj_restore *ctx, const Crs__Rlimit *record,
                         const struct limit *current, struct crs_error *err)
{
    struct limit wanted = {record->soft, record->hard};
    int64_t result;

    if (wanted.soft == current->soft && wanted.hard == current->hard)
        return 0;
    int r = set_limit(ctx, record->resource, &wanted, &result, err);
    if (r == 0 && result == -EPERM)
        return set_lower_limit(ctx, record->resource, wanted, current, err);
    if (r == 0 && kobj_call_failed(result))
        r = crs_fail(err, CRS_CANT_RESTART, -result, "can't set the limit of %s: %s",
                     names[record->resource], strerror(-result));
    return r;
}

static int restore_rlimits(struct kobj_restore *ctx, const Crs__Process *process,
                           const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__Rlimits *message = NULL;
    struct limit current[N_LIMITS];
    int r = kobj_unpack(&crs__rlimits__descriptor, payload, &message, err);

    if (r == 0)
        r = read_limits(ctx->t, current, err);
    for (size_t i = 0; r == 0 && i < message->n_limits; i++) {
        const Crs__Rlimit *record = message->limits[i];
        if (record->resource >= N_LIMITS || record->soft > record->hard)
            return crs_fail(err, CRS_DAMAGED, EBADMSG, "resource limit %u makes no sense",
                            record->resource);
        r = restore_limit(ctx, record, &current[record->resource], err);
    }
    return r;
}

const struct kobj_process_kind kobj_rlimits = {
    .name = "rlimits",
    .title = "resource limits",
    .saved = "yes",
    .conditions = "not above the restarter's own hard limits",
    .privilege = "CAP_SYS_RESOURCE to raise a hard limit",
    .dump = dump_rlimits,
    .restore = restore_rlimits,
};
