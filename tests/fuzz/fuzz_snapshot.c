/*
 * fuzz_snapshot.c - a small valid snapshot, mutated again and again, read each time
 *
 *     fuzz_snapshot [SEED [SECONDS]]
 *
 * Half of the mutations get their lengths and checksums put right again, so that what lies behind
 * the checksums is reached: the parsers of the manifest, of the messages and of chunks, the
 * decompressors, the headers of a stream, and what crs show says of each kind. Reading must
 * succeed, or fail with a class that fits; a crash or a sanitizer's report is what is looked for,
 * and leaves the snapshot behind in the directory that was named.
 */
#include "store_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/kobj.h"
#include "memory.pb-c.h"
#include "store/job.h"
#include "store/layout.h"
#include "store/manifest.h"
#include "store/stream.h"
#include "store/temporary.h"

static const char *const files[] = {"manifest.json", "tree.pb",  "files.pb",
                                    "memory.pb",     "packs.pb", "pages.1.pack"};

struct fuzz {
    uint64_t random;
    char *dir, *path, *stream_path;
    struct bytes original[ELEMENTS(files)], stream;
    json_t *manifest; /* without its checksum */
    unsigned long n_runs, n_taken;
};

static uint64_t draw(struct fuzz *f, uint64_t below)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return below ? (f->random >> 11) % below : 0;
}

/* ---- mutations ---- */

static void mutate_byte(struct fuzz *f, struct bytes *b)
{
    static const uint8_t interesting[] = {0, 1, 0x7f, 0x80, 0xff, '"', '{', '[', '9', '-'};
    size_t at = draw(f, b->size);

    if (draw(f, 2))
        b->data[at] ^= 1 << draw(f, 8);
    else
        b->data[at] = interesting[draw(f, sizeof(interesting))];
}

static void mutate_cut(struct fuzz *f, struct bytes *b)
{
    size_t at = draw(f, b->size), n = draw(f, 16) + 1;

    if (n > b->size - at)
        n = b->size - at;
    memmove(b->data + at, b->data + at + n, b->size - at - n);
    b->size -= n;
}

static void mutate_copy(struct fuzz *f, struct bytes *b, size_t room)
{
    size_t from = draw(f, b->size), to = draw(f, b->size + 1), n = draw(f, 32) + 1;
    uint8_t part[32];

    if (n > b->size - from)
        n = b->size - from;
    if (b->size + n > room)
        return;
    memcpy(part, b->data + from, n);
    memmove(b->data + to + n, b->data + to, b->size - to);
    memcpy(b->data + to, part, n);
    b->size += n;
}

static void mutate_number(struct fuzz *f, struct bytes *b)
{
    /* the longest varint there is, over what stands there */
    size_t at = draw(f, b->size), n = draw(f, 10);

    for (size_t i = 0; i < n && at + i < b->size; i++)
        b->data[at + i] |= 0x80;
}

static struct bytes mutated(struct fuzz *f, const struct bytes *original)
{
    size_t room = original->size + 1024;
    struct bytes b = {malloc(room), original->size};

    memcpy(b.data, original->data, b.size);
    for (uint64_t n = draw(f, 6) + 1; n > 0 && b.size > 0; n--) {
        switch (draw(f, 6)) {
        case 0:
            mutate_cut(f, &b);
            break;
        case 1:
            mutate_copy(f, &b, room);
            break;
        case 2:
            mutate_number(f, &b);
            break;
        case 3:
            if (draw(f, 8) == 0)
                b.size = draw(f, b.size);
            break;
        default:
            mutate_byte(f, &b);
        }
    }
    return b;
}

/* ---- lengths and checksums put right ---- */

static void write_file(const struct fuzz *f, const char *name, const void *data, size_t size)
{
    char *path = fixture_path(f->path, name);

    fixture_save(path, data, size);
    free(path);
}

/* The manifest with the right length and checksum of a file. */
static void reseal_file(struct fuzz *f, const char *name, const struct bytes *b)
{
    json_t *manifest = json_deep_copy(f->manifest), *item;
    uint8_t checksum[CHECKSUM_SIZE];
    char digits[CHECKSUM_TEXT_SIZE];
    struct bytes text = {0};
    size_t i;

    checksum_of(b->data, b->size, checksum);
    checksum_text(checksum, digits);
    json_array_foreach(json_object_get(manifest, "files"), i, item)
    {
        if (strcmp(json_string_value(json_object_get(item, "name")), name) != 0)
            continue;
        json_object_set_new(item, "size_bytes", json_integer(b->size));
        if (json_object_get(item, "checksum"))
            json_object_set_new(item, "checksum", json_string(digits));
    }
    manifest_seal(manifest, &text, NULL);
    write_file(f, "manifest.json", text.data, text.size);
    bytes_clear(&text);
    json_decref(manifest);
}

/* The right tail behind whatever the manifest has become. */
static void reseal_manifest(struct bytes *b)
{
    static const size_t tail = sizeof(",\n\"checksum\": \"\"}\n") - 1 + 2 * CHECKSUM_SIZE;
    uint8_t checksum[CHECKSUM_SIZE];
    char digits[CHECKSUM_TEXT_SIZE];

    if (b->size < tail)
        return;
    checksum_of(b->data, b->size - tail, checksum);
    checksum_text(checksum, digits);
    b->size -= tail; /* room: the tail has always the same length */
    b->size += snprintf((char *)b->data + b->size, tail + 1, ",\n\"checksum\": \"%s\"}\n", digits);
}

/* ---- reading ---- */

static void must_fit(const struct fuzz *f, int r, const struct crs_error *err)
{
    if (r == 0 || err->kind == CRS_DAMAGED || err->kind == CRS_CANT_RESTART)
        return;
    fprintf(stderr, "run %lu: %d, kind %d: %s\n", f->n_runs, r, err->kind, err->text);
    abort();
}

/* Decompress what stands in the pack now, as if that were right. */
static void read_chunk_anyway(struct fuzz *f, struct store_reader *reader, Crs__Chunk *chunk,
                              const struct bytes *pack)
{
    static uint8_t raw[STORE_CHUNK_SIZE];
    struct crs_error err = {0};

    if (chunk->offset > pack->size || pack->size - chunk->offset < chunk->stored_bytes)
        return;
    checksum_of(pack->data + chunk->offset, chunk->stored_bytes, chunk->checksum.data);
    must_fit(f, store_read_chunk(reader, chunk, raw, &err), &err);
}

static void read_pack_anyway(struct fuzz *f, const struct bytes *pack)
{
    _cleanup_(cleanup_store_reader) struct store_reader *reader = NULL;
    Crs__Memory *memory;
    struct crs_error err = {0};

    int r = store_reader_open(f->path, &reader, &err);
    if (r == 0)
        r = store_get_record(reader, "memory", &crs__memory__descriptor,
                             (ProtobufCMessage **)&memory, &err);
    must_fit(f, r, &err);
    if (r < 0)
        return;
    for (size_t i = 0; i < memory->spaces[0]->n_chunks; i++)
        read_chunk_anyway(f, reader, memory->spaces[0]->chunks[i], pack);
    crs__memory__free_unpacked(memory, NULL);
}

static void describe_snapshot(struct fuzz *f)
{
    struct crs_snapshot *snapshot = NULL;
    struct crs_error err = {0};
    char *text = NULL;

    int r = crs_snapshot_open(f->path, &snapshot, &err);
    if (r == 0)
        r = crs_snapshot_describe(snapshot, &text, &err);
    must_fit(f, r, &err);
    crs_snapshot_free(snapshot);
    free(text);
}

static void run_snapshot(struct fuzz *f)
{
    size_t which = draw(f, ELEMENTS(files));
    bool reseal = draw(f, 4) != 0;
    struct bytes b = mutated(f, &f->original[which]);
    struct crs_error err = {0};

    if (which == 0 && reseal)
        reseal_manifest(&b);
    write_file(f, files[which], b.data, b.size);
    if (which > 0 && reseal)
        reseal_file(f, files[which], &b);
    int r = fixture_read(f->path, &err);
    must_fit(f, r, &err);
    f->n_taken += r == 0;
    if (which > 0)
        describe_snapshot(f);
    if (reseal && layout_is_pack(files[which], NULL))
        read_pack_anyway(f, &b);
    write_file(f, files[which], f->original[which].data, f->original[which].size);
    if (which > 0 && reseal)
        write_file(f, files[0], f->original[0].data, f->original[0].size);
    free(b.data);
}

/* ---- streams ---- */

/* Whole blocks gone, twice, or in another order: what a header says of itself stays right. */
static void mutate_blocks(struct fuzz *f, struct bytes *b, size_t room)
{
    size_t n_blocks = b->size / STREAM_BLOCK, from = draw(f, n_blocks) * STREAM_BLOCK,
           to = draw(f, n_blocks) * STREAM_BLOCK, n = (draw(f, 4) + 1) * STREAM_BLOCK;

    if (n > b->size - from)
        n = b->size - from;
    switch (draw(f, 3)) {
    case 0:
        memmove(b->data + from, b->data + from + n, b->size - from - n);
        b->size -= n;
        break;
    case 1:
        if (b->size + n > room)
            break;
        memmove(b->data + from + n, b->data + from, b->size - from);
        b->size += n;
        break;
    default:
        memmove(b->data + to, b->data + from, n < b->size - to ? n : b->size - to);
    }
}

/* The right checksum in each header, whatever it has become. */
static void reseal_headers(struct bytes *b)
{
    for (size_t at = 0; at + STREAM_BLOCK <= b->size; at += STREAM_BLOCK)
        if (memcmp(b->data + at, "section\n", 8) == 0)
            checksum_of(b->data + at, 112, b->data + at + 112);
}

static void mutate_headers(struct fuzz *f, struct bytes *b)
{
    for (uint64_t n = draw(f, 3) + 1; n > 0; n--) {
        size_t at = draw(f, b->size / STREAM_BLOCK) * STREAM_BLOCK;
        if (memcmp(b->data + at, "section\n", 8) == 0)
            b->data[at + 8 + draw(f, 120)] ^= 1 << draw(f, 8);
    }
}

/* As much as fits into a pipe comes from there. */
static int read_stream(struct fuzz *f, const struct bytes *b, struct crs_error *err)
{
    _cleanup_(cleanup_store_reader) struct store_reader *reader = NULL;
    int fds[2], r;

    fixture_save(f->stream_path, b->data, b->size);
    if (draw(f, 4) > 0)
        return fixture_read(f->stream_path, err);
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        abort();
    fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
    r = write_full(fds[1], b->data, b->size);
    close(fds[1]);
    if (r == 0)
        r = store_reader_open_fd(fds[0], "pipe", &reader, err);
    else
        r = fixture_read(f->stream_path, err);
    close(fds[0]);
    return reader ? fixture_read_opened(reader, err) : r;
}

static void run_stream(struct fuzz *f)
{
    uint64_t how = draw(f, 4);
    struct crs_error err = {0};
    struct bytes b;

    if (how == 0) {
        b = mutated(f, &f->stream);
    } else {
        size_t room = f->stream.size + 8 * STREAM_BLOCK;
        b = (struct bytes){malloc(room), f->stream.size};
        memcpy(b.data, f->stream.data, b.size);
        if (how == 1)
            mutate_blocks(f, &b, room);
        else
            mutate_headers(f, &b);
        reseal_headers(&b);
    }
    /* from a pipe nothing is taken that comes behind it */
    bool same = b.size >= f->stream.size && memcmp(b.data, f->stream.data, f->stream.size) == 0;
    int r = read_stream(f, &b, &err);
    must_fit(f, r, &err);
    if (r == 0 && !same) {
        fprintf(stderr, "run %lu: a stream with changed bytes was taken\n", f->n_runs);
        abort();
    }
    free(b.data);
}

/* Names of any kind; none may lead out of the store. */
static void run_names(struct fuzz *f)
{
    static const char letters[] = "ab1.09-_@/~ \n\xc3%$tmp";
    char name[40], final[NAME_MAX + 1], *path = NULL;
    struct crs_error err = {0};
    size_t n = draw(f, sizeof(name));

    for (size_t i = 0; i < n; i++)
        name[i] = letters[draw(f, sizeof(letters) - 1)];
    name[n] = 0;
    temporary_is_name(name, final);
    job_parse_seq(name);
    layout_is_ours(name);
    if (store_check_name(name, NULL) == 0 && (strchr(name, '/') || name[0] == '.'))
        abort();
    if (strchr(name, '/'))
        return;
    if (store_resolve(f->dir, name, &path, &err) == 0 || *name == 0)
        free(path);
    else if (err.kind != CRS_NOT_FOUND)
        must_fit(f, -1, &err);
}

/* Something like a message: small field numbers, lengths that mostly fit. */
static size_t make_payload(struct fuzz *f, uint8_t *data, size_t room)
{
    size_t n = 0, wanted = draw(f, room);

    while (n + 12 < wanted) {
        unsigned type = draw(f, 4) == 0 ? draw(f, 8) : draw(f, 2) * 2;
        data[n++] = (draw(f, 12) + 1) << 3 | type;
        if (type == 2)
            data[n++] = draw(f, 10);
        for (size_t i = draw(f, 10); i > 0; i--)
            data[n++] = draw(f, 3) ? draw(f, 128) : draw(f, 256);
    }
    return n;
}

static void check_words(const char *words, size_t size)
{
    if (!memchr(words, 0, size))
        abort();
}

/* What each kind says of a payload: `crs show` is for snapshots from anywhere. */
static void run_describe(struct fuzz *f)
{
    uint8_t data[200];
    char words[64];
    struct bytes payload = {data, make_payload(f, data, sizeof(data))};
    Crs__OpenFile record = CRS__OPEN_FILE__INIT;

    record.payload = (ProtobufCBinaryData){payload.size, payload.data};
    record.flags = draw(f, UINT32_MAX);
    record.position = draw(f, UINT64_MAX);
#define DESCRIBE(table, what)                                                                      \
    for (size_t i = 0; (table)[i]; i++) {                                                          \
        words[0] = 0;                                                                              \
        if ((table)[i]->describe && (table)[i]->describe(what, words, sizeof(words)) >= 0)         \
            check_words(words, sizeof(words));                                                     \
    }
    DESCRIBE(kobj_file_kinds, &record);
    DESCRIBE(kobj_process_kinds, &payload);
    DESCRIBE(kobj_thread_kinds, &payload);
}

static void begin(struct fuzz *f)
{
    struct crs_error err;

    f->dir = fixture_directory();
    f->path = fixture_path(f->dir, "one");
    fixture_ok(fixture_snapshot(f->path, draw(f, 2) ? "lz4" : "zstd", &err), &err, "snapshot");
    for (size_t i = 0; i < ELEMENTS(files); i++) {
        char *path = fixture_path(f->path, files[i]);
        f->original[i].data = fixture_load(path, &f->original[i].size);
        free(path);
    }
    f->stream_path = fixture_path(f->dir, "stream");
    fixture_ok(fixture_stream(f->stream_path, draw(f, 2) ? "lz4" : "none", &err), &err, "stream");
    f->stream.data = fixture_load(f->stream_path, &f->stream.size);
    f->manifest = json_loadb((char *)f->original[0].data, f->original[0].size, 0, NULL);
    json_object_del(f->manifest, "checksum");
    printf("snapshot in %s\n", f->path);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    uint64_t seconds = argc > 2 ? strtoull(argv[2], NULL, 0) : 5;
    struct fuzz f = {.random = seed * 0x9e3779b97f4a7c15u + 1};
    uint64_t end;

    begin(&f);
    for (end = now_us() + seconds * 1000000; now_us() < end; f.n_runs++) {
        run_snapshot(&f);
        run_stream(&f);
        for (int i = 0; i < 20; i++) {
            run_names(&f);
            run_describe(&f);
        }
    }
    printf("%lu mutations, %lu of them taken\n", f.n_runs, f.n_taken);
    for (size_t i = 0; i < ELEMENTS(files); i++)
        bytes_clear(&f.original[i]);
    bytes_clear(&f.stream);
    json_decref(f.manifest);
    free(f.stream_path);
    free(f.path);
    fixture_remove(f.dir);
    return f.n_runs > 0 ? 0 : 1;
}
