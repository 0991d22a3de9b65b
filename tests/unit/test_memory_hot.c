/* test_memory_hot.c - which pages are written to while a process is copied: the latest first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "engine/memory_live.h"

static void add(struct page_runs *runs, uint64_t first, uint64_t count)
{
    assert_int_equal(page_runs_add(runs, first, count), 0);
}

static void round_of(struct memory_live *live, uint64_t first, uint64_t count)
{
    page_runs_clear(&live->marked);
    add(&live->marked, first, count);
    assert_int_equal(live_note_round(live), 0);
}

static void clear(struct memory_live *live, Crs__AddressSpace *space)
{
    page_runs_clear(&live->marked);
    page_runs_clear(&live->late);
    live_forget_rounds(live);
    crs__address_space__free_unpacked(space, NULL);
}

static Crs__AddressSpace *new_space(void)
{
    Crs__AddressSpace *space = malloc(sizeof(*space));

    assert_non_null(space);
    crs__address_space__init(space);
    return space;
}

static void latest_first(void **state)
{
    static const struct page_run expected[] = {{7, 2}, {30, 1}, {29, 1}, {31, 9}, {5, 2}, {9, 1}};
    Crs__AddressSpace *space = new_space();
    struct memory_live live = {0};

    round_of(&live, 5, 5);
    round_of(&live, 29, 11);
    add(&live.late, 7, 2);
    add(&live.late, 30, 1);
    assert_int_equal(live_record_hot(&live, space), 0);
    assert_int_equal(space->n_hot, ELEMENTS(expected));
    for (size_t i = 0; i < space->n_hot; i++) {
        assert_int_equal(space->hot[i]->first, expected[i].first);
        assert_int_equal(space->hot[i]->count, expected[i].count);
    }
    clear(&live, space);
}

static void not_too_many(void **state)
{
    Crs__AddressSpace *space = new_space();
    struct memory_live live = {0};

    for (uint64_t page = 0; page < 20000; page += 2)
        add(&live.late, page, 1);
    assert_int_equal(live_record_hot(&live, space), 0);
    assert_int_equal(space->n_hot, 4096);
    clear(&live, space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(latest_first),
        cmocka_unit_test(not_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
