/* freeze_how.c - when the memory of a checkpoint is copied */
#include <unistd.h>

#include "engine/freeze_how.h"
#include "engine/pace.h"

#define LIVE_BYTES    (8ull << 20)
#define LIMITED_BYTES (1ull << 20) /* where writing is slow */
#define DOUBT_US      20000        /* what is in the way may be so for a moment only */

static void warn(const struct crs_checkpoint_options *o, const struct crs_error *reason)
{
    if (reason->kind)
        kobj_warn(o->progress, o->progress_arg,
                  "memory is copied while the program stands still: %s", reason->text);
}

static bool goes_on(const struct checkpoint_request *request)
{
    return request->options->afterwards == CRS_CONTINUE && !request->held_until_safe;
}

/* Left to ourselves: is it worth it to take longer, for a shorter pause? A stream that has begun
 * can't be begun again when something is in the way for a moment. */
static bool is_worth_it(const struct checkpoint_request *request)
{
    const struct crs_checkpoint_options *o = request->options;

    return o->freeze == CRS_FREEZE_AUTO && goes_on(request) && o->form == CRS_FORM_DIRECTORY &&
           !o->stream_fd;
}

static uint64_t least_bytes(const struct checkpoint_request *request, const struct memory_set *set)
{
    return pace_is_limited(request->options, set) ? LIMITED_BYTES : LIVE_BYTES;
}

static enum memory_forking forking(const struct checkpoint_request *request)
{
    enum crs_freeze how = request->options->freeze;

    if (!goes_on(request))
        return MEMORY_FORK_NEVER;
    return how == CRS_FREEZE_FORK   ? MEMORY_FORK_ALL
           : how == CRS_FREEZE_AUTO ? MEMORY_FORK_IF_FASTER
                                    : MEMORY_FORK_NEVER;
}

/*
 * A checkpoint that will be refused shall not first copy all memory. It is the freeze that refuses:
 * what is found here may be gone by then, and then memory is copied from a fork, or in the freeze.
 * Of what the session knows little is copied: that isn't looked at.
 */
static bool is_doubtful(const struct memory_set *set, uint64_t least_bytes,
                        struct crs_error *ret_doubt)
{
    if (memory_resident_bytes(set) < least_bytes || memory_check_ahead(set, ret_doubt) == 0)
        return false;
    usleep(DOUBT_US);
    *ret_doubt = (struct crs_error){0};
    return memory_check_ahead(set, ret_doubt) < 0;
}

int freeze_copy_ahead(const struct checkpoint_request *request, struct memory_set *set,
                      struct kobj_dump *ctx, uint64_t deadline_us, struct crs_error *ret_doubt,
                      struct crs_error *err)
{
    const struct crs_checkpoint_options *o = request->options;
    const bool asked = o->freeze == CRS_FREEZE_LIVE;
    enum memory_forking fork = forking(request);
    struct crs_error reason = {0};
    int r = 0;

    if (fork != MEMORY_FORK_NEVER)
        memory_fork_prepare(set, fork);
    bool worth_it = asked || is_worth_it(request);
    if (!worth_it || o->limit_bytes_per_second > 0) /* what it comes to depends on the mappings */
        r = memory_prepare_end(set, err);
    if (r < 0 || !worth_it)
        return r;
    uint64_t least = asked ? 0 : least_bytes(request, set);
    if (is_doubtful(set, least, ret_doubt))
        return memory_prepare_end(set, err);
    if (asked && o->progress)
        o->progress(&(struct crs_progress){.phase = "memory"}, o->progress_arg);
    r = memory_copy_ahead(set, ctx, least, fork != MEMORY_FORK_NEVER, o->cancel, deadline_us,
                          &reason, err);
    if (r == 0 && asked)
        warn(o, &reason);
    return r;
}

int freeze_fork_rest(const struct checkpoint_request *request, struct memory_set *set,
                     struct tree *members, const struct crs_error *doubt, struct crs_error *err)
{
    struct crs_error reason = {0};

    if (request->options->freeze == CRS_FREEZE_LIVE)
        warn(request->options, doubt);
    int r = memory_fork(set, forking(request), &reason, err);

    warn(request->options, &reason);
    memory_ask_huge(set);
    if (r == 0)
        r = tree_undo(members, err);
    return r == 0 ? memory_fork_settle(set, err) : r;
}
