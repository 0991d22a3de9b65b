/* Commands as one string, split and joined: `self` restarts programs by them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "opal/util/argv.h"
#include "openpal/crs/command.h"

/* `want`: the words with | behind each. */
static void check_split(const char *text, const char *want)
{
    char got[512] = "", **argv = NULL;

    assert_null(opal_crs_command_split(text, &argv));
    for (char **word = argv; *word; word++)
        strcat(strcat(got, *word), "|");
    assert_string_equal(got, want);
    opal_argv_free(argv);
}

static void test_split(void **state)
{
    (void)state;
    check_split("prog", "prog|");
    check_split("  prog \t a\nb ", "prog|a|b|");
    check_split("p 'a b'  \"c  d\" e\\ f", "p|a b|c  d|e f|");
    check_split("p '' \"\" ''a\"\"", "p|||a|");
    check_split("p 'it'\\''s' \"say \\\"no\\\" \\$HOME \\n\"", "p|it's|say \"no\" $HOME \\n|");
    check_split("p $'a\\nb\\t\\x41\\'\\\\'", "p|a\nb\tA'\\|");
    check_split("p $HOME * ; > & `x` $(y)", "p|$HOME|*|;|>|&|`x`|$(y)|");
    check_split("p $'\\xff'", "p|\xff|");
}

static void check_fault(const char *text, const char *words)
{
    char **argv = NULL;
    const char *fault = opal_crs_command_split(text, &argv);

    assert_non_null(fault);
    assert_non_null(strstr(fault, words));
    assert_null(argv);
}

static void test_faults(void **state)
{
    (void)state;
    check_fault("", "no word");
    check_fault(" \n", "no word");
    check_fault("p 'a", "isn't closed");
    check_fault("p \"a\\\"", "isn't closed");
    check_fault("p $'a", "isn't closed");
    check_fault("p $'a\\", "unknown escape");
    check_fault("p $'\\x4'", "unknown escape");
    check_fault("p $'\\x00'", "unknown escape");
    check_fault("p $'\\q'", "unknown escape");
    check_fault("p a\\", "ends with a backslash");
}

static void check_round(const char *const *argv)
{
    char *text = opal_crs_command_join((char **)argv), **again = NULL;
    int n = 0;

    assert_non_null(text);
    assert_null(strchr(text, '\n'));
    assert_null(opal_crs_command_split(text, &again));
    for (; argv[n]; n++)
        assert_string_equal(argv[n], again[n]);
    assert_null(again[n]);
    opal_argv_free(again);
    free(text);
}

static void test_join(void **state)
{
    const char *plain[] = {"./prog", "-n", "3", NULL};
    char *text = opal_crs_command_join((char **)plain);

    (void)state;
    assert_string_equal(text, "./prog -n 3");
    free(text);
    check_round(
        (const char *[]){"p", "", "a b", "it's", "\"", "\\", "\n", "'\n'", "$x", "*", NULL});
    check_round((const char *[]){" ", "$'", "'", "\t", "\x7f", "\x01\xff", "~", "#", "=", NULL});
}

/* Every byte, alone and beside others. */
static void test_bytes(void **state)
{
    char words[255][4];
    const char *argv[256];

    (void)state;
    for (int c = 1; c < 256; c++) {
        snprintf(words[c - 1], sizeof(words[0]), c % 2 ? "%c" : "a%cb", c);
        argv[c - 1] = words[c - 1];
    }
    argv[255] = NULL;
    check_round(argv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
