/*
 * test_store_atomic.c - a snapshot appears whole or not at all: writers that die, full disks,
 * limits, names that are taken
 */
#include "store_fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/io.h"
#include "store/temporary.h"

/* Write one snapshot after the other until killed: STORE/job/1, 2, ... */
static void write_for_ever(const char *store)
{
    for (;;) {
        struct crs_error err;
        char *path;
        unsigned seq;
        if (store_next_path(store, "job", &path, &seq, &err) < 0 ||
            fixture_snapshot(path, seq % 2 ? "lz4" : "none", &err) < 0)
            _exit(1);
        free(path);
    }
}

static pid_t start_writer(const char *store)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        write_for_ever(store);
    return pid;
}

static void kill_writer(pid_t pid)
{
    int status;

    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status)); /* and not ended by a failure before */
}

/* All in the job's directory is either a snapshot that verifies, or hidden and no snapshot. */
static void check_job(const char *job, unsigned *ret_snapshots)
{
    _cleanup_closedir_ DIR *dir = opendir(job);

    *ret_snapshots = 0;
    for (struct dirent *d; dir && (d = readdir(dir));) {
        _cleanup_free_ char *path = fixture_path(job, d->d_name);
        struct store_reader *reader = NULL;
        struct crs_error err = {0};
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (d->d_name[0] == '.') {
            assert_true(temporary_is_name(d->d_name, NULL));
            assert_true(store_reader_open(path, &reader, &err) < 0);
            assert_int_equal(err.kind, CRS_DAMAGED);
            continue;
        }
        fixture_ok(fixture_read(path, &err), &err, path);
        *ret_snapshots += 1;
    }
}

static void writer_killed_at_any_moment(void **state)
{
    char *store = fixture_directory(), *job = fixture_path(store, "job"), *path;
    unsigned snapshots, before = 0, entries, left_overs = 0, seq;
    long window_us = 1000;
    struct crs_error err;

    srand(20);
    for (int i = 0; i < 50; i++) {
        pid_t pid = start_writer(store);
        struct timespec some = {0, (rand() % window_us) * 1000};
        nanosleep(&some, NULL);
        kill_writer(pid);
        check_job(job, &snapshots);
        assert_true(snapshots >= before); /* nothing that was promised is lost */
        /* about one snapshot is made in the time, however fast the machine is */
        window_us = snapshots > before ? window_us * 4 / 5 : window_us * 3 / 2;
        window_us = window_us < 500 ? 500 : window_us > 900000 ? 900000 : window_us;
        before = snapshots;
        if (access(job, F_OK) == 0) {
            fixture_count(job, &entries, &snapshots);
            left_overs += entries - snapshots;
        }
        fixture_ok(store_next_path(store, "job", &path, &seq, &err), &err, "next");
        fixture_count(job, &entries, &snapshots);
        assert_int_equal(entries, snapshots); /* what was left behind is gone */
        free(path);
    }
    assert_true(before > 0 && left_overs > 0); /* else the moments were badly chosen */
    free(job);
    fixture_remove(store);
}

/* Left-overs go when a writer opens beside them; one that still writes is left alone. */
static void live_writers_are_left_alone(void **state)
{
    char *dir = fixture_directory(), *one = fixture_path(dir, "one"),
         *two = fixture_path(dir, "two");
    struct store_writer *w, *w2;
    struct crs_error err;
    unsigned entries, snapshots;

    fixture_ok(store_writer_open(one, NULL, &w, &err), &err, "open one");
    fixture_ok(store_writer_open(two, NULL, &w2, &err), &err, "open two");
    fixture_count(dir, &entries, &snapshots);
    assert_int_equal(entries, 2);
    fixture_ok(fixture_put(w, &err), &err, "put");
    fixture_ok(store_writer_publish(w, fixture_info(), NULL, &err), &err, "publish");
    store_writer_free(w);
    store_writer_free(w2); /* not published: takes what it wrote with it */
    fixture_count(dir, &entries, &snapshots);
    assert_int_equal(entries, 1);
    assert_int_equal(snapshots, 1);
    fixture_ok(fixture_read(one, &err), &err, "read");

    /* what is no left-over of ours is nobody's business */
    char *strange = fixture_path(dir, ".two.tmp-1-00000000"),
         *inside = fixture_path(strange, "precious"), *mine = fixture_path(dir, ".two.tmp-x-0");
    assert_int_equal(mkdir(strange, 0700) | mkdir(mine, 0700), 0);
    fixture_save(inside, "x", 1);
    fixture_ok(store_writer_open(two, NULL, &w, &err), &err, "open two");
    store_writer_free(w);
    assert_int_equal(access(inside, F_OK) | access(mine, F_OK), 0);
    free(strange), free(inside), free(mine), free(one), free(two);
    fixture_remove(dir);
}

static void never_written_over(void **state)
{
    char *dir = fixture_directory(), *one = fixture_path(dir, "one");
    struct store_writer *w = NULL;
    struct crs_error err;
    struct stat st;

    fixture_ok(fixture_snapshot(one, NULL, &err), &err, "snapshot");
    assert_int_equal(store_writer_open(one, NULL, &w, &err), -EEXIST);
    assert_int_equal(err.kind, CRS_USAGE);

    /* it appears while we write: a directory, even an empty one, and a file */
    for (int i = 0; i < 2; i++) {
        char *two = fixture_path(dir, "two");
        fixture_ok(store_writer_open(two, NULL, &w, &err), &err, "open");
        fixture_ok(fixture_put(w, &err), &err, "put");
        if (i == 0)
            assert_int_equal(mkdir(two, 0755), 0);
        else
            fixture_save(two, "x", 1);
        assert_int_equal(store_writer_publish(w, fixture_info(), NULL, &err), -EEXIST);
        assert_int_equal(err.kind, CRS_BUSY);
        store_writer_free(w);
        assert_int_equal(stat(two, &st), 0);
        assert_int_equal(st.st_mode & 0777, i == 0 ? 0755 : 0600);
        remove(two);
        free(two);
    }
    unsigned entries, snapshots;
    fixture_count(dir, &entries, &snapshots);
    assert_int_equal(entries, 1);
    free(one);
    fixture_remove(dir);
}

static void wrong_paths(void **state)
{
    static const char *const wrong[] = {"",
                                        "/",
                                        ".",
                                        "..",
                                        "a/..",
                                        "/tmp/.",
                                        "nowhere/at/all",
                                        "/dev/null/x",
                                        ".x.tmp-12-0123abcd"};

    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        struct store_writer *w = NULL;
        struct crs_error err = {0};
        assert_true(store_writer_open(wrong[i], NULL, &w, &err) < 0);
        assert_true(err.kind != CRS_OK && err.text[0]);
        assert_null(w);
    }
}

/* ---- no room ---- */

/* Put chunks until the store refuses; nothing may be left then. */
static void fill_until_refused(const char *dir, int errnum)
{
    char *path = fixture_path(dir, "one");
    struct crs_error err = {0};
    struct store_writer *w;
    uint8_t *raw = malloc(STORE_CHUNK_SIZE);
    unsigned entries, snapshots;
    int r = 0;

    fixture_fill(raw, STORE_CHUNK_SIZE, FILL_RANDOM, 1);
    fixture_ok(store_writer_open(path, "none", &w, &err), &err, "open");
    for (int i = 0; i < 64 && r == 0; i++) {
        Crs__Chunk chunk = CRS__CHUNK__INIT;
        raw[0] = i; /* the same bytes would be stored once */
        r = store_put_chunk(w, raw, STORE_CHUNK_SIZE, &chunk, &err);
        free(chunk.checksum.data);
    }
    assert_int_equal(r, -errnum);
    assert_int_equal(err.kind, CRS_STORAGE);
    assert_int_equal(err.errnum, errnum);
    assert_non_null(strstr(err.text, path)); /* says where */
    store_writer_free(w);
    fixture_count(dir, &entries, &snapshots);
    assert_int_equal(entries, 0);
    free(path);
    free(raw);
}

/* A file system of 4 MiB, seen by this process only. *ret NULL: not allowed to make one. */
static char *make_small_disk(void)
{
    char *dir = fixture_directory();

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("small", dir, "tmpfs", 0, "size=4m,mode=0700") < 0) {
        fixture_remove(dir);
        return NULL;
    }
    return dir;
}

static void disk_full(void **state)
{
    char *dir = make_small_disk();

    if (!dir)
        skip();
    fill_until_refused(dir, ENOSPC);

    /* the records are what doesn't fit any more */
    _cleanup_free_ char *fat = fixture_path(dir, "fat"), *path = fixture_path(dir, "one");
    _cleanup_free_ uint8_t *raw = calloc(1, 4u << 20);
    struct store_writer *w;
    struct crs_error err;
    unsigned entries, snapshots;
    fixture_ok(store_writer_open(path, "none", &w, &err), &err, "open");
    fixture_ok(fixture_put(w, &err), &err, "put");
    int fd = open(fat, O_WRONLY | O_CREAT, 0600);
    while (write(fd, raw, 4096) == 4096)
        ;
    close(fd);
    assert_int_equal(store_writer_publish(w, fixture_info(), NULL, &err), -ENOSPC);
    assert_int_equal(err.kind, CRS_STORAGE);
    store_writer_free(w);
    fixture_count(dir, &entries, &snapshots);
    assert_int_equal(entries, 1); /* the fat file */
    assert_int_equal(umount(dir), 0);
    fixture_remove(dir);
}

/* SIGXFSZ would end the tool, in the middle of a checkpoint. */
static void file_size_limit(void **state)
{
    struct rlimit old, small;

    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){3u << 20, old.rlim_max};
    char *dir = fixture_directory();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    fill_until_refused(dir, EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    fixture_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writer_killed_at_any_moment),
        cmocka_unit_test(live_writers_are_left_alone),
        cmocka_unit_test(never_written_over),
        cmocka_unit_test(wrong_paths),
        cmocka_unit_test(file_size_limit),
        cmocka_unit_test(disk_full), /* last: it leaves the mount namespace */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
