/* test_openpal_metadata.c - snapshot_meta.data: read, written, damaged */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "opal/util/argv.h"
#include "openpal/crs/base_internal.h"
#include "openpal/crs/directory.h"

static char directory[] = "/tmp/crs-metadata.XXXXXX";

static void put(const char *text, size_t size)
{
    char *path = format_string("%s/" CRS_METADATA_FILENAME, directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write_full(fd, text, size), 0);
    close(fd);
    free(path);
}

static void clear(void)
{
    static const char *const names[] = {CRS_METADATA_FILENAME, CRS_METADATA_FILENAME ".new"};

    for (size_t i = 0; i < ELEMENTS(names); i++) {
        char *path = format_string("%s/%s", directory, names[i]);

        unlink(path);
        free(path);
    }
}

static void check_values(const char *token, const char *joined)
{
    char **values = NULL, *all;
    int r = opal_crs_base_metadata_read_token(directory, token, &values);

    if (!joined) {
        assert_int_equal(r, OPAL_ERR_NOT_FOUND);
        return;
    }
    assert_int_equal(r, OPAL_SUCCESS);
    all = opal_argv_join(values, '|');
    assert_string_equal(all, joined);
    free(all);
    opal_argv_free(values);
}

#define PUT(text) put(text, strlen(text))

static void test_read(void **state)
{
    PUT("# \n# OPAL CRS Component: blcr\n# PID: 12\n# CONTEXT: a: b # c\n# MKDIR: /x y\n"
        "# MKDIR: \n# TOUCH:/z\n#MKDIR: /no\n# MKDIRS: /no\nMKDIR: /no\n# MKDIR: /last");
    check_values(CRS_METADATA_CONTEXT, "a: b # c");
    check_values(CRS_METADATA_MKDIR, "/x y||/last");
    check_values(CRS_METADATA_TOUCH, "/z");
    check_values(CRS_METADATA_TIMESTAMP, NULL);
    check_values("", NULL);
    clear();
    check_values(CRS_METADATA_CONTEXT, NULL);
}

static int component(char *ret, int *ret_pid)
{
    char *name = NULL;
    int r = opal_crs_base_extract_expected_component(directory, &name, ret_pid);

    if (r == OPAL_SUCCESS)
        strcpy(ret, name);
    free(name);
    return r;
}

static void test_component(void **state)
{
    char name[64] = "";
    int pid = -5;

    PUT("# OPAL CRS Component: blcr\n# PID: 12\n");
    assert_int_equal(component(name, &pid), OPAL_SUCCESS);
    assert_string_equal(name, "blcr");
    assert_int_equal(pid, 12);
    PUT("# Component: self\n# PID: 13\n");
    assert_int_equal(component(name, &pid), OPAL_SUCCESS);
    assert_string_equal(name, "self");
    PUT("# OPAL CRS Component: one\n# PID: 1\n# OPAL CRS Component: two\n# PID: 2\n");
    assert_int_equal(component(name, &pid), OPAL_SUCCESS);
    assert_string_equal(name, "two");
    assert_int_equal(pid, 2);
    PUT("# OPAL CRS Component: blcr\n");
    assert_int_equal(component(name, &pid), OPAL_ERR_NOT_FOUND);
    PUT("# PID: 12\n");
    assert_int_equal(component(name, &pid), OPAL_ERR_NOT_FOUND);
    PUT("# OPAL CRS Component: \n# PID: 12\n");
    assert_int_equal(component(name, &pid), OPAL_ERR_FILE_READ_FAILURE);
    static const char *const pids[] = {"x", "", "-1", "12x", "99999999999999999999", "2147483648"};
    for (size_t i = 0; i < ELEMENTS(pids); i++) {
        char text[128];

        snprintf(text, sizeof(text), "# OPAL CRS Component: blcr\n# PID: %s\n", pids[i]);
        PUT(text);
        assert_int_equal(component(name, &pid), OPAL_ERR_FILE_READ_FAILURE);
    }
    assert_int_equal(pid, 2);
    put("# OPAL CRS\0Component: blcr\n# PID: 1\n", 36);
    assert_int_equal(component(name, &pid), OPAL_ERR_FILE_READ_FAILURE);
    clear();
    assert_int_equal(component(name, &pid), OPAL_ERR_NOT_FOUND);
}

static void test_long(void **state)
{
    size_t size = 300000;
    char *value = malloc(size + 1), *line, **values = NULL;

    memset(value, 'v', size);
    value[size] = '\0';
    line = format_string(CRS_METADATA_CONTEXT "%s\n", value);
    PUT(line);
    assert_int_equal(opal_crs_base_metadata_read_token(directory, CRS_METADATA_CONTEXT, &values),
                     0);
    assert_string_equal(values[0], value);
    opal_argv_free(values);
    free(line);
    line = malloc(2 << 20);
    memset(line, '\n', 2 << 20);
    put(line, 2 << 20);
    assert_int_equal(opal_crs_base_metadata_read_token(directory, CRS_METADATA_CONTEXT, &values),
                     OPAL_ERR_FILE_READ_FAILURE);
    for (size_t i = 0; i < 10001; i++)
        memcpy(line + i * 9, "# MKDIR:\n", 9);
    put(line, 10001 * 9);
    assert_int_equal(opal_crs_base_metadata_read_token(directory, CRS_METADATA_MKDIR, &values),
                     OPAL_ERR_VALUE_OUT_OF_BOUNDS);
    free(line);
    free(value);
    clear();
}

static int write_token(const char *token, const char *value)
{
    return opal_crs_base_metadata_write_token(directory, token, value);
}

static void test_write(void **state)
{
    char *path = format_string("%s/" CRS_METADATA_FILENAME ".new", directory);
    char *final = format_string("%s/" CRS_METADATA_FILENAME, directory);
    struct stat st;

    assert_int_equal(write_token(CRS_METADATA_COMP, "none"), OPAL_SUCCESS);
    assert_int_equal(write_token(CRS_METADATA_COMP, "none"), OPAL_SUCCESS);
    assert_int_equal(write_token(CRS_METADATA_MKDIR, "/a"), OPAL_SUCCESS);
    assert_int_equal(write_token(CRS_METADATA_MKDIR, "/a"), OPAL_SUCCESS);
    assert_int_equal(write_token(CRS_METADATA_MKDIR, "/a\n# CONTEXT: rm"), OPAL_ERR_BAD_PARAM);
    assert_int_equal(write_token("# A\n", "x"), OPAL_ERR_BAD_PARAM);
    check_values(CRS_METADATA_MKDIR, NULL); /* not committed */
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(rename(path, final), 0);
    check_values(CRS_METADATA_COMP, "none");
    check_values(CRS_METADATA_MKDIR, "/a|/a");
    assert_int_equal(write_token(CRS_METADATA_TOUCH, "/b"), OPAL_SUCCESS);
    check_values(CRS_METADATA_TOUCH, "/b");
    assert_int_equal(stat(path, &st), -1);
    assert_int_equal(opal_crs_base_metadata_write_token("/nowhere", CRS_METADATA_TOUCH, "/b"),
                     OPAL_ERR_FILE_OPEN_FAILURE);
    free(path);
    free(final);
    clear();
}

/* ---- what goes after a restart ---- */

static void test_cleanup(void **state)
{
    char *sub = format_string("%s/sub/deep", directory),
         *file = format_string("%s/file", directory);
    char *inner = format_string("%s/inner", sub), *link = format_string("%s/link", sub);

    assert_int_equal(directory_make(sub), 0);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    close(open(inner, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(symlink(directory, link), 0);
    *strrchr(sub, '/') = '\0';
    assert_int_equal(opal_crs_base_cleanup_append(sub, true), OPAL_SUCCESS);
    assert_int_equal(opal_crs_base_cleanup_append(inner, false), OPAL_SUCCESS);
    assert_int_equal(opal_crs_base_cleanup_append("/nowhere/at/all", true), OPAL_SUCCESS);
    assert_int_equal(opal_crs_base_cleanup_append("relative", false), OPAL_ERR_BAD_PARAM);
    assert_int_equal(opal_crs_base_cleanup_append(NULL, false), OPAL_ERR_BAD_PARAM);
    assert_int_equal(access(inner, F_OK), 0);
    assert_int_equal(opal_crs_base_cleanup_flush(), OPAL_SUCCESS);
    assert_int_equal(access(sub, F_OK), -1);
    assert_int_equal(access(file, F_OK), 0); /* the link wasn't followed */
    assert_int_equal(opal_crs_base_cleanup_flush(), OPAL_SUCCESS);
    assert_int_equal(unlink(file), 0);
    free(sub);
    free(file);
    free(inner);
    free(link);
}

static void test_directory(void **state)
{
    char *path = format_string("%s/d", directory);
    struct stat st;

    assert_int_equal(directory_make(path), 0);
    assert_int_equal(directory_make(path), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    chmod(path, 0770);
    assert_int_equal(directory_make(path), -1);
    assert_int_equal(directory_is_empty(path), 0);
    assert_int_equal(directory_sync(path), 0);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(symlink(directory, path), 0);
    assert_int_equal(directory_make(path), -1);
    assert_int_equal(unlink(path), 0);
    free(path);
}

/* ---- states and options ---- */

static void test_states(void **state)
{
    for (int i = OPAL_CRS_NONE; i < OPAL_CRS_STATE_MAX; i++) {
        char *name = opal_crs_base_state_str((opal_crs_state_type_t)i);

        assert_string_not_equal(name, "Unknown");
        free(name);
    }
    char *name = opal_crs_base_state_str(OPAL_CRS_STATE_MAX);
    assert_string_equal(name, "Unknown");
    free(name);
}

static void test_options(void **state)
{
    opal_crs_base_ckpt_options_t *a = OBJ_NEW(opal_crs_base_ckpt_options_t);
    opal_crs_base_ckpt_options_t *b = OBJ_NEW(opal_crs_base_ckpt_options_t);

    assert_false(a->term || a->stop || a->inc_prep_only || a->inc_recover_only);
    a->term = a->inc_recover_only = true;
    assert_int_equal(opal_crs_base_copy_options(a, b), OPAL_SUCCESS);
    assert_true(b->term && !b->stop && !b->inc_prep_only && b->inc_recover_only);
    assert_int_equal(opal_crs_base_clear_options(b), OPAL_SUCCESS);
    assert_false(b->term || b->stop || b->inc_prep_only || b->inc_recover_only);
    assert_int_equal(opal_crs_base_copy_options(a, NULL), OPAL_ERR_BAD_PARAM);
    assert_int_equal(opal_crs_base_clear_options(NULL), OPAL_ERR_BAD_PARAM);
    OBJ_RELEASE(a);
    OBJ_RELEASE(b);
    opal_class_finalize();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),    cmocka_unit_test(test_component),
        cmocka_unit_test(test_long),    cmocka_unit_test(test_write),
        cmocka_unit_test(test_cleanup), cmocka_unit_test(test_directory),
        cmocka_unit_test(test_states),  cmocka_unit_test(test_options),
    };
    int failed;

    if (!mkdtemp(directory))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(directory);
    return failed;
}
