/* test_store_content.c - files with and without holes, into a snapshot and out of it */
#include "store_fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/io.h"

struct box {
    char *dir, *path;
    struct store_writer *w;
    struct store_reader *r;
};

static void box_open(struct box *b)
{
    struct crs_error err;

    b->dir = fixture_directory();
    b->path = fixture_path(b->dir, "one");
    fixture_ok(store_writer_open(b->path, "lz4", &b->w, &err), &err, "open");
}

static void box_publish(struct box *b)
{
    struct crs_error err;

    fixture_ok(store_writer_publish(b->w, json_object(), NULL, &err), &err, "publish");
    store_writer_free(b->w);
    fixture_ok(store_reader_open(b->path, &b->r, &err), &err, "reader");
}

static void box_close(struct box *b)
{
    store_reader_free(b->r);
    free(b->path);
    fixture_remove(b->dir);
}

/* Both have the same bytes and the same size. */
static void assert_same_file(int a, int b)
{
    uint8_t x[65536], y[65536];
    struct stat sa, sb;

    fstat(a, &sa);
    fstat(b, &sb);
    assert_int_equal(sa.st_size, sb.st_size);
    for (off_t at = 0; at < sa.st_size; at += sizeof(x)) {
        size_t n = sa.st_size - at < (off_t)sizeof(x) ? sa.st_size - at : (off_t)sizeof(x);
        assert_int_equal(pread_full(a, x, n, at), 0);
        assert_int_equal(pread_full(b, y, n, at), 0);
        assert_memory_equal(x, y, n);
    }
}

/* Save what fd holds, bring it back into a new file beside it, compare. */
static Crs__Content *there_and_back(int fd, uint64_t size, off_t *ret_blocks)
{
    struct box b;
    struct crs_error err;
    Crs__Content *content = NULL;
    struct stat st;

    box_open(&b);
    fixture_ok(store_put_content(b.w, fd, size, &content, &err), &err, "put");
    assert_int_equal(content->size, size);
    box_publish(&b);
    _cleanup_free_ char *path = fixture_path(b.dir, "back");
    _cleanup_close_ int back = open(path, O_RDWR | O_CREAT, 0600);
    fixture_ok(store_get_content(b.r, content, back, &err), &err, "get");
    assert_same_file(fd, back);
    fstat(back, &st);
    *ret_blocks = st.st_blocks;
    box_close(&b);
    return content;
}

static int new_file(void)
{
    char *dir = fixture_directory(), *path = fixture_path(dir, "file");
    int fd = open(path, O_RDWR | O_CREAT, 0600);

    assert_true(fd >= 0);
    free(path);
    fixture_remove(dir); /* the descriptor is what we want */
    return fd;
}

static void put_at(int fd, off_t at, size_t size, uint64_t seed)
{
    _cleanup_free_ uint8_t *data = malloc(size + 8);

    fixture_fill(data, size + 7, FILL_RANDOM, seed);
    data[0] = 1;
    assert_int_equal(pwrite_full(fd, data, size, at), 0);
}

static void sizes(void **state)
{
    static const size_t list[] = {0,       1,       4095,    4096,        4097,
                                  1048575, 1048576, 1048577, 3 * 1048576, 3 * 1048576 + 4095};

    for (size_t i = 0; i < ELEMENTS(list); i++) {
        _cleanup_close_ int fd = new_file();
        off_t blocks;
        if (list[i])
            put_at(fd, 0, list[i], i);
        Crs__Content *c = there_and_back(fd, list[i], &blocks);
        assert_int_equal(c->inline_data.len, list[i] <= 4096 ? list[i] : 0);
        crs__content__free_unpacked(c, NULL);
    }
}

static void holes(void **state)
{
    _cleanup_close_ int fd = new_file();
    uint64_t size = (1ull << 40) + 123;
    uint64_t pages = 0;
    off_t blocks;

    assert_int_equal(ftruncate(fd, 1ull << 30), 0);
    put_at(fd, 5000, 100, 1);         /* page 1 */
    put_at(fd, 1u << 20, 10000, 2);   /* 3 pages */
    put_at(fd, 500u << 20, 5000, 3);  /* 2 */
    put_at(fd, (1u << 30) - 1, 1, 4); /* 1 */
    Crs__Content *c = there_and_back(fd, 1ull << 30, &blocks);
    for (size_t i = 0; i < c->n_chunks; i++)
        pages += c->chunks[i]->raw_bytes / STORE_PAGE_SIZE;
    assert_int_equal(pages, 7);
    assert_true(blocks * 512 < 1 << 20);
    crs__content__free_unpacked(c, NULL);

    /* a TiB of nothing costs nothing */
    struct box b;
    struct crs_error err;
    _cleanup_close_ int empty = memfd_create("empty", MFD_CLOEXEC);
    assert_int_equal(ftruncate(empty, size), 0);
    box_open(&b);
    fixture_ok(store_put_content(b.w, empty, size, &c, &err), &err, "put");
    assert_int_equal(c->n_chunks, 0);
    box_publish(&b);
    _cleanup_close_ int back = memfd_create("back", MFD_CLOEXEC);
    struct stat st;
    fixture_ok(store_get_content(b.r, c, back, &err), &err, "get");
    fstat(back, &st);
    assert_int_equal(st.st_size, size);
    assert_int_equal(st.st_blocks, 0);
    crs__content__free_unpacked(c, NULL);
    box_close(&b);
}

/* The description is shared with the program: its position is none of our business. */
static void position_stays(void **state)
{
    _cleanup_close_ int fd = new_file();
    off_t blocks;

    put_at(fd, 100000, 100000, 1);
    lseek(fd, 4242, SEEK_SET);
    crs__content__free_unpacked(there_and_back(fd, 200000, &blocks), NULL);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 4242);
}

static void shorter_than_said(void **state)
{
    _cleanup_close_ int fd = new_file();
    Crs__Content *content = NULL;
    struct crs_error err = {0};
    struct box b;

    put_at(fd, 0, 20000, 1);
    box_open(&b);
    assert_int_equal(store_put_content(b.w, fd, 1u << 20, &content, &err), -EAGAIN);
    assert_int_equal(err.kind, CRS_BUSY);
    assert_null(content);
    assert_true(store_put_content(b.w, -1, 5000, &content, &err) < 0);
    assert_null(content);
    store_writer_free(b.w);
    free(b.path);
    fixture_remove(b.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(holes),
        cmocka_unit_test(position_stays),
        cmocka_unit_test(shorter_than_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
