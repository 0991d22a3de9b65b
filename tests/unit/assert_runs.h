/* assert_runs.h - sets of pages are as expected */
#ifndef TESTS_UNIT_ASSERT_RUNS_H
#define TESTS_UNIT_ASSERT_RUNS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proc/page_runs.h"

static inline void assert_runs(const struct page_runs *runs, size_t n,
                               const struct page_run *expected)
{
    struct page_run run;
    size_t i = 0;

    assert_int_equal(runs->n, n);
    page_runs_each (run, runs) {
        assert_int_equal(run.first, expected[i].first);
        assert_int_equal(run.count, expected[i++].count);
    }
    assert_int_equal(i, n);
}

#endif
