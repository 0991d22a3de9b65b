/* test_store_roundtrip.c - what is put into a snapshot comes out of it */
#include "store_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <dirent.h>

#include "base/io.h"
#include "memory.pb-c.h"

static const char *const codecs[] = {NULL,   "auto",   "none",    "lz4",
                                     "zstd", "zstd:1", "zstd:19", "zstd:-5"};

struct put {
    Crs__Chunk *chunk;
    enum fill fill;
    size_t pages;
    uint64_t seed;
};

static void check_put(struct store_reader *r, const struct put *p, uint8_t *raw, uint8_t *expected)
{
    struct crs_error err;

    memset(raw, 0xaa, STORE_CHUNK_SIZE);
    fixture_fill(expected, p->pages * STORE_PAGE_SIZE, p->fill, p->seed);
    fixture_ok(store_read_chunk(r, p->chunk, raw, &err), &err, "read");
    assert_memory_equal(raw, expected, p->pages * STORE_PAGE_SIZE);
    fixture_ok(store_check_chunk(r, p->chunk, &err), &err, "check");
}

static void every_codec(void **state)
{
    static const size_t sizes[] = {1, 3, 16, STORE_CHUNK_PAGES};
    uint8_t *raw = malloc(STORE_CHUNK_SIZE), *expected = malloc(STORE_CHUNK_SIZE);

    for (size_t c = 0; c < ELEMENTS(codecs); c++) {
        char *dir = fixture_directory(), *path = fixture_path(dir, "one");
        struct put puts[4 * ELEMENTS(sizes)];
        struct store_writer *w;
        struct store_reader *r;
        struct crs_error err;
        uint64_t raw_bytes, stored_bytes, size;

        fixture_ok(store_writer_open(path, codecs[c], &w, &err), &err, "open");
        for (size_t i = 0; i < ELEMENTS(puts); i++) {
            puts[i] = (struct put){NULL, i % 4, sizes[i / 4], i};
            puts[i].chunk = fixture_chunk(w, i * 1000, puts[i].pages, puts[i].fill, puts[i].seed);
            assert_non_null(puts[i].chunk);
            if (puts[i].fill == FILL_RANDOM) {
                assert_int_equal(puts[i].chunk->codec, CRS__CODEC__CODEC_NONE);
                assert_int_equal(puts[i].chunk->offset % STORE_PAGE_SIZE, 0);
            } else if (c > 2) {
                assert_true(puts[i].chunk->stored_bytes < puts[i].chunk->raw_bytes * 95 / 100);
            }
        }
        store_writer_sizes(w, &raw_bytes, &stored_bytes);
        assert_int_equal(raw_bytes, 4 * (1 + 3 + 16 + STORE_CHUNK_PAGES) * STORE_PAGE_SIZE);
        /* the first two have no reason to compress so little */
        assert_true(c <= 2 ? stored_bytes == raw_bytes : stored_bytes < raw_bytes);
        fixture_ok(store_writer_publish(w, fixture_info(), &size, &err), &err, "publish");
        assert_true(size > stored_bytes);
        store_writer_free(w);

        fixture_ok(store_reader_open(path, &r, &err), &err, "reader");
        fixture_ok(store_verify(r, NULL, NULL, &err), &err, "verify");
        for (size_t i = 0; i < ELEMENTS(puts); i++) {
            check_put(r, &puts[i], raw, expected);
            crs__chunk__free_unpacked(puts[i].chunk, NULL);
        }
        store_reader_free(r);
        free(path);
        fixture_remove(dir);
    }
    free(raw);
    free(expected);
}

static void wrong_codecs(void **state)
{
    static const char *const wrong[] = {"",        "gzip",    "zstd:", "zstd:0",
                                        "zstd:20", "zstd:x",  "lz4:1", "zstd:1x",
                                        "zstd:-8", "zstd: 1", "LZ4",   "zstd:+1"};
    char *dir = fixture_directory(), *path = fixture_path(dir, "one");

    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        struct store_writer *w = NULL;
        struct crs_error err = {0};
        assert_int_equal(store_writer_open(path, wrong[i], &w, &err), -EINVAL);
        assert_int_equal(err.kind, CRS_USAGE);
        assert_null(w);
    }
    free(path);
    fixture_remove(dir);
}

/* Whatever the umask: only the owner, and the owner always. */
static void private_whatever_the_umask(void **state)
{
    static const mode_t masks[] = {0, 022, 0777};

    for (size_t i = 0; i < ELEMENTS(masks); i++) {
        char *dir = fixture_directory(), *path = fixture_path(dir, "one");
        struct crs_error err;
        struct stat st;

        mode_t old = umask(masks[i]);
        int r = fixture_snapshot(path, "lz4", &err);
        umask(old);
        fixture_ok(r, &err, "snapshot");
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        DIR *d = opendir(path);
        for (struct dirent *e; (e = readdir(d));) {
            if (e->d_name[0] == '.')
                continue;
            assert_int_equal(fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
            assert_int_equal(st.st_mode & 07777, 0600);
        }
        closedir(d);
        fixture_ok(fixture_read(path, &err), &err, "read");
        free(path);
        fixture_remove(dir);
    }
}

static void manifest_tells(void **state)
{
    char *dir = fixture_directory(), *path = fixture_path(dir, "one");
    struct store_reader *r;
    struct crs_error err;

    fixture_ok(fixture_snapshot(path, "zstd", &err), &err, "snapshot");
    fixture_ok(store_reader_open(path, &r, &err), &err, "open");
    json_t *m = store_reader_manifest(r);
    assert_string_equal(json_string_value(json_object_get(m, "format")), "opencrs-snapshot");
    assert_int_equal(json_integer_value(json_object_get(m, "version")), 1);
    assert_string_equal(json_string_value(json_object_get(m, "host")), "here");
    assert_int_equal(strlen(json_string_value(json_object_get(m, "time"))), 24);
    assert_string_equal(json_string_value(json_array_get(json_object_get(m, "requires"), 0)),
                        "zstd");
    /* tree, files, memory, packs, one pack */
    assert_int_equal(json_array_size(json_object_get(m, "files")), 5);
    assert_int_equal(json_integer_value(json_object_get(m, "memory_bytes")),
                     (1 + 2 + 3 + 3) * STORE_PAGE_SIZE);
    assert_true(store_has_record(r, "tree"));
    assert_false(store_has_record(r, "forest"));
    store_reader_free(r);
    free(path);
    fixture_remove(dir);
}

static void no_memory_at_all(void **state)
{
    char *dir = fixture_directory(), *path = fixture_path(dir, "one/");
    struct store_writer *w;
    struct store_reader *r;
    struct crs_error err;

    fixture_ok(store_writer_open(path, NULL, &w, &err), &err, "open");
    fixture_ok(store_writer_publish(w, json_object(), NULL, &err), &err, "publish");
    store_writer_free(w);
    fixture_ok(store_reader_open(path, &r, &err), &err, "reader");
    fixture_ok(store_verify(r, NULL, NULL, &err), &err, "verify");
    store_reader_free(r);
    free(path);
    fixture_remove(dir);
}

/* ---- what earlier versions wrote ---- */

static void check_golden_memory(struct store_reader *r, const Crs__Memory *memory)
{
    static const enum fill fills[] = {FILL_RANDOM, FILL_TEXT, FILL_HALF};
    uint8_t raw[3 * STORE_PAGE_SIZE], expected[3 * STORE_PAGE_SIZE];
    struct crs_error err;

    assert_int_equal(memory->spaces[0]->n_chunks, 3);
    for (unsigned i = 0; i < 3; i++) {
        const Crs__Chunk *c = memory->spaces[0]->chunks[i];
        assert_int_equal(c->raw_bytes, (i + 1) * STORE_PAGE_SIZE);
        assert_int_equal(c->runs[0]->first, 0x400 + 4 * i);
        fixture_ok(store_read_chunk(r, c, raw, &err), &err, "chunk");
        fixture_fill(expected, c->raw_bytes, fills[i], i);
        assert_memory_equal(raw, expected, c->raw_bytes);
    }
}

static void check_golden_content(struct store_reader *r, const Crs__Content *content)
{
    _cleanup_close_ int fd = memfd_create("content", MFD_CLOEXEC);
    uint8_t expected[100000] = {0}, found[100000];
    struct crs_error err;

    assert_int_equal(content->size, sizeof(expected));
    fixture_fill(expected + 40000, 2 * STORE_PAGE_SIZE, FILL_HALF, 5);
    fixture_ok(store_get_content(r, content, fd, &err), &err, "content");
    assert_int_equal(pread_full(fd, found, sizeof(found), 0), 0);
    assert_memory_equal(found, expected, sizeof(expected));
}

static void golden(void **state)
{
    static const char *const list[] = {"none", "lz4", "zstd"};

    for (size_t i = 0; i < ELEMENTS(list); i++) {
        _cleanup_free_ char *path = format_string(FIXTURES "/golden/version-1-%s", list[i]);
        struct store_reader *r;
        Crs__Memory *memory;
        struct crs_error err;
        fixture_ok(fixture_read(path, &err), &err, path);
        fixture_ok(store_reader_open(path, &r, &err), &err, path);
        fixture_ok(store_get_record(r, "memory", &crs__memory__descriptor,
                                    (ProtobufCMessage **)&memory, &err),
                   &err, "memory");
        check_golden_memory(r, memory);
        check_golden_content(r, memory->objects[0]->content);
        crs__memory__free_unpacked(memory, NULL);
        store_reader_free(r);
    }
}

/* ---- threads ---- */

#define THREADS    4
#define PER_THREAD 40

struct worker {
    pthread_t thread;
    struct store_writer *w;
    struct store_reader *r;
    unsigned number;
    struct put puts[PER_THREAD];
};

static void *put_many(void *arg)
{
    struct worker *me = arg;

    for (unsigned i = 0; i < PER_THREAD; i++) {
        struct put *p = &me->puts[i];
        *p = (struct put){NULL, (i + me->number) % 4, 1 + (i * 37 + me->number) % 256,
                          me->number * 1000 + i};
        p->chunk = fixture_chunk(me->w, p->seed * 300, p->pages, p->fill, p->seed);
    }
    return NULL;
}

static void *get_many(void *arg)
{
    struct worker *me = arg;
    uint8_t *raw = malloc(STORE_CHUNK_SIZE), *expected = malloc(STORE_CHUNK_SIZE);

    for (unsigned i = 0; i < PER_THREAD; i++) {
        struct put *p = &me->puts[i];
        fixture_fill(expected, p->pages * STORE_PAGE_SIZE, p->fill, p->seed);
        if (store_read_chunk(me->r, p->chunk, raw, NULL) < 0 ||
            memcmp(raw, expected, p->pages * STORE_PAGE_SIZE) != 0)
            return me; /* wrong */
    }
    free(raw);
    free(expected);
    return NULL;
}

static void run_all(struct worker *workers, void *(*fn)(void *))
{
    void *wrong;

    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, fn, &workers[i]), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, &wrong), 0);
        assert_null(wrong);
    }
}

static void many_threads(void **state)
{
    static const char *const some[] = {"none", "lz4", "zstd"};

    for (size_t c = 0; c < ELEMENTS(some); c++) {
        char *dir = fixture_directory(), *path = fixture_path(dir, "one");
        struct worker workers[THREADS] = {0};
        struct store_writer *w;
        struct store_reader *r;
        struct crs_error err;

        fixture_ok(store_writer_open(path, some[c], &w, &err), &err, "open");
        for (unsigned i = 0; i < THREADS; i++)
            workers[i] = (struct worker){.w = w, .number = i};
        run_all(workers, put_many);
        fixture_ok(store_writer_publish(w, json_object(), NULL, &err), &err, "publish");
        store_writer_free(w);
        fixture_ok(store_reader_open(path, &r, &err), &err, "reader");
        fixture_ok(store_verify(r, NULL, NULL, &err), &err, "verify");
        for (unsigned i = 0; i < THREADS; i++)
            workers[i].r = r;
        run_all(workers, get_many);
        store_reader_free(r);
        for (unsigned i = 0; i < THREADS; i++) {
            for (unsigned j = 0; j < PER_THREAD; j++)
                crs__chunk__free_unpacked(workers[i].puts[j].chunk, NULL);
        }
        free(path);
        fixture_remove(dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_codec),
        cmocka_unit_test(wrong_codecs),
        cmocka_unit_test(private_whatever_the_umask),
        cmocka_unit_test(manifest_tells),
        cmocka_unit_test(no_memory_at_all),
        cmocka_unit_test(golden),
        cmocka_unit_test(many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
