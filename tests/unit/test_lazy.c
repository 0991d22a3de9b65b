/* test_lazy.c - which pages a restart on demand still has to bring, whatever the program does */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/lazy_space.h"
#include "engine/lazy_start.h"

/* Three chunks of 4 pages: at 10 to 13; at 20, 21, 30, 31; at 14 to 17. */
static Crs__Chunk stored[3] = {CRS__CHUNK__INIT, CRS__CHUNK__INIT, CRS__CHUNK__INIT};

static struct lazy_source *new_source(void)
{
    static const struct lazy_piece pieces[] = {
        {10, 0, 4, 0, 0}, {20, 4, 2, 0, 1}, {30, 6, 2, 2, 1}, {14, 8, 4, 0, 2}};
    struct lazy_source *source = calloc(1, sizeof(*source));

    source->n_chunks = 3;
    source->chunks = calloc(3, sizeof(*source->chunks));
    for (size_t i = 0; i < 3; i++)
        source->chunks[i] = &stored[i];
    source->n_pieces = 4;
    source->pieces = malloc(sizeof(pieces));
    memcpy(source->pieces, pieces, sizeof(pieces));
    source->n_pages = 12;
    return source;
}

static int set_up(void **state)
{
    struct lazy_space *space;

    assert_int_equal(lazy_space_new(-1, new_source(), &space), 0);
    *state = space;
    return 0;
}

static int tear_down(void **state)
{
    struct lazy_space *space = *state;
    struct lazy_source *source = (struct lazy_source *)space->source;

    lazy_space_free(space);
    free(source->chunks);
    free(source->pieces);
    free(source);
    return 0;
}

static void finds_chunks(void **state)
{
    struct lazy_space *space = *state;

    assert_int_equal(space->n_wanted, 12);
    assert_int_equal(lazy_space_chunk_of(space, 9), -1);
    assert_int_equal(lazy_space_chunk_of(space, 10), 0);
    assert_int_equal(lazy_space_chunk_of(space, 17), 2);
    assert_int_equal(lazy_space_chunk_of(space, 18), -1);
    assert_int_equal(lazy_space_chunk_of(space, 31), 1);
}

static void gives_the_page_first(void **state)
{
    struct lazy_space *space = *state;
    struct lazy_run run;

    assert_true(lazy_space_next_run(space, 1, 31, &run));
    assert_int_equal(run.page, 31);
    assert_int_equal(run.offset, 3);
    assert_int_equal(run.count, 1);
    lazy_space_mark(space, run.bit, 1);
    assert_true(lazy_space_next_run(space, 1, 31, &run));
    assert_int_equal(run.page, 20);
    assert_int_equal(run.count, 2);
    lazy_space_mark(space, run.bit, 2);
    assert_true(lazy_space_next_run(space, 1, 31, &run));
    assert_int_equal(run.page, 30);
    lazy_space_mark(space, run.bit, 1);
    assert_false(lazy_space_next_run(space, 1, 31, &run));
    assert_int_equal(space->n_wanted, 8);
}

static void drops(void **state)
{
    struct lazy_space *space = *state;

    lazy_space_drop(space, 12, 21);
    assert_int_equal(space->n_wanted, 5);
    assert_int_equal(lazy_space_chunk_of(space, 11), 0);
    assert_int_equal(lazy_space_chunk_of(space, 12), -1);
    assert_int_equal(lazy_space_chunk_of(space, 20), -1);
    assert_int_equal(lazy_space_chunk_of(space, 21), 1);
    lazy_space_drop(space, 0, 1000);
    assert_int_equal(space->n_wanted, 0);
}

static void moves(void **state)
{
    struct lazy_space *space = *state;
    struct lazy_run run;

    assert_int_equal(lazy_space_move(space, 12, 100, 4), 0);
    assert_int_equal(space->n_wanted, 12);
    assert_int_equal(lazy_space_chunk_of(space, 12), -1);
    assert_int_equal(lazy_space_chunk_of(space, 16), 2);
    assert_int_equal(lazy_space_chunk_of(space, 101), 0);
    assert_int_equal(lazy_space_chunk_of(space, 103), 2);
    assert_true(lazy_space_next_run(space, 0, 101, &run));
    assert_int_equal(run.offset, 3);
    /* over others, whose pages are gone */
    assert_int_equal(lazy_space_move(space, 100, 19, 4), 0);
    assert_int_equal(space->n_wanted, 10);
    assert_int_equal(lazy_space_chunk_of(space, 20), 0);
    assert_int_equal(lazy_space_chunk_of(space, 21), 2);
    assert_int_equal(lazy_space_chunk_of(space, 30), 1);
    assert_int_equal(lazy_space_chunk_of(space, 100), -1);
}

static void forks(void **state)
{
    struct lazy_space *space = *state, *child;

    lazy_space_drop(space, 10, 12);
    assert_int_equal(lazy_space_fork(space, -1, &child), 0);
    assert_int_equal(child->n_wanted, 10);
    assert_int_equal(lazy_space_move(space, 12, 200, 2), 0);
    lazy_space_drop(space, 30, 31);
    assert_int_equal(lazy_space_chunk_of(child, 12), 0);
    assert_int_equal(lazy_space_chunk_of(child, 30), 1);
    assert_int_equal(lazy_space_chunk_of(child, 200), -1);
    lazy_space_free(child);
    assert_int_equal(lazy_space_chunk_of(space, 201), 0);
}

static void brings_hot_ones_first(void **state)
{
    struct lazy_source *source = new_source();
    Crs__Run late = CRS__RUN__INIT, all = CRS__RUN__INIT, nowhere = CRS__RUN__INIT;
    Crs__Run *hot[] = {&nowhere, &late, &all};
    struct lazy_space *space;

    nowhere.first = 1000;
    nowhere.count = UINT64_MAX;
    late.first = 31;
    late.count = 1;
    all.first = 15;
    all.count = 2;
    assert_int_equal(lazy_order(hot, 3, source), 0);
    assert_ptr_equal(source->chunks[0], &stored[1]);
    assert_ptr_equal(source->chunks[1], &stored[2]);
    assert_ptr_equal(source->chunks[2], &stored[0]);
    assert_int_equal(lazy_space_new(-1, source, &space), 0);
    assert_int_equal(lazy_space_chunk_of(space, 10), 2);
    assert_int_equal(lazy_space_chunk_of(space, 30), 0);
    *state = space;
    tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_chunks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gives_the_page_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(drops, set_up, tear_down),
        cmocka_unit_test_setup_teardown(moves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forks, set_up, tear_down),
        cmocka_unit_test(brings_hot_ones_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
