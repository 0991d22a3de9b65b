/*
 * test_store_stream.c - a snapshot as one sequence of bytes: into files, pipes and sockets, and
 * back
 */
#include "store_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/io.h"
#include "store/stream.h"

static const char *const codecs[] = {"none", "lz4", "zstd"};

/* A stream in a file; its bytes; where its sections begin. */
struct made {
    char *dir, *path;
    uint8_t *data;
    size_t size, sections[64], n_sections;
};

static void find_sections(struct made *m)
{
    for (size_t at = STREAM_BLOCK; at < m->size;) {
        struct stream_section section;
        struct crs_error err = {0};
        fixture_ok(stream_parse_header(m->data + at, &section, &err), &err, "header");
        assert_true(m->n_sections < ELEMENTS(m->sections));
        m->sections[m->n_sections++] = at;
        at += STREAM_BLOCK + stream_padded(section.size_bytes);
        if (at >= m->size)
            assert_string_equal(section.name, "manifest.json");
    }
}

static void make(struct made *m, const char *compress)
{
    struct crs_error err = {0};

    *m = (struct made){.dir = fixture_directory()};
    m->path = fixture_path(m->dir, "one");
    fixture_ok(fixture_stream(m->path, compress, &err), &err, "stream");
    m->data = fixture_load(m->path, &m->size);
    find_sections(m);
}

static void drop(struct made *m)
{
    free(m->data);
    free(m->path);
    fixture_remove(m->dir);
}

/* ---- the same as a directory ---- */

static void same_as_a_directory(void **state)
{
    for (size_t c = 0; c < ELEMENTS(codecs); c++) {
        struct crs_error err = {0};
        struct store_reader *a, *b;
        struct made m;
        make(&m, codecs[c]);
        char *directory = fixture_path(m.dir, "directory");
        fixture_ok(fixture_snapshot(directory, codecs[c], &err), &err, "directory");
        fixture_ok(fixture_read(m.path, &err), &err, "read");
        fixture_ok(store_reader_open(m.path, &a, &err), &err, "stream");
        fixture_ok(store_reader_open(directory, &b, &err), &err, "directory");
        /* names, lengths and checksums; packs may be padded elsewhere, where they are compressed */
        const json_t *files = json_object_get(store_reader_manifest(a), "files"),
                     *others = json_object_get(store_reader_manifest(b), "files");
        if (c == 0)
            assert_true(json_equal(files, others));
        assert_int_equal(json_array_size(files), json_array_size(others));
        for (size_t i = 0; i < json_array_size(files); i++)
            assert_string_equal(
                json_string_value(json_object_get(json_array_get(files, i), "name")),
                json_string_value(json_object_get(json_array_get(others, i), "name")));
        store_reader_free(a);
        store_reader_free(b);
        free(directory);
        drop(&m);
    }
}

/* A file appears whole or not at all, and replaces nothing. */
static void appears_at_once(void **state)
{
    char *dir = fixture_directory(), *path = fixture_path(dir, "one");
    struct store_writer *w;
    struct crs_error err = {0};
    unsigned entries, snapshots;
    struct stat st;

    fixture_ok(store_writer_open_file(path, NULL, NULL, &w, &err), &err, "open");
    fixture_ok(fixture_put(w, &err), &err, "put");
    assert_true(stat(path, &st) < 0);
    assert_false(store_writer_has_begun(w)); /* nothing that couldn't be taken back */
    store_writer_free(w);
    fixture_count(dir, &entries, &snapshots);
    assert_int_equal(entries, 0);
    fixture_ok(fixture_stream(path, NULL, &err), &err, "stream");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
    fixture_count(dir, &entries, &snapshots);
    assert_int_equal(entries, 1);
    assert_int_equal(snapshots, 1);
    assert_int_equal(fixture_stream(path, NULL, &err), -EEXIST);
    assert_int_equal(fixture_snapshot(path, NULL, &err), -EEXIST);
    free(path);
    fixture_remove(dir);
}

/* ---- pipes and sockets ---- */

struct feeding {
    int fd;
    const void *data;
    size_t size;
    pthread_t thread;
};

static void *feed(void *arg)
{
    struct feeding *f = arg;

    write_full(f->fd, f->data, f->size); /* a reader that has seen enough may be gone */
    close(f->fd);
    return NULL;
}

/* Give the bytes to a pipe or a socket; returns the end to be read. */
static int begin_feeding(struct feeding *f, bool socket, const void *data, size_t size)
{
    int fds[2];

    assert_int_equal(socket ? socketpair(AF_UNIX, SOCK_STREAM, 0, fds) : pipe2(fds, O_CLOEXEC), 0);
    *f = (struct feeding){.fd = fds[1], .data = data, .size = size};
    assert_int_equal(pthread_create(&f->thread, NULL, feed, f), 0);
    return fds[0];
}

static void end_feeding(struct feeding *f, int fd)
{
    close(fd);
    pthread_join(f->thread, NULL);
}

/* It's read as far as it goes: what comes behind it is for others. */
static void from_a_pipe(void **state)
{
    for (int sort = 0; sort < 2; sort++) {
        struct crs_error err = {0};
        struct store_reader *r;
        struct feeding f;
        struct made m;
        char rest[16] = "";
        make(&m, "lz4");
        uint8_t *data = malloc(m.size + 8);
        memcpy(data, m.data, m.size);
        memcpy(data + m.size, "the rest", 8);
        int fd = begin_feeding(&f, sort, data, m.size + 8);
        fixture_ok(store_reader_open_fd(fd, "-", &r, &err), &err, "open");
        fixture_ok(fixture_read_opened(r, &err), &err, "read");
        assert_string_equal(store_reader_path(r), "-");
        assert_int_equal(read_full(fd, rest, 8), 0);
        assert_string_equal(rest, "the rest");
        end_feeding(&f, fd);
        fixture_ok(fixture_read_opened(r, &err), &err, "read again");
        store_reader_free(r);
        free(data);
        drop(&m);
    }
}

/* In place, from where the descriptor stands. */
static void from_the_middle_of_a_file(void **state)
{
    struct crs_error err = {0};
    struct store_reader *r;
    struct made m;

    make(&m, "none");
    _cleanup_close_ int fd = open(m.path, O_RDWR | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write_full(fd, "before", 6), 0);
    assert_int_equal(write_full(fd, m.data, m.size), 0);
    lseek(fd, 6, SEEK_SET);
    fixture_ok(store_reader_open_fd(fd, "-", &r, &err), &err, "open");
    fixture_ok(fixture_read_opened(r, &err), &err, "read");
    store_reader_free(r);
    assert_int_equal(fixture_read(m.path, &err), -EBADMSG);
    drop(&m);
}

/* ---- damage ---- */

static int read_pipe(const void *data, size_t size, struct crs_error *err)
{
    _cleanup_(cleanup_store_reader) struct store_reader *r = NULL;
    struct feeding f;
    int fd = begin_feeding(&f, false, data, size);
    int x = store_reader_open_fd(fd, "-", &r, err);

    end_feeding(&f, fd);
    return x < 0 ? x : fixture_read_opened(r, err);
}

static void assert_incomplete(const struct made *m, size_t keep)
{
    struct crs_error err = {0};

    fixture_save(m->path, m->data, keep);
    for (int i = 0; i < 2; i++) {
        int r = i ? read_pipe(m->data, keep, &err) : fixture_read(m->path, &err);
        if (r >= 0 || err.kind != CRS_DAMAGED || !strstr(err.text, "incomplete"))
            fail_msg("%zu of %zu bytes: %d, kind %d: %s", keep, m->size, r, err.kind, err.text);
    }
}

static void cut_off(void **state)
{
    struct made m;

    make(&m, "lz4");
    assert_true(m.n_sections >= 6);
    for (size_t i = 0; i < m.n_sections; i++) {
        assert_incomplete(&m, m.sections[i]); /* between two */
        assert_incomplete(&m, m.sections[i] - 1);
        assert_incomplete(&m, m.sections[i] + 1);
        assert_incomplete(&m, m.sections[i] + 128);
        assert_incomplete(&m, m.sections[i] + STREAM_BLOCK);
    }
    for (size_t keep = 0; keep < m.size; keep += 991)
        assert_incomplete(&m, keep);
    assert_incomplete(&m, m.size - 1);
    drop(&m);
}

static void longer(void **state)
{
    struct crs_error err = {0};
    struct made m;

    make(&m, "lz4");
    uint8_t *data = calloc(1, m.size + 1);
    memcpy(data, m.data, m.size);
    fixture_save(m.path, data, m.size + 1);
    assert_int_equal(fixture_read(m.path, &err), -EBADMSG);
    assert_int_equal(err.kind, CRS_DAMAGED);
    assert_non_null(strstr(err.text, "behind the end"));
    free(data);
    drop(&m);
}

/* A section twice, two in another order, one missing: never taken for whole. */
static void sections_out_of_order(void **state)
{
    struct made m;

    make(&m, "lz4");
    uint8_t *data = malloc(2 * m.size);
    for (size_t i = 0; i + 1 < m.n_sections; i++) {
        size_t at = m.sections[i], end = m.sections[i + 1], size;
        for (int twice = 0; twice < 2; twice++) {
            struct crs_error err = {0};
            memcpy(data, m.data, end);
            size = twice ? end : at;
            memcpy(data + size, m.data + (twice ? at : end), m.size - (twice ? at : end));
            size += m.size - (twice ? at : end);
            fixture_save(m.path, data, size);
            if (fixture_read(m.path, &err) >= 0 || err.kind != CRS_DAMAGED)
                fail_msg("section %zu: kind %d: %s", i, err.kind, err.text);
        }
    }
    free(data);
    drop(&m);
}

/* Every byte of a stream counts, those that fill it up as well. */
static void changed_bytes(void **state)
{
    struct made m;

    make(&m, "none");
    _cleanup_close_ int fd = open(m.path, O_WRONLY | O_CLOEXEC);
    for (size_t at = 0; at < m.size; at += at % STREAM_BLOCK < 160 ? 1 : 37) {
        struct crs_error err = {0};
        uint8_t byte = m.data[at] ^ (1 << (at % 8));
        assert_int_equal(pwrite_full(fd, &byte, 1, at), 0);
        int r = fixture_read(m.path, &err);
        bool version = at >= 16 && at < 24; /* might be a newer one */
        if (r >= 0 || (err.kind != CRS_DAMAGED && !(version && err.kind == CRS_CANT_RESTART)))
            fail_msg("byte %zu: %d, kind %d: %s", at, r, err.kind, err.text);
        assert_int_equal(pwrite_full(fd, &m.data[at], 1, at), 0);
    }
    struct crs_error err = {0};
    fixture_ok(fixture_read(m.path, &err), &err, "read");
    drop(&m);
}

static void newer_versions(void **state)
{
    struct crs_error err = {0};
    struct made m;

    make(&m, "none");
    m.data[16] = 2;
    fixture_save(m.path, m.data, m.size);
    assert_int_equal(fixture_read(m.path, &err), -EPROTONOSUPPORT);
    assert_int_equal(err.kind, CRS_CANT_RESTART);
    m.data[16] = 1;
    uint8_t *header = m.data + m.sections[0];
    header[8] = 1; /* a flag, and the checksum right */
    checksum_of(header, 112, header + 112);
    fixture_save(m.path, m.data, m.size);
    assert_int_equal(fixture_read(m.path, &err), -EPROTONOSUPPORT);
    assert_int_equal(err.kind, CRS_CANT_RESTART);
    drop(&m);
}

/* ---- many sections, many threads ---- */

struct putting {
    struct store_writer *w;
    unsigned number;
    Crs__Chunk *chunks[40];
    pthread_t thread;
};

static enum fill fill_of(unsigned n)
{
    return n % 4;
}

static void *put_many(void *arg)
{
    static const size_t sizes[] = {STORE_CHUNK_PAGES, 1, 100, 7};
    struct putting *p = arg;

    for (unsigned i = 0; i < ELEMENTS(p->chunks); i++)
        p->chunks[i] = fixture_chunk(p->w, 1000 * i, sizes[(i / 4) % ELEMENTS(sizes)], fill_of(i),
                                     p->number * 100 + i);
    return NULL;
}

static void check_many(struct store_reader *r, struct putting *p)
{
    static uint8_t raw[STORE_CHUNK_SIZE], expected[STORE_CHUNK_SIZE];

    for (unsigned i = 0; i < ELEMENTS(p->chunks); i++) {
        struct crs_error err = {0};
        Crs__Chunk *chunk = p->chunks[i];
        assert_non_null(chunk);
        fixture_fill(expected, chunk->raw_bytes, fill_of(i), p->number * 100 + i);
        fixture_ok(store_read_chunk(r, chunk, raw, &err), &err, "chunk");
        assert_memory_equal(raw, expected, chunk->raw_bytes);
        crs__chunk__free_unpacked(chunk, NULL);
    }
}

static void *read_stream(void *arg)
{
    struct store_reader *r = NULL;
    struct crs_error err = {0};

    fixture_ok(store_reader_open_fd(*(int *)arg, "pipe", &r, &err), &err, "reader");
    return r;
}

/* Into a pipe, by several threads, while it's read at the other end. */
static void many_threads(void **state)
{
    for (size_t c = 0; c < ELEMENTS(codecs); c++) {
        struct putting puts[4];
        struct store_reader *r;
        struct store_writer *w;
        struct crs_error err = {0};
        uint64_t size;
        pthread_t reader;
        int fds[2];
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        pthread_create(&reader, NULL, read_stream, &fds[0]);
        fixture_ok(store_writer_open_fd(fds[1], "pipe", codecs[c], NULL, &w, &err), &err, "open");
        for (unsigned i = 0; i < ELEMENTS(puts); i++) {
            puts[i] = (struct putting){.w = w, .number = i};
            pthread_create(&puts[i].thread, NULL, put_many, &puts[i]);
        }
        for (unsigned i = 0; i < ELEMENTS(puts); i++)
            pthread_join(puts[i].thread, NULL);
        fixture_ok(fixture_put(w, &err), &err, "records");
        fixture_ok(store_writer_publish(w, fixture_info(), &size, &err), &err, "publish");
        assert_int_equal(size % STREAM_BLOCK, 0);
        store_writer_free(w);
        pthread_join(reader, (void **)&r);
        fixture_ok(fixture_read_opened(r, &err), &err, "read");
        for (unsigned i = 0; i < ELEMENTS(puts); i++)
            check_many(r, &puts[i]);
        store_reader_free(r);
        close(fds[0]);
        close(fds[1]);
    }
}

/* ---- what it is written to fails ---- */

static int write_to(int fd, const struct store_patience *patience, struct crs_error *err)
{
    _cleanup_(cleanup_store_writer) struct store_writer *w = NULL;

    int r = store_writer_open_fd(fd, "-", "none", patience, &w, err);
    for (unsigned i = 0; i < 40 && r == 0; i++) {
        static uint8_t raw[STORE_CHUNK_SIZE];
        Crs__Chunk chunk = CRS__CHUNK__INIT;
        r = store_put_chunk(w, raw, sizeof(raw), &chunk, err);
        free(chunk.checksum.data);
    }
    if (r == 0)
        r = fixture_put(w, err);
    return r == 0 ? store_writer_publish(w, fixture_info(), NULL, err) : r;
}

static void expect_kind(int fd, const struct store_patience *patience, enum crs_kind kind)
{
    struct crs_error err = {0};
    int r = write_to(fd, patience, &err);

    if (r >= 0 || err.kind != kind)
        fail_msg("%d, kind %d, not %d: %s", r, err.kind, kind, err.text);
}

static void the_reader_is_gone(void **state)
{
    struct sigaction action, plain = {.sa_handler = SIG_DFL}, old;
    int fds[2];

    sigaction(SIGPIPE, &plain, &old); /* which would end us */
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    close(fds[0]);
    expect_kind(fds[1], NULL, CRS_STORAGE);
    close(fds[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    close(fds[0]);
    expect_kind(fds[1], NULL, CRS_STORAGE);
    close(fds[1]);
    sigaction(SIGPIPE, &old, &action);
    assert_ptr_equal(action.sa_handler, SIG_DFL);
}

static void the_reader_does_not_read(void **state)
{
    const struct store_patience patience = {.deadline_us = now_us() + 100000};
    const volatile int cancel = SIGTERM;
    const struct store_patience cancelled = {.cancel = &cancel};
    struct crs_error err = {0};
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    expect_kind(fds[1], &patience, CRS_TIMED_OUT);
    assert_int_equal(write_to(fds[1], &cancelled, &err), -ECANCELED);
    assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0); /* others share that description */
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    expect_kind(fds[1], &patience, CRS_TIMED_OUT);
    close(fds[0]);
    close(fds[1]);
}

/* All fits into the pipe; it isn't done before somebody has taken it. */
static void it_is_taken_before_it_is_done(void **state)
{
    for (int sort = 0; sort < 2; sort++) {
        const struct store_patience patience = {.deadline_us = now_us() + 200000};
        struct crs_error err = {0};
        struct store_writer *w;
        int fds[2];
        assert_int_equal(sort ? socketpair(AF_UNIX, SOCK_STREAM, 0, fds) : pipe2(fds, O_CLOEXEC),
                         0);
        if (!sort)
            assert_true(fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) > 0);
        fixture_ok(store_writer_open_fd(fds[1], "-", "none", &patience, &w, &err), &err, "open");
        fixture_ok(fixture_put(w, &err), &err, "put");
        assert_int_equal(store_writer_publish(w, fixture_info(), NULL, &err), -ETIMEDOUT);
        store_writer_free(w);
        close(fds[0]);
        close(fds[1]);
    }
}

static void wrong_descriptors(void **state)
{
    _cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC),
                        null = open("/dev/null", O_WRONLY | O_CLOEXEC),
                        readable = open("/dev/null", O_RDONLY | O_CLOEXEC),
                        terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC),
                        packets = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct crs_error err = {0};

    assert_true(full >= 0 && null >= 0 && readable >= 0 && terminal >= 0 && packets >= 0);
    expect_kind(full, NULL, CRS_STORAGE);
    fixture_ok(write_to(null, NULL, &err), &err, "/dev/null");
    expect_kind(readable, NULL, CRS_USAGE);
    expect_kind(terminal, NULL, CRS_USAGE);
    expect_kind(packets, NULL, CRS_USAGE);
    expect_kind(-1, NULL, CRS_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_a_directory),
        cmocka_unit_test(appears_at_once),
        cmocka_unit_test(from_a_pipe),
        cmocka_unit_test(from_the_middle_of_a_file),
        cmocka_unit_test(cut_off),
        cmocka_unit_test(longer),
        cmocka_unit_test(sections_out_of_order),
        cmocka_unit_test(changed_bytes),
        cmocka_unit_test(newer_versions),
        cmocka_unit_test(many_threads),
        cmocka_unit_test(the_reader_is_gone),
        cmocka_unit_test(the_reader_does_not_read),
        cmocka_unit_test(it_is_taken_before_it_is_done),
        cmocka_unit_test(wrong_descriptors),
    };
    signal(SIGPIPE, SIG_IGN); /* our feeders' */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
