/* adapt.c - which codec is worth its time, chosen while a snapshot is being written */
#include "store/adapt.h"

static const struct codec ladder[ADAPT_RUNGS] = {
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

/* Memory in a nanosecond, when the disk has to take it too. */
static double speed_of(const struct adapt *a, unsigned rung, double disk_speed)
{
    double speed = a->speed[rung];

    if (disk_speed > 0 && a->share[rung] > 0 && disk_speed < speed * a->share[rung])
        speed = disk_speed / a->share[rung];
    return speed;
}

/* The rung below was as quick, at least. */
static bool was_mistake(const struct adapt *a, double disk_speed)
{
    return a->rung > 0 && a->share[a->rung - 1] > 0 &&
           speed_of(a, a->rung, disk_speed) <= speed_of(a, a->rung - 1, disk_speed);
}

static void go_up(struct adapt *a)
{
    if (a->waiting > 0)
        a->waiting--;
    else if (a->rung + 1 < ADAPT_RUNGS)
        a->rung++;
}

static void go_back(struct adapt *a)
{
    unsigned *wait = &a->waits[a->rung];

    *wait = *wait == 0 ? 2 : *wait * 2 < ADAPT_MOST_WAITING ? *wait * 2 : ADAPT_MOST_WAITING;
    a->waiting = *wait;
    a->rung--;
}

static void decide(struct adapt *a, const struct adapt_chunk *last)
{
    if (was_mistake(a, last->disk_speed))
        go_back(a);
    else if (is_slow(a, last->behind_bytes))
        go_up(a);
    else if (is_quick(a, last->behind_bytes) && a->rung > 0)
        a->rung--;
}

void adapt_note(struct adapt *a, const struct adapt_chunk *chunk)
{
    /* What can't be compressed says nothing about the time for what can be. */
    if (a->rung > 0 && chunk->stored_bytes == chunk->raw_bytes)
        return;
    a->raw_bytes += chunk->raw_bytes;
    a->stored_bytes += chunk->stored_bytes;
    a->work_ns += chunk->work_ns;
    a->blocked_ns += chunk->blocked_ns;
    if (a->raw_bytes < ADAPT_WINDOW_BYTES && a->blocked_ns < ADAPT_WINDOW_NS)
        return;
    a->speed[a->rung] = (double)a->raw_bytes / (double)(chunk->now_ns - a->began_ns + 1);
    a->share[a->rung] = (double)a->stored_bytes / (double)a->raw_bytes;
    decide(a, chunk);
    a->raw_bytes = a->stored_bytes = a->work_ns = a->blocked_ns = 0;
    a->began_ns = chunk->now_ns;
}
