/* test_store_names.c - where the store is; names, lists, removal */
#include "store_fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

static void root(void **state)
{
    static const struct {
        const char *given, *own, *state, *home, *expected;
    } cases[] = {
        {"/given", "/own", "/state", "/home/x", "/given"},
        {NULL, "/own", "/state", "/home/x", "/own"},
        {"", "", "/state", "/home/x", "/state/crs"},
        {NULL, NULL, "relative", "/home/x", "/home/x/.local/state/crs"},
        {NULL, NULL, "", "/home/x", "/home/x/.local/state/crs"},
        {NULL, NULL, NULL, NULL, NULL},
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        struct crs_error err = {0};
        char *path = NULL;
        unsetenv("CRS_STORE"), unsetenv("XDG_STATE_HOME"), unsetenv("HOME");
        if (cases[i].own)
            setenv("CRS_STORE", cases[i].own, 1);
        if (cases[i].state)
            setenv("XDG_STATE_HOME", cases[i].state, 1);
        if (cases[i].home)
            setenv("HOME", cases[i].home, 1);
        int r = crs_store_path(cases[i].given, &path, &err);
        assert_int_equal(r == 0, cases[i].expected != NULL);
        if (r == 0)
            assert_string_equal(path, cases[i].expected);
        else
            assert_int_equal(err.kind, CRS_USAGE);
        free(path);
    }
}

static void job_names_that_can_be(void **state)
{
    static const char *const good[] = {"a", "job", "Job-1.2_3+x", "1", "a.tmp-1-2"};
    static const char *const bad[] = {"",    ".",   "..",  ".a",   "-a",   "a/b",
                                      "a b", "a@1", "a\n", "\xc3", "a\\b", "*"};
    char longest[202];

    for (size_t i = 0; i < ELEMENTS(good); i++)
        assert_int_equal(store_check_name(good[i], NULL), 0);
    for (size_t i = 0; i < ELEMENTS(bad); i++)
        assert_true(store_check_name(bad[i], NULL) < 0);
    memset(longest, 'a', 201);
    longest[201] = 0;
    assert_true(store_check_name(longest, NULL) < 0);
    longest[200] = 0;
    assert_int_equal(store_check_name(longest, NULL), 0);
}

static char *take(const char *store, const char *name, unsigned expected)
{
    struct crs_error err;
    unsigned seq;
    char *path;

    fixture_ok(store_next_path(store, name, &path, &seq, &err), &err, "next");
    assert_int_equal(seq, expected);
    fixture_ok(fixture_snapshot(path, NULL, &err), &err, path);
    return path;
}

static void assert_resolves(const char *store, const char *spec, const char *expected)
{
    struct crs_error err;
    char *path;

    fixture_ok(crs_snapshot_resolve(store, spec, &path, &err), &err, spec);
    assert_string_equal(path, expected);
    free(path);
}

static void assert_not_found(const char *store, const char *spec, const char *words)
{
    struct crs_error err = {0};
    char *path = NULL;

    assert_true(crs_snapshot_resolve(store, spec, &path, &err) < 0);
    assert_null(path);
    if (err.kind != CRS_NOT_FOUND || !strstr(err.text, words))
        fail_msg("%s: kind %d: %s", spec, err.kind, err.text);
}

static void resolving(void **state)
{
    char *store = fixture_directory(), *deep = fixture_path(store, "not/yet/there");
    char *one = take(deep, "job", 1), *two = take(deep, "job", 2), *three = take(deep, "job", 3);
    char *other = take(deep, "other", 1), *manifest = fixture_path(three, "manifest.json");
    char *expected_latest = two, *seq_dir = fixture_path(deep, "job/007");
    struct stat st;

    stat(deep, &st);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_resolves(deep, "job", three);
    assert_resolves(deep, "job@latest", three);
    assert_resolves(deep, "job@1", one);
    assert_resolves(deep, "other", other);
    assert_resolves(deep, one, one); /* a path */
    assert_not_found(deep, "job@4", "3, 2, 1");
    assert_not_found(deep, "job@01", "3, 2, 1");
    assert_not_found(deep, "job@", "3, 2, 1");
    assert_not_found(deep, "job@-1", "3, 2, 1");
    assert_not_found(deep, "job@1x", "3, 2, 1");
    assert_not_found(deep, "nobody", "job, other");
    assert_not_found(deep, "nobody@1", "job, other");
    assert_not_found(deep, "../etc", "../etc");
    assert_not_found(deep, "/no/where", "/no/where");
    assert_not_found("/no/where", "job", "none");

    /* the newest complete one, and numbers are numbers */
    assert_int_equal(unlink(manifest) | mkdir(seq_dir, 0700), 0);
    assert_resolves(deep, "job", expected_latest);
    assert_resolves(deep, "job@3", three); /* asked for, it's for the reader to refuse */

    /* a directory of the current one, unless the store has a job of that name */
    char *here = fixture_directory(), *local = fixture_path(here, "local"),
         *same = fixture_path(here, "job");
    struct crs_error err;
    fixture_ok(fixture_snapshot(local, NULL, &err), &err, "local");
    fixture_ok(fixture_snapshot(same, NULL, &err), &err, "job");
    assert_int_equal(chdir(here), 0);
    assert_resolves(deep, "local", "local");
    assert_resolves(deep, "./job", "./job");
    assert_resolves(deep, "job", expected_latest);
    assert_int_equal(chdir("/"), 0);
    free(local), free(same);
    fixture_remove(here);
    free(one), free(two), free(three), free(other), free(manifest), free(seq_dir), free(deep);
    fixture_remove(store);
}

static void next_numbers(void **state)
{
    char *store = fixture_directory(), *one = take(store, "job", 1), *path;
    struct store_writer *w;
    struct crs_error err;
    unsigned seq;

    /* one that is being written has its number, too */
    fixture_ok(store_next_path(store, "job", &path, &seq, &err), &err, "next");
    assert_int_equal(seq, 2);
    fixture_ok(store_writer_open(path, NULL, &w, &err), &err, "open");
    free(path);
    fixture_ok(store_next_path(store, "job", &path, &seq, &err), &err, "next");
    assert_int_equal(seq, 3);
    free(path);
    store_writer_free(w);
    fixture_ok(store_next_path(store, "job", &path, &seq, &err), &err, "next");
    assert_int_equal(seq, 2);
    free(path);
    assert_true(store_next_path(store, "../job", &path, &seq, &err) < 0);
    assert_int_equal(err.kind, CRS_USAGE);
    free(one);
    fixture_remove(store);
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* What a failed checkpoint leaves: nothing, but what is somebody's stays. */
static void dropping(void **state)
{
    char *store = fixture_directory(), *job = fixture_path(store, "job"), *path;
    struct crs_error err;
    unsigned seq;

    fixture_ok(store_next_path(store, "job", &path, &seq, &err), &err, "next");
    assert_true(is_there(job));
    int fd = open(job, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    store_drop_path(path); /* a job begins there */
    assert_true(is_there(job));
    close(fd);
    store_drop_path(path);
    assert_false(is_there(job));
    store_drop_path(path);
    free(path);
    free(take(store, "job", 1));
    fixture_ok(store_next_path(store, "job", &path, &seq, &err), &err, "next");
    store_drop_path(path); /* it has a snapshot */
    assert_true(is_there(job));
    free(path);
    free(job);
    fixture_remove(store);
}

static void listing(void **state)
{
    char *store = fixture_directory(), *one = take(store, "b", 1), *two = take(store, "b", 2);
    char *ten = fixture_path(store, "b/10"), *other = take(store, "a", 1);
    char *manifest = fixture_path(one, "manifest.json"), *text;
    struct crs_error err;

    fixture_ok(fixture_snapshot(ten, NULL, &err), &err, "ten");
    unlink(manifest);
    fixture_ok(crs_snapshot_list(store, NULL, &text, &err), &err, "list");
    json_t *list = json_loads(text, 0, NULL);
    free(text);
    static const struct {
        const char *name;
        int seq;
    } expected[] = {{"a", 1}, {"b", 1}, {"b", 2}, {"b", 10}};
    assert_int_equal(json_array_size(list), 4);
    for (size_t i = 0; i < 4; i++) {
        json_t *item = json_array_get(list, i);
        assert_string_equal(json_string_value(json_object_get(item, "name")), expected[i].name);
        assert_int_equal(json_integer_value(json_object_get(item, "seq")), expected[i].seq);
        bool complete = json_is_true(json_object_get(item, "complete"));
        assert_int_equal(complete, i != 1);
        assert_int_equal(json_is_string(json_object_get(item, "reason")), i == 1);
        if (complete) {
            assert_int_equal(json_integer_value(json_object_get(item, "memory_bytes")), 9 * 4096);
            assert_true(json_integer_value(json_object_get(item, "size_bytes")) > 4096);
            json_t *commands = json_object_get(item, "commands");
            assert_string_equal(json_string_value(json_array_get(commands, 0)), "victim");
        }
    }
    json_decref(list);
    fixture_ok(crs_snapshot_list(store, "a", &text, &err), &err, "list");
    assert_non_null(strstr(text, "\"a\""));
    assert_null(strstr(text, "\"b\""));
    free(text);
    fixture_ok(crs_snapshot_list("/no/where", NULL, &text, &err), &err, "list");
    assert_string_equal(text, "[]");
    free(text);
    free(one), free(two), free(ten), free(other), free(manifest);
    fixture_remove(store);
}

static void assert_kept(const char *path, enum crs_kind kind)
{
    struct crs_error err = {0};
    unsigned before, after, snapshots;

    fixture_count(path, &before, &snapshots);
    assert_true(crs_snapshot_remove(path, &err) < 0);
    if (err.kind != kind)
        fail_msg("%s: kind %d: %s", path, err.kind, err.text);
    fixture_count(path, &after, &snapshots);
    assert_int_equal(before, after);
}

static void removing(void **state)
{
    char *dir = fixture_directory(), *one = fixture_path(dir, "one"),
         *link = fixture_path(dir, "link"), *two = fixture_path(dir, "two");
    struct crs_error err = {0};

    fixture_ok(fixture_snapshot(one, NULL, &err), &err, "one");
    fixture_ok(fixture_snapshot(two, NULL, &err), &err, "two");
    fixture_ok(crs_snapshot_remove(one, &err), &err, "remove");
    assert_int_equal(access(one, F_OK), -1);
    assert_true(crs_snapshot_remove(one, &err) < 0);
    assert_int_equal(err.kind, CRS_NOT_FOUND);

    /* by a link: the snapshot goes, not what happens to stand beside the link */
    assert_int_equal(symlink("two", link), 0);
    fixture_ok(crs_snapshot_remove(link, &err), &err, "remove");
    assert_int_equal(access(two, F_OK), -1);

    /* damaged and half-removed ones go, too */
    for (int i = 0; i < 2; i++) {
        char *manifest = fixture_path(one, "manifest.json"),
             *removed = fixture_path(one, "manifest.json.removed");
        fixture_ok(fixture_snapshot(one, NULL, &err), &err, "one");
        if (i == 0)
            fixture_save(manifest, "junk", 4);
        else
            assert_int_equal(rename(manifest, removed), 0);
        fixture_ok(crs_snapshot_remove(one, &err), &err, "remove");
        assert_int_equal(access(one, F_OK), -1);
        free(manifest), free(removed);
    }
    free(one), free(two), free(link);
    fixture_remove(dir);
}

static void not_to_be_removed(void **state)
{
    char *dir = fixture_directory(), *one = fixture_path(dir, "one");
    char *notes = fixture_path(one, "notes.txt"), *sub = fixture_path(one, "sub.pb");
    struct crs_error err = {0};
    struct store_writer *w;

    assert_kept(dir, CRS_NOT_FOUND); /* empty */
    assert_kept("/", CRS_FAILED);
    fixture_ok(fixture_snapshot(one, NULL, &err), &err, "one");
    assert_kept(dir, CRS_FAILED); /* holds a snapshot, is none */
    fixture_save(notes, "x", 1);
    assert_kept(one, CRS_FAILED);
    remove(notes);
    mkdir(sub, 0700);
    assert_kept(one, CRS_FAILED);
    remove(sub);
    fixture_ok(crs_snapshot_remove(one, &err), &err, "remove");

    /* a web page's manifest */
    char *manifest = fixture_path(one, "manifest.json");
    mkdir(one, 0700);
    fixture_save(manifest, "{\"name\": \"page\"}\n", 17);
    assert_kept(one, CRS_NOT_FOUND);
    remove(manifest), remove(one);

    /* one being written */
    fixture_ok(store_writer_open(one, NULL, &w, &err), &err, "open");
    _cleanup_closedir_ DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d));) {
        if (strstr(e->d_name, ".tmp-")) {
            _cleanup_free_ char *busy = fixture_path(dir, e->d_name);
            assert_kept(busy, CRS_BUSY);
        }
    }
    store_writer_free(w);
    free(one), free(notes), free(sub), free(manifest);
    fixture_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root),      cmocka_unit_test(job_names_that_can_be),
        cmocka_unit_test(resolving), cmocka_unit_test(next_numbers),
        cmocka_unit_test(dropping),  cmocka_unit_test(listing),
        cmocka_unit_test(removing),  cmocka_unit_test(not_to_be_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
