/* adapt.c - which codec is worth its time, chosen while a snapshot is being written */
#include "base/array.h"
#include "store/adapt.h"

static const struct codec ladder[] = {
    {.kind = CRS__CODEC__CODEC_NONE},
    {.kind = CRS__CODEC__CODEC_LZ4},
    {.kind = CRS__CODEC__CODEC_ZSTD, .level = 1},
    {.kind = CRS__CODEC__CODEC_ZSTD, .level = 3},
    {.kind = CRS__CODEC__CODEC_ZSTD, .level = 6},
};

struct codec adapt_codec(const struct adapt *a)
{
    return ladder[a->rung];
}

/* A byte that takes more than a nanosecond beside the time for compressing it: then it pays to have
 * fewer of them. */
static bool is_slow(const struct adapt *a, uint64_t behind_bytes)
{
    return behind_bytes > ADAPT_HIGH_BYTES || a->blocked_ns > a->work_ns + a->raw_bytes;
}

static bool is_quick(const struct adapt *a, uint64_t behind_bytes)
{
    return behind_bytes <= ADAPT_LOW_BYTES && a->blocked_ns < a->work_ns / 4;
}

void adapt_note(struct adapt *a, const struct adapt_chunk *chunk)
{
    /* What can't be compressed says nothing about the time for what can be. */
    if (a->rung > 0 && chunk->stored_bytes == chunk->raw_bytes)
        return;
    a->raw_bytes += chunk->raw_bytes;
    a->work_ns += chunk->work_ns;
    a->blocked_ns += chunk->blocked_ns;
    if (a->raw_bytes < ADAPT_WINDOW_BYTES && a->blocked_ns < ADAPT_WINDOW_NS)
        return;
    if (is_slow(a, chunk->behind_bytes) && a->rung + 1 < ELEMENTS(ladder))
        a->rung++;
    else if (is_quick(a, chunk->behind_bytes) && a->rung > 0)
        a->rung--;
    a->raw_bytes = a->work_ns = a->blocked_ns = 0;
}
