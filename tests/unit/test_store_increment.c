/*
 * test_store_increment.c - snapshots that share packs: each is complete by itself, space is
 * bounded, and what is damaged in one doesn't go unseen in another
 */
#include "store_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "memory.pb-c.h"

#define CHUNKS 24
#define PAGES  32

/* An address space of CHUNKS chunks, of which each has the content of its seed. */
static int write_snapshot(const char *path, const char *base, const char *compress,
                          const uint64_t *seeds, uint64_t *ret_linked, struct crs_error *err)
{
    _cleanup_(cleanup_store_writer) struct store_writer *w = NULL;
    Crs__AddressSpace space = CRS__ADDRESS_SPACE__INIT, *spaces[] = {&space};
    Crs__Memory memory = CRS__MEMORY__INIT;
    Crs__Chunk *chunks[CHUNKS] = {0};
    struct crs_error reason = {0};
    int r = store_writer_open(path, compress, &w, err);

    if (r == 0 && base)
        r = store_writer_set_base(w, base, &reason, err);
    assert_int_equal(reason.kind, 0);
    if (r < 0)
        return r;
    space.chunks = chunks;
    for (size_t i = 0; i < CHUNKS; i++) {
        chunks[i] = fixture_chunk(w, i * PAGES, PAGES, i % 2 ? FILL_HALF : FILL_RANDOM, seeds[i]);
        if (!chunks[i])
            break;
        space.n_chunks++;
    }
    memory.spaces = spaces;
    memory.n_spaces = 1;
    r = space.n_chunks < CHUNKS ? -EIO : store_put_record(w, "memory", &memory.base, err);
    if (r == 0)
        r = store_writer_publish(w, fixture_info(), NULL, err);
    if (r == 0 && ret_linked)
        *ret_linked = store_writer_linked_bytes(w);
    for (size_t i = 0; i < space.n_chunks; i++)
        crs__chunk__free_unpacked(chunks[i], NULL);
    return r;
}

/* All that is in it is what the seeds say. */
static void check_snapshot(const char *path, const uint64_t *seeds)
{
    _cleanup_(cleanup_store_reader) struct store_reader *r = NULL;
    uint8_t *raw = malloc(STORE_CHUNK_SIZE), *expected = malloc(STORE_CHUNK_SIZE);
    ProtobufCMessage *message;
    struct crs_error err;

    fixture_ok(store_reader_open(path, &r, &err), &err, "open");
    fixture_ok(store_verify(r, NULL, NULL, &err), &err, "verify");
    fixture_ok(store_get_record(r, "memory", &crs__memory__descriptor, &message, &err), &err,
               "memory");
    const Crs__AddressSpace *space = ((Crs__Memory *)message)->spaces[0];
    assert_int_equal(space->n_chunks, CHUNKS);
    for (size_t i = 0; i < CHUNKS; i++) {
        fixture_fill(expected, PAGES * STORE_PAGE_SIZE, i % 2 ? FILL_HALF : FILL_RANDOM, seeds[i]);
        fixture_ok(store_read_chunk(r, space->chunks[i], raw, &err), &err, "read");
        assert_memory_equal(raw, expected, PAGES * STORE_PAGE_SIZE);
    }
    protobuf_c_message_free_unpacked(message, NULL);
    free(raw);
    free(expected);
}

/* Bytes of the packs, and how many there are. */
static uint64_t size_of_packs(const char *path, unsigned *ret_n)
{
    _cleanup_closedir_ DIR *dir = opendir(path);
    uint64_t size = 0;
    unsigned n = 0;

    for (struct dirent *d; dir && (d = readdir(dir));) {
        struct stat st;
        if (strncmp(d->d_name, "pages.", 6) != 0)
            continue;
        assert_int_equal(fstatat(dirfd(dir), d->d_name, &st, 0), 0);
        size += st.st_size;
        n++;
    }
    if (ret_n)
        *ret_n = n;
    return size;
}

static void first_seeds(uint64_t *seeds)
{
    for (size_t i = 0; i < CHUNKS; i++)
        seeds[i] = 1000 + i;
}

static void complete_by_itself(void **state)
{
    static const char *const compress[] = {"none", "lz4", "zstd"};
    uint64_t seeds[3][CHUNKS];

    for (size_t c = 0; c < 3; c++) {
        char *dir = fixture_directory(), *paths[3];
        uint64_t linked = 0;
        struct crs_error err;
        for (size_t i = 0; i < 3; i++) {
            char name[2] = {(char)('a' + i), 0};
            paths[i] = fixture_path(dir, name);
            if (i == 0)
                first_seeds(seeds[0]);
            else
                memcpy(seeds[i], seeds[i - 1], sizeof(seeds[i]));
            for (size_t k = 0; i > 0 && k < 3; k++)
                seeds[i][(7 * i + k) % CHUNKS] = 5000 + 10 * i + k;
            fixture_ok(write_snapshot(paths[i], i ? paths[i - 1] : NULL, compress[(c + i) % 3],
                                      seeds[i], &linked, &err),
                       &err, "write");
            assert_true(i == 0 ? linked == 0 : linked > 0);
        }
        /* What is new is a small part. */
        assert_true(size_of_packs(paths[1], NULL) - linked < size_of_packs(paths[0], NULL) / 4);
        check_snapshot(paths[1], seeds[1]);
        fixture_ok(store_remove(paths[0], &err), &err, "remove");
        check_snapshot(paths[1], seeds[1]);
        fixture_ok(store_remove(paths[1], &err), &err, "remove");
        check_snapshot(paths[2], seeds[2]);
        for (size_t i = 0; i < 3; i++)
            free(paths[i]);
        fixture_remove(dir);
    }
}

/* However many there are: no more than twice the space that is needed, and few files. */
static void space_is_bounded(void **state)
{
    char *dir = fixture_directory(), *before = NULL;
    uint64_t seeds[CHUNKS], full = 0, most = 0;
    unsigned n_packs = 0, most_packs = 0;
    struct crs_error err;

    first_seeds(seeds);
    for (unsigned i = 0; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%u", i);
        char *path = fixture_path(dir, name);
        /* One of the two that change is always the same: packs with little in them add up. */
        seeds[0] = 10000 + i;
        seeds[(i * 7) % CHUNKS] = 20000 + i;
        fixture_ok(write_snapshot(path, before, "lz4", seeds, NULL, &err), &err, "write");
        uint64_t size = size_of_packs(path, &n_packs);
        full = i == 0 ? size : full;
        most = size > most ? size : most;
        most_packs = n_packs > most_packs ? n_packs : most_packs;
        if (before)
            fixture_ok(store_remove(before, &err), &err, "remove");
        free(before);
        before = path;
    }
    check_snapshot(before, seeds);
    assert_true(most <= 2 * full + full / 4);
    assert_true(most_packs <= 64);
    free(before);
    fixture_remove(dir);
}

/* Nothing of the base is of any use: it has no part in the new one. */
static void nothing_in_common(void **state)
{
    char *dir = fixture_directory(), *one = fixture_path(dir, "one"),
         *two = fixture_path(dir, "two");
    uint64_t seeds[CHUNKS], linked = 1;
    struct crs_error err;

    first_seeds(seeds);
    fixture_ok(write_snapshot(one, NULL, "lz4", seeds, NULL, &err), &err, "one");
    uint64_t size = size_of_packs(one, NULL);
    for (size_t i = 0; i < CHUNKS; i++)
        seeds[i] += 100000;
    fixture_ok(write_snapshot(two, one, "lz4", seeds, &linked, &err), &err, "two");
    assert_int_equal(linked, 0);
    assert_true(size_of_packs(two, NULL) < size + size / 8);
    check_snapshot(two, seeds);
    free(one);
    free(two);
    fixture_remove(dir);
}

/* The same bytes twice in one snapshot are there once, in a stream too. */
static void stored_once(void **state)
{
    char *dir = fixture_directory(), *one = fixture_path(dir, "one");
    uint64_t seeds[CHUNKS], raw, stored, once;
    struct store_writer *w;
    struct crs_error err;

    for (size_t i = 0; i < CHUNKS; i++)
        seeds[i] = 7 + i % 2;
    fixture_ok(write_snapshot(one, NULL, "none", seeds, NULL, &err), &err, "one");
    assert_int_equal(size_of_packs(one, NULL), 2ull * PAGES * STORE_PAGE_SIZE);
    check_snapshot(one, seeds);
    free(one);
    one = fixture_path(dir, "stream");
    fixture_ok(store_writer_open_file(one, "none", NULL, &w, &err), &err, "open");
    for (size_t i = 0; i < 5; i++) {
        crs__chunk__free_unpacked(fixture_chunk(w, 0, PAGES, FILL_RANDOM, 3), NULL);
        store_writer_sizes(w, &raw, &stored);
        once = i == 0 ? stored : once;
        assert_int_equal(stored, once);
        assert_int_equal(raw, (i + 1) * PAGES * STORE_PAGE_SIZE);
    }
    assert_int_equal(store_writer_set_base(w, dir, NULL, &err), -EINVAL);
    store_writer_free(w);
    free(one);
    fixture_remove(dir);
}

static void flip(const char *path, const char *name, long at)
{
    _cleanup_free_ char *file = fixture_path(path, name);
    int fd = open(file, O_RDWR);
    uint8_t byte;

    assert_true(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void damage(void **state)
{
    char *dir = fixture_directory(), *one = fixture_path(dir, "one"),
         *two = fixture_path(dir, "two"), *three = fixture_path(dir, "three");
    uint64_t seeds[CHUNKS], linked;
    struct store_reader *r;
    struct crs_error err = {0};

    first_seeds(seeds);
    fixture_ok(write_snapshot(one, NULL, "lz4", seeds, NULL, &err), &err, "one");
    /* A flip in what is shared: both find it. */
    seeds[3] = 9;
    fixture_ok(write_snapshot(two, one, "lz4", seeds, &linked, &err), &err, "two");
    flip(one, "pages.1.pack", 12345);
    for (size_t i = 0; i < 2; i++) {
        fixture_ok(store_reader_open(i ? two : one, &r, &err), &err, "open");
        assert_true(store_verify(r, NULL, NULL, &err) < 0);
        assert_int_equal(err.kind, CRS_DAMAGED);
        store_reader_free(r);
    }
    /* One that is made of the damaged one says it, too. */
    fixture_ok(write_snapshot(three, two, "lz4", seeds, &linked, &err), &err, "three");
    fixture_ok(store_reader_open(three, &r, &err), &err, "open");
    assert_true(store_verify(r, NULL, NULL, &err) < 0);
    store_reader_free(r);
    fixture_ok(store_remove(three, &err), &err, "remove");
    /* A table that is damaged, and a pack that was cut off, make no base. */
    flip(two, "packs.pb", 20);
    assert_true(write_snapshot(three, two, "lz4", seeds, &linked, &err) < 0);
    assert_int_equal(err.kind, CRS_DAMAGED);
    _cleanup_free_ char *pack = fixture_path(one, "pages.1.pack");
    assert_int_equal(truncate(pack, 50000), 0);
    assert_true(write_snapshot(three, one, "lz4", seeds, &linked, &err) < 0);
    assert_int_equal(err.kind, CRS_DAMAGED);
    free(one);
    free(two);
    free(three);
    fixture_remove(dir);
}

/* No room in the middle: what is older is as it was, and nothing is left. */
static void no_room(void **state)
{
    char *dir = fixture_directory(), *one = fixture_path(dir, "one"),
         *two = fixture_path(dir, "two");
    struct rlimit old, small;
    uint64_t seeds[CHUNKS], other[CHUNKS];
    unsigned entries, snapshots;
    struct crs_error err;

    first_seeds(seeds);
    fixture_ok(write_snapshot(one, NULL, "none", seeds, NULL, &err), &err, "one");
    memcpy(other, seeds, sizeof(other));
    for (size_t i = CHUNKS / 2; i < CHUNKS; i++)
        other[i] += 77;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){4 * PAGES * STORE_PAGE_SIZE, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_true(write_snapshot(two, one, "none", other, NULL, &err) < 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    fixture_count(dir, &entries, &snapshots);
    assert_int_equal(entries, 1);
    check_snapshot(one, seeds);
    free(one);
    free(two);
    fixture_remove(dir);
}

static void write_for_ever(const char *dir)
{
    uint64_t seeds[CHUNKS];
    char *before = fixture_path(dir, "first");

    first_seeds(seeds);
    for (unsigned i = 0;; i++) {
        char name[24];
        struct crs_error err;
        snprintf(name, sizeof(name), "%d-%u", (int)getpid(), i);
        char *path = fixture_path(dir, name);
        seeds[i % CHUNKS] = 3000 + i;
        if (write_snapshot(path, before, "lz4", seeds, NULL, &err) < 0)
            _exit(1);
        free(before);
        before = path;
    }
}

/* All that is there verifies, whenever its writer was killed, and the base is what it was. */
static void killed_at_any_moment(void **state)
{
    char *dir = fixture_directory(), *first = fixture_path(dir, "first");
    uint64_t seeds[CHUNKS];
    struct crs_error err;

    first_seeds(seeds);
    fixture_ok(write_snapshot(first, NULL, "lz4", seeds, NULL, &err), &err, "first");
    srand(22);
    for (int i = 0; i < 30; i++) {
        struct timespec some = {0, rand() % 20000000};
        int status;
        pid_t pid = fork();
        if (pid == 0)
            write_for_ever(dir);
        nanosleep(&some, NULL);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        check_snapshot(first, seeds);
        _cleanup_closedir_ DIR *list = opendir(dir);
        for (struct dirent *d; (d = readdir(list));) {
            _cleanup_free_ char *path = fixture_path(dir, d->d_name);
            struct store_reader *r = NULL;
            if (d->d_name[0] == '.' || strcmp(d->d_name, "first") == 0)
                continue;
            fixture_ok(store_reader_open(path, &r, &err), &err, path);
            fixture_ok(store_verify(r, NULL, NULL, &err), &err, path);
            store_reader_free(r);
            fixture_ok(store_remove(path, &err), &err, path);
        }
    }
    free(first);
    fixture_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complete_by_itself),
        cmocka_unit_test(space_is_bounded),
        cmocka_unit_test(nothing_in_common),
        cmocka_unit_test(stored_once),
        cmocka_unit_test(damage),
        cmocka_unit_test(no_room),
        cmocka_unit_test(killed_at_any_moment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
