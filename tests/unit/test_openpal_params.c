/* test_openpal_params.c - parameters of Open PAL: values, variables, names, files */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "openpal/mca/base_internal.h"
#include "openpal/mca/param.h"

static mca_base_var_enum_value_t levels[] = {{0, "low"}, {5, "high"}, {-1, "off"}, {0, NULL}};
static mca_base_var_enum_t level_enum;

/* ---- values ---- */

static int parse(mca_base_var_type_t type, const char *text, char **ret)
{
    mca_base_var_enum_t *names =
        type == MCA_BASE_VAR_TYPE_INT && strpbrk(text, "hH") ? &level_enum : NULL;
    union mca_value value = {0};
    int r = mca_value_parse(type, names, text, &value);

    *ret = r == OPAL_SUCCESS ? mca_value_text(type, names, &value) : NULL;
    if (r == OPAL_SUCCESS && type == MCA_BASE_VAR_TYPE_STRING)
        free(value.string);
    return r;
}

static void test_values(void **state)
{
    static const struct {
        mca_base_var_type_t type;
        const char *text, *value; /* NULL: refused */
        int r;
    } rows[] = {
        {MCA_BASE_VAR_TYPE_INT, "0", "0"},
        {MCA_BASE_VAR_TYPE_INT, "-2147483648", "-2147483648"},
        {MCA_BASE_VAR_TYPE_INT, "2147483647", "2147483647"},
        {MCA_BASE_VAR_TYPE_INT, "0x1F", "31"},
        {MCA_BASE_VAR_TYPE_INT, "+3", "3"},
        {MCA_BASE_VAR_TYPE_INT, "2147483648", NULL, OPAL_ERR_VALUE_OUT_OF_BOUNDS},
        {MCA_BASE_VAR_TYPE_INT, "99999999999999999999", NULL, OPAL_ERR_VALUE_OUT_OF_BOUNDS},
        {MCA_BASE_VAR_TYPE_INT, "", NULL, OPAL_ERR_BAD_PARAM},
        {MCA_BASE_VAR_TYPE_INT, " 1", NULL, OPAL_ERR_BAD_PARAM},
        {MCA_BASE_VAR_TYPE_INT, "1 ", NULL, OPAL_ERR_BAD_PARAM},
        {MCA_BASE_VAR_TYPE_INT, "1k", NULL, OPAL_ERR_BAD_PARAM},
        {MCA_BASE_VAR_TYPE_INT, "high", "high"},
        {MCA_BASE_VAR_TYPE_INT, "HIGH", "high"},
        {MCA_BASE_VAR_TYPE_INT, "higher", NULL, OPAL_ERR_BAD_PARAM},
        {MCA_BASE_VAR_TYPE_UNSIGNED_INT, "4294967295", "4294967295"},
        {MCA_BASE_VAR_TYPE_UNSIGNED_INT, "4294967296", NULL, OPAL_ERR_VALUE_OUT_OF_BOUNDS},
        {MCA_BASE_VAR_TYPE_UNSIGNED_INT, "-1", NULL, OPAL_ERR_VALUE_OUT_OF_BOUNDS},
        {MCA_BASE_VAR_TYPE_UNSIGNED_LONG, "18446744073709551615", "18446744073709551615"},
        {MCA_BASE_VAR_TYPE_UNSIGNED_LONG_LONG, "18446744073709551616", NULL,
         OPAL_ERR_VALUE_OUT_OF_BOUNDS},
        {MCA_BASE_VAR_TYPE_SIZE_T, "12", "12"},
        {MCA_BASE_VAR_TYPE_SIZE_T, "x", NULL, OPAL_ERR_BAD_PARAM},
        {MCA_BASE_VAR_TYPE_BOOL, "yes", "true"},
        {MCA_BASE_VAR_TYPE_BOOL, "0", "false"},
        {MCA_BASE_VAR_TYPE_BOOL, "Disabled", "false"},
        {MCA_BASE_VAR_TYPE_BOOL, "2", NULL, OPAL_ERR_BAD_PARAM},
        {MCA_BASE_VAR_TYPE_DOUBLE, "0.5", "0.5"},
        {MCA_BASE_VAR_TYPE_DOUBLE, "1e999", NULL, OPAL_ERR_VALUE_OUT_OF_BOUNDS},
        {MCA_BASE_VAR_TYPE_DOUBLE, "nan", NULL, OPAL_ERR_VALUE_OUT_OF_BOUNDS},
        {MCA_BASE_VAR_TYPE_DOUBLE, "half", NULL, OPAL_ERR_BAD_PARAM},
        {MCA_BASE_VAR_TYPE_STRING, "", ""},
        {MCA_BASE_VAR_TYPE_STRING, " a = b ", " a = b "},
    };

    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        char *text = NULL;
        int r = parse(rows[i].type, rows[i].text, &text);

        if (r != rows[i].r)
            fail_msg("%zu: \"%s\": %d", i, rows[i].text, r);
        if (rows[i].value)
            assert_string_equal(text, rows[i].value);
        free(text);
    }
}

static void test_enumerator(void **state)
{
    union mca_value value = {.number = 3};
    char *text = mca_value_expected(MCA_BASE_VAR_TYPE_INT, &level_enum);

    assert_string_equal(text, "one of low (0), high (5), off (-1)");
    free(text);
    assert_int_equal(mca_value_parse(MCA_BASE_VAR_TYPE_INT, &level_enum, "-1", &value), 0);
    assert_int_equal(value.number, -1);
    assert_int_equal(mca_value_parse(MCA_BASE_VAR_TYPE_INT, &level_enum, "3", &value),
                     OPAL_ERR_VALUE_OUT_OF_BOUNDS);
    value.number = 3; /* a default that has no name */
    text = mca_value_text(MCA_BASE_VAR_TYPE_INT, &level_enum, &value);
    assert_string_equal(text, "3");
    free(text);
}

/* ---- registering ---- */

static mca_base_component_t component = {.mca_type_name = "crs", .mca_component_name = "unit"};

static void begin(void)
{
    static char *words[] = {
        (char *)"program", (char *)"-mca",       (char *)"crs_unit_n", (char *)"7",
        (char *)"-mca",    (char *)"crs_unit_s", (char *)"set",        NULL};
    char *own[ELEMENTS(words)];
    char **argv = own;
    int argc = ELEMENTS(words) - 1;

    memcpy(own, words, sizeof(own));
    assert_int_equal(mca_base_open(&argc, &argv), OPAL_SUCCESS);
    assert_int_equal(argc, 1);
    assert_null(argv[1]);
}

static int var(const char *name, mca_base_var_type_t type, int flags, void *storage)
{
    return mca_base_component_var_register(
        &component, name, "Words", type, type == MCA_BASE_VAR_TYPE_INT ? &level_enum : NULL, 0,
        flags, OPAL_INFO_LVL_9, MCA_BASE_VAR_SCOPE_READONLY, storage);
}

static void test_old_style(void **state)
{
    int n = 0, index, same;
    char *s = NULL;

    begin();
    index = mca_base_param_reg_int(&component, "n", "Words", false, false, 3, &n);
    assert_true(index >= 0);
    assert_int_equal(n, 7);
    same = mca_base_param_reg_int_name("crs_unit", "n", "Other words", false, false, 4, &n);
    assert_int_equal(same, index);
    assert_int_equal(n, 7);
    assert_int_equal(mca_base_param_find("crs", "unit", "n"), index);
    assert_int_equal(mca_base_param_find(NULL, NULL, "crs_unit_n"), index);
    assert_int_equal(mca_base_param_find("crs", "unit", "m"), OPAL_ERROR);
    assert_int_equal(mca_base_param_reg_string(&component, "n", "", false, false, "", NULL),
                     OPAL_ERR_BAD_PARAM);
    index = mca_base_param_reg_string(&component, "s", NULL, false, false, NULL, &s);
    assert_string_equal(s, "set");
    free(s);
    assert_int_equal(mca_base_param_set_string(index, NULL), OPAL_SUCCESS);
    assert_int_equal(mca_base_param_lookup_string(index, &s), OPAL_SUCCESS);
    assert_null(s);
    assert_int_equal(mca_base_param_set_int(index, 1), OPAL_ERR_BAD_PARAM);
    assert_int_equal(mca_base_param_set_int(1000, 1), OPAL_ERR_NOT_FOUND);
    assert_int_equal(mca_base_param_lookup_int(-1, &n), OPAL_ERR_NOT_FOUND);
    assert_int_equal(mca_base_check(), OPAL_SUCCESS);
    mca_base_close();
}

/* A variable has its value while the base is open, and its own one again afterwards. */
static void test_variables(void **state)
{
    const char *usual = "usual";
    char *s = (char *)usual, *t = NULL;
    int n = 5;
    bool truth = true;
    size_t size = 12;
    double real = 0.25;

    for (int times = 0; times < 2; times++) {
        begin();
        assert_true(var("s", MCA_BASE_VAR_TYPE_STRING, 0, &s) >= 0);
        assert_string_equal(s, "set");
        assert_true(var("s", MCA_BASE_VAR_TYPE_STRING, 0, &t) >= 0); /* the second one counts */
        assert_string_equal(t, "set");
        assert_true(var("t", MCA_BASE_VAR_TYPE_BOOL, 0, &truth) >= 0);
        assert_true(var("size", MCA_BASE_VAR_TYPE_SIZE_T, 0, &size) >= 0);
        assert_true(var("real", MCA_BASE_VAR_TYPE_DOUBLE, MCA_BASE_VAR_FLAG_DEPRECATED, &real) >=
                    0);
        assert_true(truth && size == 12 && real == 0.25);
        assert_true(var("n", MCA_BASE_VAR_TYPE_INT, 0, &n) >= 0);
        assert_int_equal(n, 5); /* 7 is none of its values */
        assert_int_equal(mca_base_check(), OPAL_ERR_BAD_PARAM);
        assert_int_equal(var("x", MCA_BASE_VAR_TYPE_INT, 0, NULL), OPAL_ERR_BAD_PARAM);
        assert_int_equal(var("x", MCA_BASE_VAR_TYPE_MAX, 0, &n), OPAL_ERR_BAD_PARAM);
        mca_base_close();
        assert_ptr_equal(s, usual);
        assert_null(t);
        s = (char *)usual;
    }
}

static int collect(const char *words, void *all)
{
    strcat(all, words);
    strcat(all, "\n");
    return 0;
}

static void test_read_only(void **state)
{
    char problems[4096] = "";
    int n = 0;
    char *s = NULL;

    begin();
    assert_true(mca_base_param_reg_int(&component, "n", "", false, true, 3, &n) >= 0);
    assert_int_equal(n, 3);
    mca_base_problem_walk(collect, problems);
    assert_non_null(strstr(problems, "parameter crs_unit_n can't be set (by command line)"));
    assert_non_null(strstr(problems, "no such parameter: crs_unit_s (from command line)"));
    mca_base_close();
    assert_true(mca_base_param_reg_string(&component, "s", "", false, false, "own", &s) >= 0);
    assert_string_equal(s, "own"); /* without open: no command line */
    free(s);
    begin();
    assert_int_equal(mca_base_param_lookup_string(mca_base_param_find("crs", "unit", "s"), &s), 0);
    assert_string_equal(s, "set");
    free(s);
    mca_base_close();
}

static int remember(const struct mca_base_param_info *info, void *all)
{
    char *end = (char *)all + strlen(all);

    sprintf(end, "%s=%s/%s/%s ", info->name, info->value ? info->value : "(null)",
            info->default_value ? info->default_value : "(null)", info->source);
    return 0;
}

static void test_listing(void **state)
{
    char all[4096] = "";
    int n;

    begin();
    mca_base_param_reg_string(&component, "s", "", false, false, NULL, NULL);
    mca_base_param_reg_int(&component, "n", "", false, false, 3, &n);
    mca_base_param_reg_int(&component, "hidden", "", true, false, 3, &n);
    mca_base_param_reg_string(&component, "e", "", false, false, NULL, NULL);
    mca_base_param_set_string(mca_base_param_find("crs", "unit", "e"), "new");
    mca_base_param_walk(remember, all);
    assert_string_equal(all, "crs_unit_e=new/(null)/program crs_unit_n=7/3/command line "
                             "crs_unit_s=set/(null)/command line ");
    mca_base_close();
}

/* ---- files ---- */

static void test_file(void **state)
{
    char text[] =
        "# crs = x\n  crs =  a, b \t\n\ncrs_e=\ncrs_f = a = b\nword\n = 1\na-b = 2\ncrs = c";
    char problems[4096] = "";

    begin();
    assert_int_equal(mca_file_parse("/p", text, MCA_SOURCE_USER_FILE), OPAL_SUCCESS);
    assert_string_equal(mca_setting_find("crs")->value, "c");
    assert_string_equal(mca_setting_find("crs")->place, "/p:9");
    assert_string_equal(mca_setting_find("crs_e")->value, "");
    assert_string_equal(mca_setting_find("crs_f")->value, "a = b");
    assert_int_equal(mca_setting_add(MCA_SOURCE_SYSTEM_FILE, "crs", "weak", "/s"), OPAL_SUCCESS);
    assert_string_equal(mca_setting_find("crs")->value, "c");
    assert_int_equal(mca_setting_add(MCA_SOURCE_ENVIRONMENT, "crs", "strong", "/s"), OPAL_SUCCESS);
    assert_string_equal(mca_setting_find("crs")->value, "strong");
    mca_base_problem_walk(collect, problems);
    assert_non_null(strstr(problems, "/p:6: not \"NAME = VALUE\": word\n"));
    assert_non_null(strstr(problems, "/p:7: not \"NAME = VALUE\""));
    assert_non_null(strstr(problems, "/p:8: not \"NAME = VALUE\""));
    mca_base_close();
    assert_null(mca_setting_find("crs"));
}

static void test_retired(void **state)
{
    assert_non_null(mca_param_why_retired("opal_cr_signal"));
    assert_null(mca_param_why_retired("opal_cr_signals"));
    assert_non_null(mca_param_why_retired("crs_dmtcp_verbose"));
    assert_null(mca_param_why_retired("crs_verbose"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),    cmocka_unit_test(test_enumerator),
        cmocka_unit_test(test_old_style), cmocka_unit_test(test_variables),
        cmocka_unit_test(test_read_only), cmocka_unit_test(test_listing),
        cmocka_unit_test(test_file),      cmocka_unit_test(test_retired),
    };

    for (char **e = environ; *e;)
        if (strncmp(*e, "OPAL_MCA_", 9) == 0 || strncmp(*e, "OMPI_MCA_", 9) == 0)
            unsetenv(strndupa(*e, strcspn(*e, "=")));
        else
            e++;
    unsetenv("HOME");
    level_enum.enum_values = levels;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
