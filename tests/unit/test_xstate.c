/*
 * test_xstate.c - the vector state of one processor in the area of another
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "tracee/arch/arch.h"

#define IN_USE_AT  512
#define OFFERED_AT 464

/* One vendor leaves a gap before the mask registers (5) and lays the keys (9) behind all else. */
static const struct arch_xstate_layout with_gap = {
    .xcr0 = 0x227,
    .size = 1160,
    .parts = {[2] = {576, 256}, [5] = {1088, 64}, [9] = {1152, 8}},
};
static const struct arch_xstate_layout without_gap = {
    .xcr0 = 0x227,
    .size = 904,
    .parts = {[2] = {576, 256}, [5] = {832, 64}, [9] = {896, 8}},
};
static const struct arch_xstate_layout small = {
    .xcr0 = 7,
    .size = 832,
    .parts = {[2] = {576, 256}},
};

static uint8_t saved_bytes[4096], area_bytes[4096];

static void put64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof(value));
}

static struct bytes saved_with(const struct arch_xstate_layout *layout, uint64_t in_use)
{
    memset(saved_bytes, 0, sizeof(saved_bytes));
    memset(saved_bytes, 0x11, OFFERED_AT);
    put64(saved_bytes + OFFERED_AT, layout->xcr0);
    put64(saved_bytes + IN_USE_AT, in_use);
    for (unsigned i = 2; i < ARCH_XSTATE_PARTS; i++)
        memset(saved_bytes + layout->parts[i].offset, layout->parts[i].size ? 0x40 + i : 0x11,
               layout->parts[i].size);
    return (struct bytes){saved_bytes, layout->size};
}

/* As the kernel gives it: what it offers, and rubbish of the thread that is there now. */
static struct bytes area_of(const struct arch_xstate_layout *layout)
{
    memset(area_bytes, 0xee, sizeof(area_bytes));
    put64(area_bytes + OFFERED_AT, layout->xcr0);
    return (struct bytes){area_bytes, layout->size};
}

static void expect_bytes(const uint8_t *at, uint8_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        assert_int_equal(at[i], value);
}

static void parts_find_their_places(void **state)
{
    (void)state;
    struct bytes saved = saved_with(&without_gap, 0x227), area = area_of(&with_gap);

    assert_int_equal(arch_xstate_convert(&saved, &without_gap, &with_gap, &area, NULL), 0);
    expect_bytes(area_bytes, 0x11, OFFERED_AT);
    expect_bytes(area_bytes + 576, 0x42, 256);
    expect_bytes(area_bytes + 832, 0, 256);
    expect_bytes(area_bytes + 1088, 0x45, 64);
    expect_bytes(area_bytes + 1152, 0x49, 8);
    expect_bytes(area_bytes + 520, 0, 56);
    assert_int_equal(memcmp(area_bytes + IN_USE_AT, saved_bytes + IN_USE_AT, 8), 0);
    uint64_t offered;
    memcpy(&offered, area_bytes + OFFERED_AT, sizeof(offered));
    assert_int_equal(offered, with_gap.xcr0);
}

static void unused_parts_may_be_missing(void **state)
{
    (void)state;
    struct bytes saved = saved_with(&with_gap, 7), area = area_of(&small);

    assert_int_equal(arch_xstate_convert(&saved, &with_gap, &small, &area, NULL), 0);
    expect_bytes(area_bytes + 576, 0x42, 256);
    saved = saved_with(&small, 7);
    area = area_of(&with_gap);
    assert_int_equal(arch_xstate_convert(&saved, &small, &with_gap, &area, NULL), 0);
    expect_bytes(area_bytes + 576, 0x42, 256);
    expect_bytes(area_bytes + 832, 0, with_gap.size - 832);
}

static void empty_parts_may_be_missing(void **state)
{
    (void)state;
    struct bytes saved = saved_with(&with_gap, 0x27), area = area_of(&small);

    memset(saved_bytes + 1088, 0, 64);
    assert_int_equal(arch_xstate_convert(&saved, &with_gap, &small, &area, NULL), 0);
    assert_int_equal(area_bytes[IN_USE_AT], 7);
}

static void refused(const struct bytes *saved, const struct arch_xstate_layout *from,
                    const struct arch_xstate_layout *to, enum crs_kind kind)
{
    struct crs_error err = {0};
    struct bytes area = area_of(to);

    assert_true(arch_xstate_convert(saved, from, to, &area, &err) < 0);
    assert_int_equal(err.kind, kind);
    expect_bytes(area_bytes + to->size, 0xee, sizeof(area_bytes) - to->size);
}

static void what_has_no_place_is_refused(void **state)
{
    (void)state;
    struct arch_xstate_layout hostile = with_gap;
    struct bytes saved = saved_with(&with_gap, 0x27), none = {saved_bytes, 100};

    refused(&saved, &with_gap, &small, CRS_CANT_RESTART); /* in use, not here */
    refused(&none, &with_gap, &small, CRS_DAMAGED);
    hostile.parts[5].offset = UINT32_MAX;
    refused(&saved, &hostile, &with_gap, CRS_CANT_RESTART);
    hostile.parts[5].offset = 100;
    refused(&saved, &hostile, &with_gap, CRS_CANT_RESTART);
    hostile.parts[5].offset = 1088;
    hostile.parts[5].size = UINT32_MAX;
    refused(&saved, &hostile, &with_gap, CRS_CANT_RESTART);
    hostile.parts[5].size = 0;
    refused(&saved, &hostile, &with_gap, CRS_CANT_RESTART);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_find_their_places),
        cmocka_unit_test(unused_parts_may_be_missing),
        cmocka_unit_test(empty_parts_may_be_missing),
        cmocka_unit_test(what_has_no_place_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
