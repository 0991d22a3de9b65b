/* pace.c - how fast a checkpoint may write, who goes before it, and what it takes for itself */
#include <sys/resource.h>

#include "base/units.h"
#include "engine/pace.h"
#include "store/store.h"

#define LONG_PAUSES 10 /* in a second: who sets a limit that makes such is told */

void pace_set(const struct crs_checkpoint_options *options, uint64_t deadline_us,
              struct store_writer *writer)
{
    const struct store_pace pace = {
        options->limit_bytes_per_second, {options->cancel, deadline_us}, options->nice};

    store_writer_pace(writer, &pace);
}

bool pace_is_limited(const struct crs_checkpoint_options *options, const struct memory_set *set)
{
    uint64_t rate = options->limit_bytes_per_second;

    return rate > 0 && memory_resident_bytes(set) >= rate / LONG_PAUSES;
}

bool pace_has_time(uint64_t left_us, uint64_t bytes, uint64_t copied_bytes, uint64_t copied_us)
{
    return copied_bytes == 0 ||
           2.0 * (double)bytes / (double)copied_bytes * (double)copied_us < (double)left_us;
}

/* What could be done about it, which isn't always known: why there is no fork was said already. */
static const char *remedy(enum crs_freeze how)
{
    switch (how) {
    case CRS_FREEZE_STOP:
        return " (copied while it runs, it is not: freeze live)";
    case CRS_FREEZE_LIVE:
        return ", because it writes faster than that or can't be copied while it runs (copied from "
               "a fork of it, it is not paused: freeze fork)";
    default:
        return "";
    }
}

void pace_warn(const struct crs_checkpoint_options *options, const struct memory_set *set)
{
    uint64_t rate = options->limit_bytes_per_second, bytes = memory_frozen_bytes(set);
    char limit[UNIT_TEXT_SIZE], size[UNIT_TEXT_SIZE];

    if (options->afterwards == CRS_TERMINATE || rate == 0 || bytes < rate / LONG_PAUSES ||
        bytes == 0)
        return;
    kobj_warn(
        options->progress, options->progress_arg,
        "%s of memory are copied while the program stands still, at no more than %s a second: "
        "it is paused for as long as that takes%s",
        format_size(bytes, size), format_size(rate, limit), remedy(options->freeze));
}

void pace_note_memory(const struct memory_set *set, struct store_writer *writer,
                      struct crs_checkpoint_result *ret)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    ret->peak_memory_bytes = (uint64_t)usage.ru_maxrss * 1024;
    ret->buffer_bytes = memory_buffer_bytes(set) + store_writer_buffer_bytes(writer);
}
