/* Sets of pages, few and many, and what their code takes; the runs of a chunk in both forms. */
#include <stdlib.h>
#include <string.h>

#include "assert_runs.h"
#include "store/chunk_runs.h"

static struct page_runs set(size_t n, const struct page_run *items)
{
    struct page_runs runs = {0};

    for (size_t i = 0; i < n; i++)
        assert_int_equal(page_runs_add(&runs, items[i].first, items[i].count), 0);
    return runs;
}

static void assert_set(struct page_runs *runs, size_t n, const struct page_run *items)
{
    assert_runs(runs, n, items);
    page_runs_clear(runs);
}

#define SET(...)                                                                                   \
    set(sizeof((struct page_run[]){__VA_ARGS__}) / sizeof(struct page_run),                        \
        (struct page_run[]){__VA_ARGS__})
#define ASSERT_SET(runs, ...)                                                                      \
    assert_set(runs, sizeof((struct page_run[]){__VA_ARGS__}) / sizeof(struct page_run),           \
               (struct page_run[]){__VA_ARGS__})

static void sets(void **state)
{
    struct page_runs a = SET({10, 10}, {30, 10}, {50, 1}), b = SET({5, 7}, {15, 2}, {19, 15}),
                     none = {0}, got = {0};

    assert_int_equal(page_runs_subtract(&a, &b, &got), 0);
    ASSERT_SET(&got, {12, 3}, {17, 2}, {34, 6}, {50, 1});
    assert_int_equal(page_runs_subtract(&b, &a, &got), 0);
    ASSERT_SET(&got, {5, 5}, {20, 10});
    assert_int_equal(page_runs_subtract(&a, &a, &got), 0);
    assert_set(&got, 0, NULL);
    assert_int_equal(page_runs_subtract(&a, &none, &got), 0);
    ASSERT_SET(&got, {10, 10}, {30, 10}, {50, 1});
    assert_int_equal(page_runs_within(&a, 15, 20, &got), 0);
    ASSERT_SET(&got, {15, 5}, {30, 5});
    assert_true(page_runs_have(&a, 10));
    assert_true(page_runs_have(&a, 19));
    assert_true(page_runs_have(&a, 50));
    assert_false(page_runs_have(&a, 9));
    assert_false(page_runs_have(&a, 20));
    assert_false(page_runs_have(&a, 51));
    assert_int_equal(page_runs_unite(&none, &a), 0);
    ASSERT_SET(&none, {10, 10}, {30, 10}, {50, 1});
    assert_int_equal(page_runs_unite(&a, &b), 0);
    ASSERT_SET(&a, {5, 35}, {50, 1});
    page_runs_clear(&b);
}

static void joined_when_near(void **state)
{
    struct page_runs a = SET({10, 10}, {22, 1}, {25, 5}, {40, 1}, {1000, 2});
    struct page_runs_at at = page_runs_begin(&a);
    struct page_run run;

    assert_true(page_runs_next_near(&at, 2, &run));
    assert_true(run.first == 10 && run.count == 20);
    assert_true(page_runs_next_near(&at, 2, &run));
    assert_true(run.first == 40 && run.count == 1);
    assert_true(page_runs_next_near(&at, 2, &run));
    assert_true(run.first == 1000 && run.count == 2);
    assert_false(page_runs_next_near(&at, 2, &run));
    page_runs_clear(&a);
}

/* As many as to be searched for by marks; far apart in between. */
#define N_RUNS   100000
#define FIRST    0x7f0000000ull
#define PLACE(i) (FIRST + 2 * (uint64_t)(i) + ((i) >= N_RUNS / 2 ? 1ull << 40 : 0))

static void many(void **state)
{
    struct page_runs runs = {0}, odd = {0}, none = {0};

    for (size_t i = 0; i < N_RUNS; i++)
        assert_int_equal(page_runs_add(i % 2 ? &odd : &runs, PLACE(i), 1), 0);
    assert_int_equal(page_runs_unite(&runs, &odd), 0);
    assert_int_equal(runs.n, N_RUNS);
    assert_int_equal(page_runs_count(&runs), N_RUNS);
    assert_true(runs.code.size < 2 * N_RUNS + 100);
    assert_int_equal(page_runs_overlap(&runs, 0, 1ull << 51), N_RUNS);
    for (size_t i = 0; i < N_RUNS; i += 61) {
        assert_true(page_runs_have(&runs, PLACE(i)));
        assert_false(page_runs_have(&runs, PLACE(i) + 1));
        assert_int_equal(page_runs_overlap(&runs, PLACE(i), 2), 1);
    }
    struct page_runs_at at = page_runs_find(&runs, PLACE(1));
    for (size_t i = 1; i + 3 < N_RUNS / 2; i += 3)
        assert_int_equal(page_runs_overlap_next(&at, PLACE(i), 6), 3);
    assert_int_equal(page_runs_subtract(&runs, &odd, &none), 0);
    assert_int_equal(none.n, N_RUNS / 2);
    page_runs_clear(&none);
    assert_int_equal(page_runs_subtract(&odd, &runs, &none), 0);
    assert_int_equal(none.n, 0);
    page_runs_clear(&runs);
    page_runs_clear(&odd);
}

/* ---- chunks ---- */

static void assert_chunk(const Crs__Chunk *chunk, const struct chunk_run_list *list)
{
    struct chunk_run run;
    size_t i = 0;

    chunk_runs_each (run, chunk) {
        assert_true(run.first == list->items[i].first && run.count == list->items[i].count);
        assert_int_equal(run.dropped, list->items[i++].dropped);
    }
    assert_int_equal(i, list->n);
}

static void few_and_many_of_a_chunk(void **state)
{
    Crs__Chunk *chunk = malloc(sizeof(*chunk));
    struct chunk_run_list list = {.n = 0};
    uint64_t pages = 0;

    crs__chunk__init(chunk);
    chunk_run_list_add(&list, 100, 2, false);
    chunk_run_list_add(&list, 102, 1, false); /* goes on */
    chunk_run_list_add(&list, 103, 1, true);
    assert_int_equal(list.n, 2);
    assert_int_equal(chunk_runs_set(chunk, &list), 0);
    assert_true(chunk->n_runs == 2 && chunk->run_list.len == 0);
    assert_chunk(chunk, &list);
    assert_int_equal(chunk_live_pages(chunk), 3);
    for (unsigned i = 0; i < 126; i++) /* some of them before the others */
        chunk_run_list_add(&list, i < 60 ? 200 + 2 * i : 1 + 2 * i, 2, i % 2);
    assert_int_equal(chunk_runs_set(chunk, &list), 0);
    assert_true(chunk->n_runs == 0 && chunk->run_list.len < 3 * list.n);
    assert_chunk(chunk, &list);
    assert_int_equal(chunk_runs_check(chunk, &pages), 0);
    assert_int_equal(pages, 256);
    assert_int_equal(chunk_live_pages(chunk), 3 + 126);
    list.n = 1;
    assert_int_equal(chunk_runs_set(chunk, &list), 0);
    assert_true(chunk->n_runs == 1 && chunk->run_list.len == 0);
    crs__chunk__free_unpacked(chunk, NULL);
}

/* The bytes that docs/format.md specifies: 5 runs, of pages 1000, 1002, 1004 (3, dropped), 300,
 * 305. */
static void bytes_of_a_list(void **state)
{
    static const uint8_t expected[] = {0xd0, 0x0f, 2, 2, 2, 2, 7, 0x85, 0x0b, 2, 8, 2};
    Crs__Chunk *chunk = malloc(sizeof(*chunk));
    struct chunk_run_list list = {.n = 0};

    crs__chunk__init(chunk);
    chunk_run_list_add(&list, 1000, 1, false);
    chunk_run_list_add(&list, 1002, 1, false);
    chunk_run_list_add(&list, 1004, 3, true);
    chunk_run_list_add(&list, 300, 1, false);
    chunk_run_list_add(&list, 305, 1, false);
    assert_int_equal(chunk_runs_set(chunk, &list), 0);
    assert_int_equal(chunk->run_list.len, sizeof(expected));
    assert_memory_equal(chunk->run_list.data, expected, sizeof(expected));
    crs__chunk__free_unpacked(chunk, NULL);
}

#define REFUSED(...)                                                                               \
    do {                                                                                           \
        uint8_t bytes[] = {__VA_ARGS__};                                                           \
        Crs__Chunk bad = CRS__CHUNK__INIT;                                                         \
        uint64_t n;                                                                                \
        bad.run_list = (ProtobufCBinaryData){sizeof(bytes), bytes};                                \
        assert_int_equal(chunk_runs_check(&bad, &n), -EBADMSG);                                    \
    } while (0)

static void lists_that_cannot_be(void **state)
{
    uint8_t long_list[2 * 257], list[] = {2, 2};
    Crs__Run run = CRS__RUN__INIT, *runs[] = {&run};
    Crs__Chunk both = CRS__CHUNK__INIT;
    uint64_t pages;

    REFUSED(2);                                                          /* half a run */
    REFUSED(2, 2, 2);                                                    /* one and a half */
    REFUSED(2, 0x82);                                                    /* half a number */
    REFUSED(2, 0);                                                       /* no page */
    REFUSED(2, 0x82, 4);                                                 /* 257 pages */
    REFUSED(1, 2);                                                       /* page -1 */
    REFUSED(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10, 2);          /* page 2^52 */
    REFUSED(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2, 2); /* 65 bits */
    for (size_t i = 0; i < sizeof(long_list); i++)
        long_list[i] = 2;
    both.run_list = (ProtobufCBinaryData){sizeof(long_list), long_list};
    assert_int_equal(chunk_runs_check(&both, &pages), -EBADMSG);
    both.run_list = (ProtobufCBinaryData){sizeof(list), list};
    assert_int_equal(chunk_runs_check(&both, &pages), 0);
    run.count = 1;
    both.runs = runs;
    both.n_runs = 1;
    assert_int_equal(chunk_runs_check(&both, &pages), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets),
        cmocka_unit_test(joined_when_near),
        cmocka_unit_test(many),
        cmocka_unit_test(few_and_many_of_a_chunk),
        cmocka_unit_test(bytes_of_a_list),
        cmocka_unit_test(lists_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
