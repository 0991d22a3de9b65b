/* test_relocation.c - paths of files that are somewhere else now */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/relocation.h"

static void becomes(const char *pair, const char *path, const char *expected)
{
    struct relocations r = {0};

    assert_int_equal(relocations_add(&r, pair, NULL), 0);
    const struct relocation *found = relocations_find(&r, path);
    if (!expected) {
        assert_null(found);
    } else {
        assert_non_null(found);
        char *new = relocation_apply(found, path);
        assert_string_equal(new, expected);
        free(new);
    }
    relocations_clear(&r);
}

static void whole_names(void **state)
{
    becomes("/a=/b", "/a", "/b");
    becomes("/a=/b", "/a/c", "/b/c");
    becomes("/a=/b", "/ab", NULL);
    becomes("/a=/b", "/", NULL);
    becomes("/a=/b", "/x/a", NULL);
    becomes("/a=/b", "a", NULL);
    becomes("/a=/b", "", NULL);
    becomes("/a/b=/c/d/", "/a/b/e", "/c/d/e");
    becomes("/a/b=/c", "/a", NULL);
    becomes("/a/=/b", "/a/c", "/b/c");
    becomes("/a=/", "/a/c", "/c");
    becomes("/a=/", "/a", "/");
    becomes("/=/r", "/", "/r");
    becomes("/=/r", "/a/b", "/r/a/b");
    becomes("/=/", "/", "/");
    becomes("/..a=/b", "/..a", "/b");
}

static void escapes(void **state)
{
    becomes("/a\\=b=/c", "/a=b/d", "/c/d");
    becomes("/a=/b\\=c", "/a/d", "/b=c/d");
    becomes("/a\\\\=/c", "/a\\/d", "/c/d");
    becomes("/a\\\\\\==/c\\\\", "/a\\=", "/c\\");
}

static void refused(void **state)
{
    static const char *const bad[] = {
        "",         "/a",     "=",       "/a=",    "=/b",       "a=/b",     "/a=b",
        "/a=/b=/c", "/a\\=b", "/a\\x=/", "/a=/\\", "/a//b=/c",  "/a/./b=/", "/../a=/b",
        "/a/..=/",  "/a\\",   "/.=/b",   "\\=/a",  "/a/b/.=/c",
    };

    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        struct relocations r = {0};
        struct crs_error error = {0};
        assert_int_equal(relocations_add(&r, bad[i], &error), -EINVAL);
        assert_int_equal(error.kind, CRS_USAGE);
        assert_int_equal(r.array.n, 0);
    }
    struct relocations r = {0};
    assert_int_equal(relocations_add(&r, NULL, NULL), -EINVAL);
}

static void first_counts(void **state)
{
    struct relocations r = {0};

    assert_int_equal(relocations_add(&r, "/a/b=/1", NULL), 0);
    assert_int_equal(relocations_add(&r, "/a=/2", NULL), 0);
    assert_int_equal(relocations_add(&r, "/a/c=/3", NULL), 0);
    assert_string_equal(relocations_find(&r, "/a/b/x")->to, "/1");
    assert_string_equal(relocations_find(&r, "/a/c/x")->to, "/2");
    assert_null(relocations_find(&r, "/c"));
    assert_null(relocations_find(NULL, "/a"));
    relocations_clear(&r);
}

static void texts(void **state)
{
    struct relocations r = {0};
    char *text = relocation_text("/a=\\b", "/c\\\\=");

    assert_string_equal(text, "/a\\=\\\\b=/c\\\\\\\\\\=");
    assert_int_equal(relocations_add(&r, text, NULL), 0);
    assert_string_equal(r.array.items[0].from, "/a=\\b");
    assert_string_equal(r.array.items[0].to, "/c\\\\=");
    relocations_clear(&r);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_names),  cmocka_unit_test(escapes), cmocka_unit_test(refused),
        cmocka_unit_test(first_counts), cmocka_unit_test(texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
