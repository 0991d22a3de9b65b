/* test_units.c - durations, numbers, sizes and times */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <limits.h>

#include "base/processors.h"
#include "base/units.h"

static void durations(void **state)
{
    static const struct {
        const char *text;
        int ms;
    } good[] = {
        {"0", 0},
        {"10", 10000},
        {"500ms", 500},
        {"10s", 10000},
        {"2m", 120000},
        {"2min", 120000},
        {"1h", 3600000},
        {"1.5s", 1500},
        {"0.5m", 30000},
        {"1.25h", 4500000},
        {"0.1ms", 1},
        {"0.0005", 1},
        {"1.0001s", 1001},
        {"1.50000s", 1500},
        {"596h", 596 * 3600000},
        {"2147483647ms", INT_MAX},
        {"007s", 7000},
    };
    static const char *const bad[] = {"",   "s",   "-1",   "+1",   " 1",  "1 s", "1d",    "1.s",
                                      ".5", "1e3", "0x10", "1ms ", "1,5", "ten", "1.2.3", "1hh"};
    static const char *const far[] = {"597h", "2147483648ms", "99999999999999999999",
                                      "18446744073709551616ms", "1844674407370955161.5h"};
    int ms;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(parse_duration(good[i].text, &ms), 0);
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ms = 77;
        assert_int_equal(parse_duration(bad[i], &ms), -EINVAL);
        assert_int_equal(ms, 77);
    }
    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++)
        assert_int_equal(parse_duration(far[i], &ms), -ERANGE);
}

static void parsed_sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"1", 1},
        {"100M", 100ull << 20},
        {"1.5G", 3ull << 29},
        {"0.5K", 512},
        {"7K", 7168},
        {"7KiB", 7168},
        {"2T", 2ull << 40},
        {"0.1", 1},
        {"100000000000000", 100000000000000},
        {"8388607T", 8388607ull << 40},
    };
    static const char *const bad[] = {"",    "M",   "-1",  "1 M", "1m",   "1k",   "1B",
                                      "1MB", "1Mi", "1MM", "1P",  "0x10", "1,5G", "ten"};
    static const char *const far[] = {"999999999999999999", "8388608T", "99999999999999999999",
                                      "99999999999999T"};
    uint64_t bytes;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(parse_size(good[i].text, &bytes), 0);
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        bytes = 77;
        assert_int_equal(parse_size(bad[i], &bytes), -EINVAL);
        assert_int_equal(bytes, 77);
    }
    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++)
        assert_int_equal(parse_size(far[i], &bytes), -ERANGE);
}

static void quotas(void **state)
{
    assert_int_equal(processors_of_quota("max 100000\n"), UINT_MAX);
    assert_int_equal(processors_of_quota("200000 100000\n"), 2);
    assert_int_equal(processors_of_quota("150000 100000\n"), 2);
    assert_int_equal(processors_of_quota("1000 100000\n"), 1);
    assert_int_equal(processors_of_quota(""), UINT_MAX);
    assert_int_equal(processors_of_quota("0 100000"), UINT_MAX);
    assert_int_equal(processors_of_quota("100000 0"), UINT_MAX);
    assert_int_equal(processors_of_quota("100000"), UINT_MAX);
    assert_true(processors_count() >= 1);
}

static void numbers(void **state)
{
    uint64_t n = 77;

    assert_int_equal(parse_number("0", 10, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(parse_number("18446744073709551615", UINT64_MAX, &n), 0);
    assert_true(n == UINT64_MAX);
    assert_int_equal(parse_number("18446744073709551616", UINT64_MAX, &n), -ERANGE);
    assert_int_equal(parse_number("99999999999999999999999", UINT64_MAX, &n), -ERANGE);
    assert_int_equal(parse_number("11", 10, &n), -ERANGE);
    assert_int_equal(parse_number("", 10, &n), -EINVAL);
    assert_int_equal(parse_number("-1", 10, &n), -EINVAL);
    assert_int_equal(parse_number("1x", 10, &n), -EINVAL);
}

static void sizes(void **state)
{
    static const struct {
        uint64_t size;
        const char *text;
    } rows[] = {
        {0, "0 B"},
        {1, "1 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {10188, "9.9 KiB"},
        {10240, "10 KiB"},
        {1048575, "1.0 MiB"},
        {1047552, "1023 KiB"},
        {5ull << 30, "5.0 GiB"},
        {3ull << 40, "3.0 TiB"},
        {UINT64_MAX, "16 EiB"},
    };
    char text[UNIT_TEXT_SIZE];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(format_size(rows[i].size, text), rows[i].text);
}

static void times(void **state)
{
    static const struct {
        uint64_t us;
        const char *text;
    } rows[] = {
        {0, "0 µs"},
        {999, "999 µs"},
        {1000, "1.0 ms"},
        {9940, "9.9 ms"},
        {9960, "10 ms"},
        {999499, "999 ms"},
        {999500, "1.0 s"},
        {1500000, "1.5 s"},
        {59400000, "59 s"},
        {59600000, "1 min 0 s"},
        {185000000, "3 min 5 s"},
        {3600000000, "1 h 0 min"},
        {7920000000, "2 h 12 min"},
        {UINT64_MAX, "5124095576 h 1 min"},
    };
    char text[UNIT_TEXT_SIZE];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(format_us(rows[i].us, text), rows[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations), cmocka_unit_test(parsed_sizes), cmocka_unit_test(quotas),
        cmocka_unit_test(numbers),   cmocka_unit_test(sizes),        cmocka_unit_test(times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
