/* test_store_describe.c - what crs show and crs kinds get from the library */
#include "store_fixture.h"

#include <string.h>

static json_t *described(const char *path)
{
    struct crs_snapshot *snapshot;
    struct crs_error err;
    char *text;

    fixture_ok(crs_snapshot_open(path, &snapshot, &err), &err, "open");
    fixture_ok(crs_snapshot_describe(snapshot, &text, &err), &err, "describe");
    crs_snapshot_free(snapshot);
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    assert_non_null(json);
    return json;
}

static void snapshot(void **state)
{
    char *dir = fixture_directory(), *path = fixture_path(dir, "one");
    struct crs_error err;

    fixture_ok(fixture_snapshot(path, "lz4", &err), &err, "snapshot");
    json_t *json = described(path);
    json_t *process = json_array_get(json_object_get(json, "processes"), 0);
    json_t *thread = json_array_get(json_object_get(json, "threads"), 0);
    assert_int_equal(json_integer_value(json_object_get(json, "schema")), 1);
    assert_string_equal(json_string_value(json_object_get(json, "host")), "here");
    assert_int_equal(json_integer_value(json_object_get(json, "memory_bytes")), 9 * 4096);
    assert_true(json_integer_value(json_object_get(json, "size_bytes")) > 16384);
    assert_null(json_object_get(json, "files")); /* how it is stored is nobody's business */
    assert_string_equal(json_string_value(json_object_get(process, "command")), "victim");
    assert_int_equal(json_integer_value(json_object_get(process, "threads")), 1);
    assert_non_null(json_object_get(json_object_get(process, "properties"), "cwd"));
    assert_int_equal(json_integer_value(json_object_get(thread, "tid")), 4711);
    /* an object's pages, though nothing maps it here */
    json_t *memory = json_array_get(json_object_get(json, "memory"), 0);
    assert_string_equal(json_string_value(json_object_get(memory, "kind")), "shared memory");
    assert_int_equal(json_integer_value(json_object_get(memory, "saved_bytes")), 3 * 4096);
    json_decref(json);
    free(path);
    fixture_remove(dir);
}

static void kinds(void **state)
{
    struct crs_error err;
    json_t *item;
    size_t i;
    char *text;

    fixture_ok(crs_kinds(&text, &err), &err, "kinds");
    json_t *list = json_loads(text, 0, NULL);
    free(text);
    assert_true(json_array_size(list) > 20);
    json_array_foreach(list, i, item)
    {
        const char *saved = json_string_value(json_object_get(item, "saved"));
        assert_true(json_is_string(json_object_get(item, "name")));
        assert_true(json_is_string(json_object_get(item, "title")));
        assert_true(strcmp(saved, "yes") == 0 || strcmp(saved, "refused") == 0 ||
                    strcmp(saved, "with conditions") == 0);
    }
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshot),
        cmocka_unit_test(kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
