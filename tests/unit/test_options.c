/* test_options.c - options of programs that were built with an older or a newer crs.h */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "engine/options.h"

static struct crs_checkpoint_options filled(size_t size)
{
    struct crs_checkpoint_options given;

    memset(&given, 0x7f, sizeof(given)); /* what an older caller's memory holds behind its struct */
    given.struct_size = size;
    given.timeout_ms = 17;
    given.cancel = NULL;
    return given;
}

static int take(struct crs_checkpoint_options *ret, const void *given, struct crs_error *err)
{
    *ret = (struct crs_checkpoint_options)CRS_CHECKPOINT_OPTIONS_INIT;
    return options_take(ret, sizeof(*ret), given, CHECKPOINT_OPTIONS_FIRST_SIZE, err);
}

static void test_first_size(void **state)
{
    struct crs_checkpoint_options own, given = filled(CHECKPOINT_OPTIONS_FIRST_SIZE);
    struct crs_error error = {0};

    assert_int_equal(take(&own, &given, &error), 0);
    assert_int_equal(own.struct_size, sizeof(own));
    assert_int_equal(own.timeout_ms, 17);
    assert_null(own.cancel);
    assert_int_equal(own.scope, CRS_TREE);
    assert_int_equal(own.tool, 0);
    assert_int_equal(own.tcp, CRS_TCP_REFUSE);
}

static void test_size_between(void **state)
{
    struct crs_checkpoint_options own;
    struct crs_checkpoint_options given = filled(offsetof(struct crs_checkpoint_options, tcp));
    struct crs_error error = {0};

    given.scope = CRS_GROUP;
    given.tool = 5;
    assert_int_equal(take(&own, &given, &error), 0);
    assert_int_equal(own.scope, CRS_GROUP);
    assert_int_equal(own.tool, 5);
    assert_int_equal(own.tcp, CRS_TCP_REFUSE);
}

static void test_newer(void **state)
{
    struct {
        struct crs_checkpoint_options known;
        char newer[16];
    } given = {.known = CRS_CHECKPOINT_OPTIONS_INIT};
    struct crs_checkpoint_options own;
    struct crs_error error = {0};

    given.known.struct_size = sizeof(given);
    given.known.timeout_ms = 3;
    assert_int_equal(take(&own, &given, &error), 0);
    assert_int_equal(own.timeout_ms, 3);
    assert_int_equal(own.struct_size, sizeof(own));
    given.newer[15] = 1;
    assert_int_equal(take(&own, &given, &error), -E2BIG);
    assert_int_equal(error.kind, CRS_USAGE);
    assert_non_null(strstr(error.text, "newer than this library"));
}

static void test_no_size(void **state)
{
    const size_t wrong[] = {0, 1, CHECKPOINT_OPTIONS_FIRST_SIZE - 1, 1u << 20, (size_t)-1};
    struct crs_checkpoint_options own;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct crs_checkpoint_options given = filled(wrong[i]);
        struct crs_error error = {0};
        assert_int_equal(take(&own, &given, &error), -EINVAL);
        assert_int_equal(error.kind, CRS_USAGE);
        assert_int_equal(own.timeout_ms, 0);
    }
}

static void test_none(void **state)
{
    struct crs_checkpoint_options own;

    assert_int_equal(take(&own, NULL, NULL), 0);
    assert_int_equal(own.struct_size, sizeof(own));
}

/* Through the interface: the size is taken, and the next check is what fails. */
static void test_interface(void **state)
{
    struct crs_checkpoint_options given = filled(CHECKPOINT_OPTIONS_FIRST_SIZE);
    struct crs_restart_options restart = CRS_RESTART_OPTIONS_INIT;
    struct crs_restarted restarted;
    struct crs_error error = {0};

    assert_int_equal(crs_checkpoint(0, &given, NULL, &error), -EINVAL);
    assert_string_equal(error.text, "0 is not a process ID");
    restart.struct_size = RESTART_OPTIONS_FIRST_SIZE;
    assert_true(crs_restart("/nonexistent/snapshot", &restart, &restarted, &error) < 0);
    assert_null(strstr(error.text, "struct_size"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_size), cmocka_unit_test(test_size_between),
        cmocka_unit_test(test_newer),      cmocka_unit_test(test_no_size),
        cmocka_unit_test(test_none),       cmocka_unit_test(test_interface),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
