/*
 * test_store_seal.c - encrypted snapshots: nothing can be read without the key, nothing changed
 * unseen, and what shares packs has the same data key
 */
#include "store_fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "store/checksum.h"
#include "store/reader.h"

#define SECRET "the quick brown fox knows the secret of this process"

static char *directory;

static int set_up(void **state)
{
    static const uint8_t key[SEAL_KEY_BYTES] = "0123456789abcdef0123456789abcde",
                         other[SEAL_KEY_BYTES] = "another one, of the right length";

    directory = fixture_directory();
    char *path = fixture_path(directory, "key"), *wrong = fixture_path(directory, "other");
    char *small = fixture_path(directory, "short");
    fixture_save(path, key, sizeof(key));
    fixture_save(wrong, other, sizeof(other));
    fixture_save(small, key, SEAL_KEY_BYTES - 1);
    free(small);
    free(path);
    free(wrong);
    return 0;
}

static int tear_down(void **state)
{
    seal_use_key_file(NULL, NULL);
    unsetenv("CRS_KEY_FILE");
    fixture_remove(directory);
    return 0;
}

static void use(const char *key)
{
    struct crs_error err = {0};
    _cleanup_free_ char *path = key ? fixture_path(directory, key) : NULL;

    fixture_ok(seal_use_key_file(path, &err), &err, "use a key");
}

/* With SECRET in a record and, on each page, in memory. *ret_linked: bytes of packs of the base. */
static int write_secrets(const char *name, const char *key, const char *compress, const char *base,
                         uint64_t *ret_linked, struct crs_error *err)
{
    _cleanup_(cleanup_store_writer) struct store_writer *w = NULL;
    _cleanup_free_ char *path = fixture_path(directory, name);
    _cleanup_free_ char *key_path = key ? fixture_path(directory, key) : NULL;
    _cleanup_free_ char *base_path = base ? fixture_path(directory, base) : NULL;
    _cleanup_free_ uint8_t *raw = calloc(8, STORE_PAGE_SIZE);
    Crs__Chunk chunk = CRS__CHUNK__INIT;
    struct crs_error reason = {0};

    for (size_t i = 0; i < 8; i++)
        snprintf((char *)raw + i * STORE_PAGE_SIZE, STORE_PAGE_SIZE, "%zu " SECRET, i);
    int r = store_writer_open(path, compress, &w, err);
    if (r == 0 && key)
        r = store_writer_encrypt(w, key_path, err);
    if (r == 0 && base)
        r = store_writer_set_base(w, base_path, &reason, err);
    if (r == 0)
        r = store_put_chunk(w, raw, 8 * STORE_PAGE_SIZE, &chunk, err);
    free(chunk.checksum.data);
    if (r == 0)
        r = fixture_put(w, err);
    if (r == 0)
        r = store_writer_publish(w, fixture_info(), NULL, err);
    if (r == 0 && ret_linked)
        *ret_linked = store_writer_linked_bytes(w);
    return r;
}

static int read_all(const char *name, struct crs_error *err)
{
    _cleanup_free_ char *path = fixture_path(directory, name);

    return fixture_read(path, err);
}

static bool has_secret(const char *name, const char *file)
{
    _cleanup_free_ char *path = fixture_path(directory, name), *whole = fixture_path(path, file);
    size_t size;
    _cleanup_free_ char *data = fixture_load(whole, &size);

    return memmem(data, size, SECRET, strlen(SECRET));
}

static void a_key_opens_it(void **state)
{
    static const char *const codecs[] = {"none", "lz4", "zstd", "auto"};
    struct crs_error err = {0};
    char name[32];

    for (size_t i = 0; i < ELEMENTS(codecs); i++) {
        snprintf(name, sizeof(name), "plain.%s", codecs[i]);
        fixture_ok(write_secrets(name, NULL, codecs[i], NULL, NULL, &err), &err, "write");
        use(NULL);
        fixture_ok(read_all(name, &err), &err, "read what isn't encrypted");
        snprintf(name, sizeof(name), "sealed.%s", codecs[i]);
        fixture_ok(write_secrets(name, "key", codecs[i], NULL, NULL, &err), &err, "write");
        assert_int_equal(read_all(name, &err), -ENOKEY);
        assert_int_equal(err.kind, CRS_NOT_PERMITTED);
        use("other");
        assert_int_equal(read_all(name, &err), -EKEYREJECTED);
        assert_int_equal(err.kind, CRS_NOT_PERMITTED);
        use("key");
        fixture_ok(read_all(name, &err), &err, "read with the key");
        assert_false(has_secret(name, "pages.1.pack"));
    }
    assert_true(has_secret("plain.none", "pages.1.pack"));
}

static void the_environment_names_a_key(void **state)
{
    struct crs_error err = {0};
    _cleanup_free_ char *path = fixture_path(directory, "key"),
                        *missing = fixture_path(directory, "nothing");

    fixture_ok(write_secrets("s", "key", "lz4", NULL, NULL, &err), &err, "write");
    setenv("CRS_KEY_FILE", path, 1);
    fixture_ok(read_all("s", &err), &err, "read");
    setenv("CRS_KEY_FILE", missing, 1);
    assert_int_equal(read_all("s", &err), -ENOENT);
    assert_int_equal(err.kind, CRS_USAGE);
    use("key"); /* goes before it */
    fixture_ok(read_all("s", &err), &err, "read");
}

static void a_short_key_is_none(void **state)
{
    struct crs_error err = {0};

    assert_int_equal(write_secrets("s", "short", "none", NULL, NULL, &err), -EINVAL);
    assert_int_equal(err.kind, CRS_USAGE);
    assert_non_null(strstr(err.text, "31 bytes"));
}

/* The same data key only where one key opens both. */
static void packs_are_shared_under_one_key(void **state)
{
    struct crs_error err = {0};
    uint64_t linked = 0;

    fixture_ok(write_secrets("first", "key", "none", NULL, NULL, &err), &err, "write");
    fixture_ok(write_secrets("next", "key", "none", "first", &linked, &err), &err, "write");
    assert_true(linked > 0);
    fixture_ok(write_secrets("others", "other", "none", "first", &linked, &err), &err, "write");
    assert_int_equal(linked, 0);
    fixture_ok(write_secrets("plain", NULL, "none", "first", &linked, &err), &err, "write");
    assert_int_equal(linked, 0);
    fixture_ok(write_secrets("on plain", "key", "none", "plain", &linked, &err), &err, "write");
    assert_int_equal(linked, 0);
    use("key");
    fixture_ok(read_all("first", &err), &err, "first");
    fixture_ok(read_all("next", &err), &err, "next");
    fixture_ok(read_all("on plain", &err), &err, "on plain");
    assert_false(has_secret("on plain", "pages.1.pack"));
    use("other");
    fixture_ok(read_all("others", &err), &err, "others");
}

/* Whoever changes bytes can mend all checksums, which are no secret: the seal is. */
static void what_is_changed_is_found(void **state)
{
    uint8_t data[100], sealed[sizeof(data) + SEAL_BYTES], out[sizeof(data)];
    struct seal_key key = {"one"}, other_key = {"two"};
    struct seal *seal = NULL, *same = NULL, *other = NULL;
    struct crs_error err = {0};

    memset(data, 'x', sizeof(data));
    fixture_ok(seal_new(&key, &seal, &err), &err, "new");
    fixture_ok(seal_new(&key, &other, &err), &err, "new");
    json_t *described = seal_describe(seal);
    fixture_ok(seal_from(described, "p", &key, &same, &err), &err, "from");
    seal_data(seal, "tree.pb", data, sizeof(data), sealed);
    assert_int_equal(seal_open_data(same, "tree.pb", sealed, sizeof(sealed), out), 0);
    assert_memory_equal(out, data, sizeof(data));
    for (size_t i = 0; i < sizeof(sealed); i++) {
        sealed[i] ^= 1;
        assert_int_equal(seal_open_data(seal, "tree.pb", sealed, sizeof(sealed), out), -EBADMSG);
        sealed[i] ^= 1;
    }
    for (size_t i = 0; i < sizeof(sealed); i++)
        assert_int_equal(seal_open_data(seal, "tree.pb", sealed, i, out), -EBADMSG);
    assert_int_equal(seal_open_data(seal, "files.pb", sealed, sizeof(sealed), out), -EBADMSG);
    assert_int_equal(seal_open_data(seal, NULL, sealed, sizeof(sealed), out), -EBADMSG);
    assert_int_equal(seal_open_data(other, "tree.pb", sealed, sizeof(sealed), out), -EBADMSG);
    /* With the same data key a record is of its snapshot alone, a chunk of both. */
    seal_share(other, seal);
    assert_int_equal(seal_open_data(other, "tree.pb", sealed, sizeof(sealed), out), -EBADMSG);
    seal_data(seal, NULL, data, sizeof(data), sealed);
    assert_int_equal(seal_open_data(other, NULL, sealed, sizeof(sealed), out), 0);
    seal_free(same);
    same = NULL;
    assert_int_equal(seal_from(described, "p", &other_key, &same, &err), -EKEYREJECTED);
    json_object_set_new(described, "algorithm", json_string("rot13"));
    assert_int_equal(seal_from(described, "p", &key, &same, &err), -EPROTONOSUPPORT);
    static const char *const members[] = {"algorithm", "id", "key"};
    for (size_t i = 0; i < ELEMENTS(members); i++) {
        json_t *less = seal_describe(seal);
        json_object_set_new(less, members[i], json_string(i == 0 ? "x" : "0g"));
        json_object_del(less, i == 0 ? members[i] : "");
        assert_int_equal(seal_from(less, "p", &key, &same, &err), -EBADMSG);
        assert_int_equal(err.kind, CRS_DAMAGED);
        json_decref(less);
    }
    json_decref(described);
    seal_free(seal);
    seal_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_opens_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_environment_names_a_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_short_key_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(packs_are_shared_under_one_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_changed_is_found, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
