/* test_pace.c - the limit for writing, and the choice of a codec while it goes on */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/io.h"
#include "store/adapt.h"
#include "store/limiter.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define S   1000000ull

/* ---- the limit: the clock is ours ---- */

/* Four writers that each wait for their bytes: when is the last one done? */
static uint64_t write_all(struct limiter *l, uint64_t size, uint64_t piece, uint64_t at_us)
{
    uint64_t now[4] = {at_us, at_us, at_us, at_us}, last = at_us;

    for (uint64_t done = 0, i = 0; done < size; done += piece, i = (i + 1) % 4) {
        now[i] = limiter_take(l, piece, now[i]);
        last = now[i] > last ? now[i] : last;
    }
    return last - at_us;
}

static void rates(void **state)
{
    static const uint64_t rates[] = {1000, 4096, 100000, MIB, 100 * MIB, 1536 * MIB, 10 * GIB};
    static const uint64_t pieces[] = {1, 4096, 70000, MIB};

    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        for (size_t k = 0; k < sizeof(pieces) / sizeof(pieces[0]); k++) {
            struct limiter l;
            limiter_init(&l, rates[i], NULL);
            uint64_t size = pieces[k] * 5000, wanted = (uint64_t)((__uint128_t)size * S / rates[i]);
            uint64_t took = write_all(&l, size, pieces[k], 77 * S);
            assert_true(took <= wanted + 1);
            assert_true(took + LIMITER_BURST_US + 1 >= wanted);
            limiter_clear(&l);
        }
    }
}

static void no_limit(void **state)
{
    struct limiter l;

    limiter_init(&l, 0, NULL);
    assert_int_equal(limiter_take(&l, UINT64_MAX, 5), 5);
    assert_int_equal(limiter_wait(&l, UINT64_MAX, NULL), 0);
    limiter_clear(&l);
}

/* What wasn't used in a pause is not made up for in a burst. */
static void pauses(void **state)
{
    struct limiter l;

    limiter_init(&l, MIB, NULL);
    assert_int_equal(limiter_take(&l, 10 * MIB, 100 * S), 110 * S - LIMITER_BURST_US);
    assert_int_equal(limiter_take(&l, MIB, 105 * S), 111 * S - LIMITER_BURST_US);
    assert_int_equal(limiter_take(&l, 2 * MIB, 200 * S), 202 * S - LIMITER_BURST_US);
    limiter_clear(&l);
}

static void impatience(void **state)
{
    volatile int cancel = 1;
    const struct store_patience cancelled = {&cancel, 0}, late = {NULL, 1};
    struct crs_error err = {0};
    struct limiter l;

    limiter_init(&l, 1, &cancelled);
    assert_int_equal(limiter_wait(&l, GIB, &err), -ECANCELED);
    limiter_clear(&l);
    limiter_init(&l, 1, &late);
    assert_int_equal(limiter_wait(&l, GIB, &err), -ETIMEDOUT);
    assert_int_equal(err.kind, CRS_TIMED_OUT);
    limiter_clear(&l);
}

/* ---- the choice ---- */

static const struct adapt_chunk quiet = {.raw_bytes = MIB, .stored_bytes = MIB / 2};

static void put(struct adapt *a, struct adapt_chunk chunk, unsigned n)
{
    const uint64_t compressed = chunk.stored_bytes;

    while (n-- > 0) {
        chunk.stored_bytes = a->rung == 0 ? chunk.raw_bytes : compressed;
        adapt_note(a, &chunk);
    }
}

#define WINDOW (unsigned)(ADAPT_WINDOW_BYTES / MIB)

static void begins_with_none(void **state)
{
    struct adapt a = {0};

    assert_int_equal(adapt_codec(&a).kind, CRS__CODEC__CODEC_NONE);
    put(&a, quiet, 10 * WINDOW);
    assert_int_equal(adapt_codec(&a).kind, CRS__CODEC__CODEC_NONE);
}

static void disk_is_behind(void **state)
{
    struct adapt_chunk chunk = quiet;
    struct adapt a = {0};

    chunk.work_ns = 1000000;
    chunk.behind_bytes = ADAPT_HIGH_BYTES + 1;
    put(&a, chunk, WINDOW - 1);
    assert_int_equal(adapt_codec(&a).kind, CRS__CODEC__CODEC_NONE);
    put(&a, chunk, 1);
    assert_int_equal(adapt_codec(&a).kind, CRS__CODEC__CODEC_LZ4);
    put(&a, chunk, WINDOW);
    assert_int_equal(adapt_codec(&a).kind, CRS__CODEC__CODEC_ZSTD);
    assert_int_equal(adapt_codec(&a).level, 1);
    /* between the two: it stays */
    chunk.behind_bytes = ADAPT_LOW_BYTES + 1;
    put(&a, chunk, 5 * WINDOW);
    assert_int_equal(adapt_codec(&a).level, 1);
    chunk.behind_bytes = ADAPT_LOW_BYTES;
    put(&a, chunk, WINDOW);
    assert_int_equal(adapt_codec(&a).kind, CRS__CODEC__CODEC_LZ4);
    put(&a, chunk, WINDOW);
    assert_int_equal(adapt_codec(&a).kind, CRS__CODEC__CODEC_NONE);
    put(&a, chunk, 5 * WINDOW);
    assert_int_equal(adapt_codec(&a).kind, CRS__CODEC__CODEC_NONE);
}

static void never_beyond_the_ladder(void **state)
{
    struct adapt_chunk chunk = quiet;
    struct adapt a = {0};

    chunk.behind_bytes = UINT64_MAX;
    put(&a, chunk, 100 * WINDOW);
    assert_int_equal(adapt_codec(&a).kind, CRS__CODEC__CODEC_ZSTD);
    assert_int_equal(adapt_codec(&a).level, 6);
}

/* A pipe, a socket: what counts is how long it keeps us. */
static void blocked(void **state)
{
    struct adapt_chunk chunk = quiet;
    struct adapt a = {0};

    chunk.blocked_ns = MIB / 2;
    put(&a, chunk, 5 * WINDOW);
    assert_int_equal(adapt_codec(&a).kind, CRS__CODEC__CODEC_NONE);
    chunk.blocked_ns = 10 * MIB;
    put(&a, chunk, WINDOW);
    assert_int_equal(adapt_codec(&a).kind, CRS__CODEC__CODEC_LZ4);
    chunk.work_ns = 8 * MIB; /* as much as is gained, nearly: it stays */
    chunk.blocked_ns = 5 * MIB;
    put(&a, chunk, 5 * WINDOW);
    assert_int_equal(adapt_codec(&a).kind, CRS__CODEC__CODEC_LZ4);
    chunk.blocked_ns = MIB;
    put(&a, chunk, WINDOW);
    assert_int_equal(adapt_codec(&a).kind, CRS__CODEC__CODEC_NONE);
}

/* A very slow one is known before much has gone there. */
static void very_slow(void **state)
{
    struct adapt_chunk chunk = quiet;
    struct adapt a = {0};

    chunk.blocked_ns = ADAPT_WINDOW_NS;
    put(&a, chunk, 3);
    assert_int_equal(adapt_codec(&a).level, 3);
}

/* Nothing is learned from what doesn't shrink. */
static void incompressible(void **state)
{
    struct adapt_chunk chunk = {.raw_bytes = MIB, .stored_bytes = MIB, .behind_bytes = UINT64_MAX};
    struct adapt a = {0};

    for (unsigned i = 0; i < 100 * WINDOW; i++)
        adapt_note(&a, &chunk);
    assert_int_equal(adapt_codec(&a).kind, CRS__CODEC__CODEC_LZ4);
}

/* ---- the codec itself ---- */

static void fill_random(uint8_t *data, size_t size)
{
    uint64_t x = 88172645463325252u;

    for (size_t i = 0; i < size; i += sizeof(x)) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(data + i, &x, sizeof(x));
    }
}

static void samples(void **state)
{
    static uint8_t data[STORE_CHUNK_SIZE] __attribute__((aligned(4096)));
    static const char *const names[] = {"lz4", "zstd", "zstd:6"};
    struct codec_context context = {0};
    const void *stored;
    Crs__Codec kind;
    size_t size;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct codec codec;
        assert_int_equal(codec_parse(names[i], &codec, NULL), 0);
        assert_false(codec.automatic);
        fill_random(data, sizeof(data));
        assert_int_equal(
            codec_compress(&codec, &context, data, sizeof(data), &stored, &size, &kind), 0);
        assert_int_equal(kind, CRS__CODEC__CODEC_NONE);
        assert_ptr_equal(stored, data);
        memset(data + sizeof(data) / 2, 7, sizeof(data) / 2);
        assert_int_equal(
            codec_compress(&codec, &context, data, sizeof(data), &stored, &size, &kind), 0);
        assert_int_equal(kind, codec.kind);
        assert_true(size < sizeof(data) * 6 / 10);
    }
    assert_true(codec_context_bytes(&context) > STORE_CHUNK_SIZE);
    codec_context_clear(&context);
    assert_int_equal(codec_context_bytes(&context), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates),
        cmocka_unit_test(no_limit),
        cmocka_unit_test(pauses),
        cmocka_unit_test(impatience),
        cmocka_unit_test(begins_with_none),
        cmocka_unit_test(disk_is_behind),
        cmocka_unit_test(never_beyond_the_ladder),
        cmocka_unit_test(blocked),
        cmocka_unit_test(very_slow),
        cmocka_unit_test(incompressible),
        cmocka_unit_test(samples),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
