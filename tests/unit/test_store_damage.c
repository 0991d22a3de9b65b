/*
 * test_store_damage.c - every truncation and every changed byte is found
 *
 * And none makes the reader crash: the sanitizer builds run this, too.
 */
#include "store_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"

struct snapshot {
    char *dir, *path;
    char *files[16];
    size_t n;
};

static int make(void **state)
{
    static struct snapshot s;
    struct crs_error err;

    s = (struct snapshot){.dir = fixture_directory()};
    s.path = fixture_path(s.dir, "one");
    fixture_ok(fixture_snapshot(s.path, "lz4", &err), &err, "snapshot");
    fixture_ok(fixture_read(s.path, &err), &err, "read");
    DIR *dir = opendir(s.path);
    for (struct dirent *d; (d = readdir(dir));) {
        if (d->d_name[0] != '.')
            s.files[s.n++] = fixture_path(s.path, d->d_name);
    }
    closedir(dir);
    assert_int_equal(s.n, 6);
    *state = &s;
    return 0;
}

static int drop(void **state)
{
    struct snapshot *s = *state;

    for (size_t i = 0; i < s->n; i++)
        free(s->files[i]);
    free(s->path);
    fixture_remove(s->dir);
    return 0;
}

static const char *name_of(const char *file)
{
    return strrchr(file, '/') + 1;
}

/* It must be found, with words that name the file. */
static void assert_found(struct snapshot *s, const char *file, const char *what, size_t at)
{
    struct crs_error err = {0};
    int r = fixture_read(s->path, &err);

    if (r >= 0)
        fail_msg("%s: %s at %zu was not found", name_of(file), what, at);
    if (err.kind != CRS_DAMAGED)
        fail_msg("%s: %s at %zu: kind %d: %s", name_of(file), what, at, err.kind, err.text);
    if (!strstr(err.text, name_of(file)))
        fail_msg("%s: %s at %zu: says: %s", name_of(file), what, at, err.text);
}

static void truncated_files(void **state)
{
    struct snapshot *s = *state;

    for (size_t i = 0; i < s->n; i++) {
        size_t size, step;
        void *data = fixture_load(s->files[i], &size);
        step = size > 64 ? size / 61 : 1;
        for (size_t keep = 0; keep < size; keep += step) {
            fixture_save(s->files[i], data, keep);
            assert_found(s, s->files[i], "a truncation", keep);
        }
        fixture_save(s->files[i], data, size - 1);
        assert_found(s, s->files[i], "a truncation", size - 1);
        fixture_save(s->files[i], data, size);
        free(data);
    }
}

static void longer_files(void **state)
{
    struct snapshot *s = *state;

    for (size_t i = 0; i < s->n; i++) {
        size_t size;
        char *data = fixture_load(s->files[i], &size);
        data[size] = '\n'; /* there is room for a zero */
        fixture_save(s->files[i], data, size + 1);
        assert_found(s, s->files[i], "an additional byte", size);
        fixture_save(s->files[i], data, size);
        free(data);
    }
}

/* One bit of every byte (of packs: of many) in turn, each bit of a byte sometimes. */
static void changed_bytes(void **state)
{
    struct snapshot *s = *state;

    for (size_t i = 0; i < s->n; i++) {
        size_t size, step;
        uint8_t *data = fixture_load(s->files[i], &size);
        bool is_pack = strstr(s->files[i], ".pack");
        _cleanup_close_ int fd = open(s->files[i], O_WRONLY | O_CLOEXEC);
        step = is_pack ? 97 : 1;
        for (size_t at = 0; at < size; at += step) {
            uint8_t byte = data[at] ^ (1 << (at % 8));
            assert_int_equal(pwrite_full(fd, &byte, 1, at), 0);
            assert_found(s, s->files[i], "a changed bit", at);
            assert_int_equal(pwrite_full(fd, &data[at], 1, at), 0);
        }
        free(data);
    }
    struct crs_error err;
    fixture_ok(fixture_read(s->path, &err), &err, "read"); /* all is put back */
}

static void missing_files(void **state)
{
    struct snapshot *s = *state;

    for (size_t i = 0; i < s->n; i++) {
        _cleanup_free_ char *away = fixture_path(s->dir, "away");
        assert_int_equal(rename(s->files[i], away), 0);
        assert_found(s, s->files[i], "its absence", 0);
        assert_int_equal(symlink(away, s->files[i]), 0); /* the right bytes, but by a link */
        assert_found(s, s->files[i], "a symbolic link", 0);
        assert_int_equal(remove(s->files[i]) | mkfifo(s->files[i], 0600), 0);
        assert_found(s, s->files[i], "a FIFO", 0);
        assert_int_equal(remove(s->files[i]) | mkdir(s->files[i], 0700), 0);
        assert_found(s, s->files[i], "a directory", 0);
        assert_int_equal(remove(s->files[i]) | rename(away, s->files[i]), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truncated_files),
        cmocka_unit_test(longer_files),
        cmocka_unit_test(changed_bytes),
        cmocka_unit_test(missing_files),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
