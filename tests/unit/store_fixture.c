/* store_fixture.c - what the tests of snapshots on disk share */
#include "store_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/io.h"
#include "file.pb-c.h"
#include "memory.pb-c.h"
#include "process.pb-c.h"

char *fixture_directory(void)
{
    const char *base = getenv("TMPDIR");

    /* thousands of files are written and synced: in memory, unless told otherwise */
    if (!base || !*base)
        base = access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";
    char *path = format_string("%s/test-store-XXXXXX", base);

    assert_non_null(path);
    assert_non_null(mkdtemp(path));
    return path;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    remove(path);
    return 0;
}

void fixture_remove(char *directory)
{
    nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(directory);
}

char *fixture_path(const char *directory, const char *name)
{
    char *path = format_string("%s/%s", directory, name);

    assert_non_null(path);
    return path;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void fixture_fill(void *data, size_t size, enum fill fill, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1, *words = data;

    for (size_t i = 0; i < size / 8; i++) {
        uint64_t value = next_random(&state);
        if (fill == FILL_ZERO)
            value = 0;
        else if (fill == FILL_TEXT)
            value = 0x20746e6972700a3bu + (value & 3);
        else if (fill == FILL_HALF && i % 4 < 2)
            value = seed;
        words[i] = value;
    }
}

void fixture_ok(int r, const struct crs_error *err, const char *what)
{
    if (r < 0)
        fail_msg("%s: %d: %s", what, r, err->text);
}

Crs__Chunk *fixture_chunk(struct store_writer *w, uint64_t first, size_t pages, enum fill fill,
                          uint64_t seed)
{
    void *raw = aligned_alloc(STORE_PAGE_SIZE, pages * STORE_PAGE_SIZE);
    Crs__Chunk *chunk = malloc(sizeof(*chunk));
    Crs__Run *run = malloc(sizeof(*run));
    struct crs_error err;

    *chunk = (Crs__Chunk)CRS__CHUNK__INIT;
    *run = (Crs__Run)CRS__RUN__INIT;
    run->first = first;
    run->count = pages;
    chunk->runs = malloc(sizeof(*chunk->runs));
    chunk->runs[0] = run;
    chunk->n_runs = 1;
    fixture_fill(raw, pages * STORE_PAGE_SIZE, fill, seed);
    int r = store_put_chunk(w, raw, pages * STORE_PAGE_SIZE, chunk, &err);
    free(raw);
    if (r < 0) {
        crs__chunk__free_unpacked(chunk, NULL);
        return NULL;
    }
    return chunk;
}

static int put_tree(struct store_writer *w, struct crs_error *err)
{
    Crs__Thread thread = CRS__THREAD__INIT, *threads[] = {&thread};
    Crs__Process process = CRS__PROCESS__INIT, *processes[] = {&process};
    Crs__Tree tree = CRS__TREE__INIT;
    Crs__Attribute attribute = CRS__ATTRIBUTE__INIT, *attributes[] = {&attribute};
    char kind[] = "cwd", command[] = "victim", arch[] = "x86_64";
    uint8_t bytes[40] = "registers, as it were";

    attribute.kind = kind;
    attribute.payload = (ProtobufCBinaryData){sizeof(bytes), bytes};
    thread.tid = 4711;
    thread.arch = arch;
    thread.registers = (ProtobufCBinaryData){sizeof(bytes), bytes};
    process.pid = 4711;
    process.command = command;
    process.threads = threads;
    process.n_threads = 1;
    process.attributes = attributes;
    process.n_attributes = 1;
    tree.processes = processes;
    tree.n_processes = 1;
    tree.realtime_ns = 1234567890123456789u;
    return store_put_record(w, "tree", &tree.base, err);
}

static int put_files(struct store_writer *w, struct crs_error *err)
{
    Crs__OpenFile file = CRS__OPEN_FILE__INIT, *items[] = {&file};
    Crs__Files files = CRS__FILES__INIT;
    char kind[] = "regular", name[] = "/tmp/a \xff file";

    file.id = 1;
    file.kind = kind;
    file.name = name;
    file.position = 77;
    files.files = items;
    files.n_files = 1;
    return store_put_record(w, "files", &files.base, err);
}

static Crs__Content *put_object(struct store_writer *w, struct crs_error *err)
{
    _cleanup_close_ int fd = memfd_create("content", MFD_CLOEXEC);
    Crs__Content *content = NULL;
    uint8_t data[2 * STORE_PAGE_SIZE];

    fixture_fill(data, sizeof(data), FILL_HALF, 5);
    if (fd < 0 || ftruncate(fd, 100000) < 0 || pwrite_full(fd, data, sizeof(data), 40000) < 0)
        return NULL;
    return store_put_content(w, fd, 100000, &content, err) < 0 ? NULL : content;
}

static int put_memory(struct store_writer *w, struct crs_error *err)
{
    static const enum fill fills[] = {FILL_RANDOM, FILL_TEXT, FILL_HALF};
    Crs__Memory *memory = malloc(sizeof(*memory));
    Crs__AddressSpace *space = malloc(sizeof(*space));
    Crs__MemoryObject *object = malloc(sizeof(*object));
    int r = -EIO;

    *memory = (Crs__Memory)CRS__MEMORY__INIT;
    *space = (Crs__AddressSpace)CRS__ADDRESS_SPACE__INIT;
    *object = (Crs__MemoryObject)CRS__MEMORY_OBJECT__INIT;
    memory->spaces = malloc(sizeof(*memory->spaces));
    memory->spaces[0] = space;
    memory->n_spaces = 1;
    memory->objects = malloc(sizeof(*memory->objects));
    memory->objects[0] = object;
    memory->n_objects = 1;
    space->chunks = calloc(3, sizeof(*space->chunks));
    for (unsigned i = 0; i < 3; i++) {
        Crs__Chunk *chunk = fixture_chunk(w, 0x400 + 4 * i, i + 1, fills[i], i);
        if (!chunk)
            goto end;
        space->chunks[space->n_chunks++] = chunk;
    }
    object->content = put_object(w, err);
    if (object->content)
        r = store_put_record(w, "memory", &memory->base, err);
end:
    crs__memory__free_unpacked(memory, NULL);
    return r;
}

int fixture_put(struct store_writer *w, struct crs_error *err)
{
    int r = put_tree(w, err);

    if (r == 0)
        r = put_files(w, err);
    return r == 0 ? put_memory(w, err) : r;
}

json_t *fixture_info(void)
{
    return json_pack("{s:s, s:s, s:[{s:i, s:s}]}", "host", "here", "component", "crs", "processes",
                     "pid", 4711, "command", "victim");
}

int fixture_snapshot(const char *path, const char *compress, struct crs_error *err)
{
    _cleanup_(cleanup_store_writer) struct store_writer *w = NULL;

    int r = store_writer_open(path, compress, &w, err);
    if (r == 0)
        r = fixture_put(w, err);
    return r == 0 ? store_writer_publish(w, fixture_info(), NULL, err) : r;
}

int fixture_stream(const char *path, const char *compress, struct crs_error *err)
{
    _cleanup_(cleanup_store_writer) struct store_writer *w = NULL;

    int r = store_writer_open_file(path, compress, NULL, &w, err);
    if (r == 0)
        r = fixture_put(w, err);
    return r == 0 ? store_writer_publish(w, fixture_info(), NULL, err) : r;
}

static int read_chunks(struct store_reader *r, const Crs__Memory *memory, struct crs_error *err)
{
    _cleanup_free_ uint8_t *raw = malloc(STORE_CHUNK_SIZE);
    int x = 0;

    for (size_t i = 0; i < memory->n_spaces; i++) {
        for (size_t j = 0; j < memory->spaces[i]->n_chunks && x == 0; j++)
            x = store_read_chunk(r, memory->spaces[i]->chunks[j], raw, err);
    }
    for (size_t i = 0; i < memory->n_objects && x == 0; i++) {
        const Crs__Content *content = memory->objects[i]->content;
        _cleanup_close_ int fd = memfd_create("restored", MFD_CLOEXEC);
        if (content && content->size < (1u << 24)) /* a hostile one could be as long as a disk */
            x = store_get_content(r, content, fd, err);
    }
    return x;
}

int fixture_read(const char *path, struct crs_error *err)
{
    _cleanup_(cleanup_store_reader) struct store_reader *reader = NULL;

    int r = store_reader_open(path, &reader, err);
    return r < 0 ? r : fixture_read_opened(reader, err);
}

int fixture_read_opened(struct store_reader *reader, struct crs_error *err)
{
    static const struct {
        const char *name;
        const ProtobufCMessageDescriptor *descriptor;
    } records[] = {{"tree", &crs__tree__descriptor}, {"files", &crs__files__descriptor}};
    ProtobufCMessage *message;

    int r = store_verify(reader, NULL, NULL, err);
    for (size_t i = 0; i < ELEMENTS(records) && r == 0; i++) {
        r = store_get_record(reader, records[i].name, records[i].descriptor, &message, err);
        if (r == 0)
            protobuf_c_message_free_unpacked(message, NULL);
    }
    if (r == 0)
        r = store_get_record(reader, "memory", &crs__memory__descriptor, &message, err);
    if (r < 0)
        return r;
    r = read_chunks(reader, (Crs__Memory *)message, err);
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}

void fixture_count(const char *directory, unsigned *ret_entries, unsigned *ret_snapshots)
{
    _cleanup_closedir_ DIR *dir = opendir(directory);

    assert_non_null(dir);
    *ret_entries = *ret_snapshots = 0;
    for (struct dirent *d; (d = readdir(dir));) {
        _cleanup_(cleanup_store_reader) struct store_reader *reader = NULL;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        _cleanup_free_ char *path = fixture_path(directory, d->d_name);
        *ret_entries += 1;
        *ret_snapshots += store_reader_open(path, &reader, NULL) == 0;
    }
}

void *fixture_load(const char *path, size_t *ret_size)
{
    struct bytes b = {0};

    assert_int_equal(read_file(AT_FDCWD, path, 1u << 30, &b), 0);
    *ret_size = b.size;
    return b.data;
}

void fixture_save(const char *path, const void *data, size_t size)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write_full(fd, data, size), 0);
}
