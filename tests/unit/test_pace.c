/* test_pace.c - the limit for writing, and the choice of a codec while it goes on */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "engine/pace.h"
#include "store/adapt.h"
#include "store/flusher.h"
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

/* A destination and processors that are ours: so many nanoseconds for a MiB. */
struct world {
    uint64_t copy_ns, work_ns[ADAPT_RUNGS];
    unsigned percent[ADAPT_RUNGS]; /* of it, stored */
    uint64_t disk_ns;              /* for a MiB that is stored; 0: nobody waits for a disk */
    uint64_t pipe_ns;              /* the same, of what keeps the writer */
    uint64_t now_ns, disk_until_ns;
};

static const struct world usual = {
    .copy_ns = 400000,
    .work_ns = {0, 1000000, 2000000, 3000000, 9000000},
    .percent = {100, 55, 45, 44, 42},
};

static unsigned rung_of(const struct adapt *a)
{
    static const unsigned of_level[] = {[1] = 2, [3] = 3, [6] = 4};
    const struct codec codec = adapt_codec(a);

    return codec.kind == CRS__CODEC__CODEC_ZSTD  ? of_level[codec.level]
           : codec.kind == CRS__CODEC__CODEC_LZ4 ? 1
                                                 : 0;
}

/* What the disk hasn't got yet. */
static uint64_t behind(const struct world *w)
{
    return w->disk_ns == 0 || w->disk_until_ns <= w->now_ns
               ? 0
               : (w->disk_until_ns - w->now_ns) * MIB / w->disk_ns;
}

static void put_one(struct adapt *a, struct world *w)
{
    const unsigned rung = rung_of(a);
    const uint64_t stored = MIB * w->percent[rung] / 100;
    struct adapt_chunk chunk = {
        .raw_bytes = MIB, .stored_bytes = stored, .work_ns = w->work_ns[rung]};

    chunk.blocked_ns = w->pipe_ns * stored / MIB;
    w->now_ns += w->copy_ns + chunk.work_ns + chunk.blocked_ns;
    if (w->disk_until_ns < w->now_ns)
        w->disk_until_ns = w->now_ns;
    w->disk_until_ns += w->disk_ns * stored / MIB;
    chunk.behind_bytes = behind(w);
    chunk.disk_speed = w->disk_ns ? (double)MIB / (double)w->disk_ns : 0;
    chunk.now_ns = w->now_ns;
    adapt_note(a, &chunk);
}

/* The time for n MiB, until the disk has all. *ret_top: the highest rung on the way. */
static uint64_t run(struct adapt *a, struct world *w, unsigned n, unsigned *ret_top)
{
    const uint64_t began = w->now_ns;
    unsigned top = 0;

    for (unsigned i = 0; i < n; i++) {
        put_one(a, w);
        top = rung_of(a) > top ? rung_of(a) : top;
    }
    *ret_top = top;
    return (w->disk_until_ns > w->now_ns ? w->disk_until_ns : w->now_ns) - began;
}

/* As fast as the processors: nothing is compressed, ever. */
static void fast_destination(void **state)
{
    struct world w = usual;
    struct adapt a = {0};
    unsigned top;

    w.disk_ns = 300000;
    run(&a, &w, 4096, &top);
    assert_int_equal(top, 0);
    w.disk_ns = 0;
    w.pipe_ns = 500000;
    run(&a, &w, 4096, &top);
    assert_int_equal(top, 0);
}

/* Slower than the processors copy, but not slower than they compress: tried, and given up. */
static void not_worth_it(void **state)
{
    struct world w = usual;
    struct adapt a = {0};
    unsigned top;

    w.disk_ns = 800000;
    uint64_t took = run(&a, &w, 4096, &top);
    assert_int_equal(top, 1);
    assert_true(took < 4096 * w.disk_ns * 103 / 100);
}

/* Slow disks: the whole takes much less than it would without compression. */
static void slow_disks(void **state)
{
    static const struct {
        uint64_t disk_ns;
        unsigned percent; /* of the time without compression, at most */
    } disks[] = {{2500000, 80}, {5000000, 65}, {20000000, 60}, {100000000, 55}};

    for (size_t i = 0; i < sizeof(disks) / sizeof(disks[0]); i++) {
        struct world w = usual;
        struct adapt a = {0};
        unsigned top;
        w.disk_ns = disks[i].disk_ns;
        uint64_t took = run(&a, &w, 1024, &top);
        assert_true(top >= 1);
        assert_true(took < 1024 * w.disk_ns * disks[i].percent / 100);
    }
}

/* A pipe, a socket, a limit: what counts is how long it keeps us. */
static void slow_pipes(void **state)
{
    static const uint64_t pipes[] = {5000000, 20000000, 100000000};

    for (size_t i = 0; i < sizeof(pipes) / sizeof(pipes[0]); i++) {
        struct world w = usual;
        struct adapt a = {0};
        unsigned top;
        w.pipe_ns = pipes[i];
        uint64_t took = run(&a, &w, 1024, &top);
        assert_true(top >= 1);
        assert_true(took < 1024 * w.pipe_ns * 85 / 100);
    }
}

/* It becomes faster: nothing is compressed any more. */
static void goes_back(void **state)
{
    struct world w = usual;
    struct adapt a = {0};
    unsigned top;

    w.disk_ns = 20000000;
    run(&a, &w, 512, &top);
    assert_true(rung_of(&a) > 0);
    w.disk_ns = 100000;
    w.disk_until_ns = w.now_ns;
    run(&a, &w, 128, &top);
    assert_int_equal(rung_of(&a), 0);
}

/* A very slow one is known before much has gone there. */
static void very_slow(void **state)
{
    struct world w = usual;
    struct adapt a = {0};
    unsigned top;

    w.pipe_ns = ADAPT_WINDOW_NS;
    run(&a, &w, 1, &top);
    assert_int_equal(rung_of(&a), 1);
}

static void never_beyond_the_ladder(void **state)
{
    struct world w = usual;
    struct adapt a = {0};
    unsigned top;

    for (unsigned i = 0; i < ADAPT_RUNGS; i++)
        w.percent[i] = 100 - 20 * i;
    w.disk_ns = 1000000000;
    run(&a, &w, 1024, &top);
    assert_int_equal(top, ADAPT_RUNGS - 1);
    assert_int_equal(adapt_codec(&a).level, 6);
}

/* Nothing is learned from what doesn't shrink. */
static void incompressible(void **state)
{
    struct adapt_chunk chunk = {.raw_bytes = MIB, .stored_bytes = MIB, .behind_bytes = GIB};
    struct adapt a = {0};

    for (unsigned i = 0; i < 4096; i++, chunk.now_ns += 1000000)
        adapt_note(&a, &chunk);
    assert_int_equal(rung_of(&a), 1);
}

/* ---- the disk ---- */

static void disk(void **state)
{
    static const char zeros[1 << 20];
    char path[] = "/var/tmp/crs-pace.XXXXXX";
    struct flusher f;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    unlink(path);
    flusher_init(&f, false);
    assert_int_equal(flusher_behind(&f), 0);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(pwrite(fd, zeros, sizeof(zeros), i * sizeof(zeros)), sizeof(zeros));
        flusher_add(&f, fd, i * sizeof(zeros), sizeof(zeros));
    }
    assert_int_equal(flusher_finish(&f), 0);
    assert_int_equal(flusher_behind(&f), 0);
    flusher_clear(&f);
    close(fd);
}

/* What the disk refuses is told at the end. */
static void failing_disk(void **state)
{
    struct flusher f;

    flusher_init(&f, true);
    flusher_add(&f, 1 << 20, 0, 4096); /* no descriptor */
    while (flusher_behind(&f) > 0)
        usleep(1000);
    assert_int_equal(flusher_finish(&f), -EBADF);
    assert_int_equal(flusher_finish(&f), -EBADF);
    flusher_clear(&f);
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

static void time_for_a_round(void **state)
{
    const uint64_t gib = 1ull << 30;

    assert_true(pace_has_time(1000000, 100 * gib, 0, 0)); /* nothing is known yet */
    assert_true(pace_has_time(2100000, gib, gib, 1000000));
    assert_false(pace_has_time(1900000, gib, gib, 1000000));
    assert_true(pace_has_time(1900000, gib / 2, gib, 1000000));
    assert_false(pace_has_time(0, 4096, gib, 1000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates),
        cmocka_unit_test(no_limit),
        cmocka_unit_test(pauses),
        cmocka_unit_test(impatience),
        cmocka_unit_test(fast_destination),
        cmocka_unit_test(not_worth_it),
        cmocka_unit_test(slow_disks),
        cmocka_unit_test(slow_pipes),
        cmocka_unit_test(goes_back),
        cmocka_unit_test(very_slow),
        cmocka_unit_test(never_beyond_the_ladder),
        cmocka_unit_test(incompressible),
        cmocka_unit_test(disk),
        cmocka_unit_test(failing_disk),
        cmocka_unit_test(samples),
        cmocka_unit_test(time_for_a_round),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
