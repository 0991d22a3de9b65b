/*
 * test_store_hostile.c - snapshots that somebody made to do harm, with right checksums
 */
#include "store_fixture.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/io.h"
#include "memory.pb-c.h"
#include "process.pb-c.h"
#include "store/manifest.h"
#include "store/message.h"

/* ---- manifests ---- */

static char *sealed(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    struct bytes b = {0};

    assert_non_null(json);
    assert_int_equal(manifest_seal(json, &b, NULL), 0);
    json_decref(json);
    return (char *)b.data;
}

static int parse(const char *text, struct crs_error *err)
{
    char *manifest = sealed(text);
    struct manifest m = {0};

    *err = (struct crs_error){0};
    int r = manifest_parse(manifest, strlen(manifest), &m, err);
    if (r == 0)
        manifest_clear(&m);
    free(manifest);
    return r;
}

#define START "{\"format\": \"opencrs-snapshot\", \"version\": 1, \"requires\": []"
#define HEX   "\"0123456789abcdef0123456789abcdef\""
#define REQUIRES(text)                                                                             \
    "{\"format\": \"opencrs-snapshot\", \"version\": 1, \"requires\": [" text "], \"files\": []}"
#define FILES(text) START ", \"files\": [" text "]}"

static void good_manifests(void **state)
{
    static const char *const good[] = {
        FILES(""),
        FILES("{\"name\": \"a.pb\", \"size_bytes\": 0, \"checksum\": " HEX "}"),
        START ", \"files\": [], \"memory_bytes\": 5, \"new member\": {\"of\": [\"later\"]}}",
        REQUIRES("\"zstd\", \"lz4\""),
    };

    for (size_t i = 0; i < ELEMENTS(good); i++) {
        struct crs_error err;
        fixture_ok(parse(good[i], &err), &err, good[i]);
    }
}

static void damaged_manifests(void **state)
{
    static const char *const wrong[] = {
        "{\"format\": \"opencrs-snapshot\"}",
        "{\"format\": \"other\", \"version\": 1, \"requires\": [], \"files\": []}",
        "{\"format\": 5, \"version\": 1, \"requires\": [], \"files\": []}",
        "{\"format\": \"opencrs-snapshot\", \"version\": 0, \"requires\": [], \"files\": []}",
        "{\"format\": \"opencrs-snapshot\", \"version\": \"1\", \"requires\": [], \"files\": []}",
        "{\"format\": \"opencrs-snapshot\", \"version\": 1, \"files\": []}",
        "{\"format\": \"opencrs-snapshot\", \"version\": 1, \"requires\": [1], \"files\": []}",
        START "}",
        START ", \"files\": {}}",
        START ", \"files\": [], \"memory_bytes\": -1}",
        START ", \"files\": [], \"memory_bytes\": \"x\"}",
        FILES("5"),
        FILES("{\"name\": \"a.pb\", \"size_bytes\": 0}"),
        FILES("{\"name\": \"a.pb\", \"size_bytes\": -1, \"checksum\": " HEX "}"),
        FILES("{\"name\": \"a.pb\", \"size_bytes\": 1.5, \"checksum\": " HEX "}"),
        FILES("{\"name\": \"a.pb\", \"size_bytes\": 1073741825, \"checksum\": " HEX "}"),
        FILES("{\"name\": \"a.pb\", \"size_bytes\": 0, \"checksum\": \"0123\"}"),
        FILES("{\"name\": \"a.pb\", \"size_bytes\": 0, \"checksum\": "
              "\"0123456789ABCDEF0123456789abcdef\"}"),
        FILES("{\"name\": \"a.pb\", \"size_bytes\": 0, \"checksum\": " HEX "}, "
              "{\"name\": \"a.pb\", \"size_bytes\": 0, \"checksum\": " HEX "}"),
        FILES("{\"name\": \"pages.1.pack\", \"size_bytes\": 0}"), /* and no packs.pb */
        FILES("{\"name\": \"pages.1.pack\", \"size_bytes\": 0, \"checksum\": 5}"),
    };

    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        struct crs_error err;
        if (parse(wrong[i], &err) >= 0 || err.kind != CRS_DAMAGED)
            fail_msg("%s: %d: %s", wrong[i], err.kind, err.text);
    }
}

static void names_that_lead_elsewhere(void **state)
{
    static const char *const names[] = {
        "../a.pb",
        "/etc/passwd",
        "a/b.pb",
        ".pb",
        "..",
        "a.pb/",
        "A.pb",
        "manifest.json",
        "pages..pack",
        "pages.0.pack",
        "pages.01.pack",
        "pages.-1.pack",
        "pages.1.packs",
        "pages.1.pack/",
        "a.pb.pb ",
        "pages.9999999999.pack",
        "a b.pb",
        "\\u00e4.pb",
        "pages.1x.pack",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.pb",
    };

    for (size_t i = 0; i < ELEMENTS(names); i++) {
        struct crs_error err;
        _cleanup_free_ char *text = format_string(
            FILES("{\"name\": \"%s\", \"size_bytes\": 0, \"checksum\": " HEX "}"), names[i]);
        if (parse(text, &err) >= 0 || err.kind != CRS_DAMAGED)
            fail_msg("'%s' was taken: %d %s", names[i], err.kind, err.text);
    }
}

static void from_the_future(void **state)
{
    struct crs_error err;

    assert_true(
        parse("{\"format\": \"opencrs-snapshot\", \"version\": 2, \"tool\": \"crs 9\"}", &err) < 0);
    assert_int_equal(err.kind, CRS_CANT_RESTART);
    assert_non_null(strstr(err.text, "crs 9"));
    assert_true(parse("{\"format\": \"opencrs-snapshot\", \"version\": 1, \"requires\": [\"lz4\", "
                      "\"moon-phase\"], \"files\": []}",
                      &err) < 0);
    assert_int_equal(err.kind, CRS_CANT_RESTART);
    assert_non_null(strstr(err.text, "moon-phase"));
}

static void manifests_that_are_no_json(void **state)
{
    static const char *const inner[] = {"", "x", "{", "{\"a\": ", "[1", "{\"a\": 1, \"a\": 2"};

    for (size_t i = 0; i < ELEMENTS(inner); i++) {
        struct manifest m;
        struct crs_error err = {0};
        uint8_t checksum[CHECKSUM_SIZE];
        char digits[CHECKSUM_TEXT_SIZE];
        checksum_of(inner[i], strlen(inner[i]), checksum);
        checksum_text(checksum, digits);
        _cleanup_free_ char *text = format_string("%s,\n\"checksum\": \"%s\"}\n", inner[i], digits);
        assert_true(manifest_parse(text, strlen(text), &m, &err) < 0);
        assert_int_equal(err.kind, CRS_DAMAGED);
    }
}

/* Deep nesting must not eat the stack. */
static void deep_manifest(void **state)
{
    size_t n = 1u << 20;
    char *text = malloc(n + 100);
    struct manifest m;
    struct crs_error err = {0};
    uint8_t checksum[CHECKSUM_SIZE];
    char digits[CHECKSUM_TEXT_SIZE];

    memset(text, '[', n);
    checksum_of(text, n, checksum);
    checksum_text(checksum, digits);
    snprintf(text + n, 100, ",\n\"checksum\": \"%s\"}\n", digits);
    assert_true(manifest_parse(text, strlen(text), &m, &err) < 0);
    assert_int_equal(err.kind, CRS_DAMAGED);
    free(text);
}

/* ---- messages ---- */

#define BYTES(...) ((const uint8_t[]){__VA_ARGS__})

struct wire {
    const char *what;
    const ProtobufCMessageDescriptor *descriptor;
    const uint8_t *data;
    size_t size;
    enum crs_kind kind; /* CRS_OK: it is taken */
};
#define WIRE(what, type, kind, ...)                                                                \
    {                                                                                              \
        what, &crs__##type##__descriptor, BYTES(__VA_ARGS__), sizeof((uint8_t[]){__VA_ARGS__}),    \
            kind                                                                                   \
    }

static void messages(void **state)
{
    const struct wire cases[] = {
        WIRE("a run", run, CRS_OK, 0x08, 1, 0x10, 2),
        WIRE("a field number 999", run, CRS_CANT_RESTART, 0xb8, 0x3e, 1),
        WIRE("a field number 4", run, CRS_CANT_RESTART, 0x20, 1),
        WIRE("a field number 1000", run, CRS_OK, 0xc0, 0x3e, 1),
        WIRE("a field number 1000 with bytes", run, CRS_OK, 0xc2, 0x3e, 2, 'a', 'b'),
        WIRE("bytes longer than the rest", run, CRS_DAMAGED, 0xc2, 0x3e, 3, 'a', 'b'),
        WIRE("a field number 0", run, CRS_DAMAGED, 0x00, 1),
        WIRE("a group", run, CRS_DAMAGED, 0xc3, 0x3e),
        WIRE("twice the same", run, CRS_DAMAGED, 0x08, 1, 0x08, 1),
        WIRE("the wrong type", run, CRS_DAMAGED, 0x0a, 1, 1),
        WIRE("a number cut short", run, CRS_DAMAGED, 0x08, 0x80),
        WIRE("a number too long", run, CRS_DAMAGED, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
             0xff, 0xff, 0xff, 1),
        WIRE("65 bits", run, CRS_DAMAGED, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
             0xff, 2),
        WIRE("33 bits for a uint32", chunk, CRS_DAMAGED, 0x08, 0xff, 0xff, 0xff, 0xff, 0x1f),
        WIRE("an unknown codec", chunk, CRS_CANT_RESTART, 0x28, 7),
        WIRE("a negative codec", chunk, CRS_CANT_RESTART, 0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
             0xff, 0xff, 0xff, 1),
        WIRE("a string with a zero", process, CRS_DAMAGED, 0x2a, 3, 'a', 0, 'b'),
        WIRE("a string", process, CRS_OK, 0x2a, 3, 'a', 0xff, 'b'),
        WIRE("a bool of 2", process, CRS_DAMAGED, 0x58, 2),
        WIRE("a message longer than its holder", tree, CRS_DAMAGED, 0x0a, 4, 0x2a, 5, 'a', 'b'),
        WIRE("unknown, deep inside", tree, CRS_CANT_RESTART, 0x0a, 4, 0x42, 2, 0x78, 1),
        WIRE("packed offsets", pack, CRS_OK, 0x1a, 3, 1, 2, 3),
        WIRE("offsets one by one", pack, CRS_OK, 0x18, 1, 0x18, 2),
        WIRE("packed, cut short", pack, CRS_DAMAGED, 0x1a, 2, 1, 0x80),
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        struct crs_error err = {0};
        ProtobufCMessage *m = NULL;
        int r = store_unpack(cases[i].descriptor, cases[i].data, cases[i].size, &m, &err);
        if ((r == 0) != (cases[i].kind == CRS_OK) || err.kind != cases[i].kind)
            fail_msg("%s: %d, kind %d: %s", cases[i].what, r, err.kind, err.text);
        if (r == 0)
            protobuf_c_message_free_unpacked(m, NULL);
    }
}

/* 32 MiB of empty messages would be gigabytes of structs. */
static void bomb(void **state)
{
    size_t size = 32u << 20;
    uint8_t *data = malloc(size);
    ProtobufCMessage *m = NULL;
    struct crs_error err = {0};

    for (size_t i = 0; i < size; i += 2) {
        data[i] = 0x0a; /* Tree.processes, */
        data[i + 1] = 0;
    }
    assert_true(store_unpack(&crs__tree__descriptor, data, size, &m, &err) < 0);
    assert_int_equal(err.kind, CRS_DAMAGED);
    assert_non_null(strstr(err.text, "processes"));
    free(data);
}

/* ---- chunks ---- */

static uint64_t one_pack(void *arg, uint32_t number)
{
    return number == 1 ? 100 * STORE_PAGE_SIZE : 0;
}

static int check(Crs__Chunk *a, Crs__Chunk *b)
{
    Crs__AddressSpace space = CRS__ADDRESS_SPACE__INIT;
    Crs__Chunk *chunks[] = {a, b};
    struct crs_error err = {0};

    space.chunks = chunks;
    space.n_chunks = b ? 2 : 1;
    int r = message_check_chunks(&space.base, one_pack, NULL, &err);
    assert_true((r == 0) == (err.kind == CRS_OK));
    assert_true(r == 0 || err.kind == CRS_DAMAGED);
    return r;
}

static void chunks(void **state)
{
    uint8_t checksum[CHECKSUM_SIZE] = {0};
    Crs__Run r1 = CRS__RUN__INIT, r2 = CRS__RUN__INIT, r3 = CRS__RUN__INIT;
    Crs__Run *runs[] = {&r1, &r2}, *other_runs[] = {&r3};
    Crs__Chunk good = CRS__CHUNK__INIT, bad, other;

    r1.first = 10, r1.count = 2, r2.first = 20, r2.count = 1, r3.first = 12, r3.count = 3;
    good.pack = 1;
    good.offset = STORE_PAGE_SIZE;
    good.raw_bytes = good.stored_bytes = 3 * STORE_PAGE_SIZE;
    good.checksum = (ProtobufCBinaryData){sizeof(checksum), checksum};
    good.runs = runs;
    good.n_runs = 2;
    other = good;
    other.runs = other_runs;
    other.n_runs = 1;
    assert_int_equal(check(&good, &other), 0);
    assert_int_equal(check(&other, &good), 0); /* order doesn't matter */

#define REFUSED(change)                                                                            \
    do {                                                                                           \
        bad = good;                                                                                \
        change;                                                                                    \
        if (check(&bad, NULL) == 0)                                                                \
            fail_msg("taken: %s", #change);                                                        \
    } while (0)
    REFUSED(bad.pack = 0);
    REFUSED(bad.pack = 2);
    REFUSED(bad.offset = 1);
    REFUSED(bad.offset = 98 * STORE_PAGE_SIZE);
    REFUSED(bad.offset = UINT64_MAX & ~(uint64_t)(STORE_PAGE_SIZE - 1));
    REFUSED(bad.raw_bytes = 0);
    REFUSED(bad.raw_bytes = 100);
    REFUSED(bad.raw_bytes = 2 * STORE_PAGE_SIZE);
    REFUSED(bad.raw_bytes = 4 * STORE_PAGE_SIZE);
    REFUSED(bad.raw_bytes = 2 * STORE_CHUNK_SIZE);
    REFUSED(bad.stored_bytes = 0);
    REFUSED(bad.stored_bytes = 2 * STORE_PAGE_SIZE);
    REFUSED(bad.stored_bytes = 4 * STORE_PAGE_SIZE);
    REFUSED(bad.checksum.len = 15);
    REFUSED(bad.n_runs = 0);
    REFUSED(bad.n_runs = 1);

    r3.first = 11; /* page 11 twice */
    assert_true(check(&good, &other) < 0);
    assert_true(check(&other, &good) < 0);
    r3.dropped = true; /* but of no use there */
    assert_int_equal(check(&good, &other), 0);
    assert_int_equal(check(&other, &good), 0);
    r3.dropped = false;
    r3.first = 9;
    assert_true(check(&good, &other) < 0);
    r3.first = 1ull << 52;
    assert_true(check(&good, &other) < 0);
    r3.first = (1ull << 52) - 1; /* begins within, ends without */
    assert_true(check(&good, &other) < 0);
    r3.first = UINT64_MAX - 1; /* and one that would wrap */
    assert_true(check(&good, &other) < 0);
    r3.first = 12;
    r3.count = UINT64_MAX;
    assert_true(check(&good, &other) < 0);
}

static void contents(void **state)
{
    Crs__Content content = CRS__CONTENT__INIT;
    uint8_t data[100] = {1};

    content.size = 100;
    content.inline_data = (ProtobufCBinaryData){100, data};
    assert_int_equal(message_check_chunks(&content.base, NULL, NULL, NULL), 0);
    content.size = 99;
    assert_true(message_check_chunks(&content.base, NULL, NULL, NULL) < 0);
    content.size = (1ull << 53) + 1;
    assert_true(message_check_chunks(&content.base, NULL, NULL, NULL) < 0);
}

/* What a chunk holds may be made up as well: nothing is written behind its end. */
static void decompression(void **state)
{
    static const char *const codecs[] = {"lz4", "zstd"};
    uint8_t *raw = aligned_alloc(STORE_PAGE_SIZE, STORE_CHUNK_SIZE + STORE_PAGE_SIZE);

    for (size_t c = 0; c < ELEMENTS(codecs); c++) {
        char *dir = fixture_directory(), *path = fixture_path(dir, "one");
        struct store_writer *w;
        struct store_reader *r;
        struct crs_error err;
        fixture_ok(store_writer_open(path, codecs[c], &w, &err), &err, "open");
        Crs__Chunk *chunk = fixture_chunk(w, 0, 64, FILL_ZERO, 0);
        fixture_ok(store_writer_publish(w, json_object(), NULL, &err), &err, "publish");
        store_writer_free(w);
        fixture_ok(store_reader_open(path, &r, &err), &err, "reader");
        for (unsigned pages = 1; pages < 128; pages++) {
            chunk->raw_bytes = pages * STORE_PAGE_SIZE;
            chunk->runs[0]->count = pages;
            memset(raw, 0xaa, STORE_CHUNK_SIZE);
            int x = store_read_chunk(r, chunk, raw, &err);
            assert_int_equal(x, pages == 64 ? 0 : -EBADMSG);
            assert_int_equal(raw[pages * STORE_PAGE_SIZE], 0xaa);
        }
        crs__chunk__free_unpacked(chunk, NULL);
        store_reader_free(r);
        free(path);
        fixture_remove(dir);
    }
    free(raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_manifests),
        cmocka_unit_test(damaged_manifests),
        cmocka_unit_test(names_that_lead_elsewhere),
        cmocka_unit_test(from_the_future),
        cmocka_unit_test(manifests_that_are_no_json),
        cmocka_unit_test(deep_manifest),
        cmocka_unit_test(messages),
        cmocka_unit_test(bomb),
        cmocka_unit_test(chunks),
        cmocka_unit_test(contents),
        cmocka_unit_test(decompression),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
