/* test_memory_aside.c - what threads read beside a checkpoint: identities of mapped files, policies
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/memory_image.h"

#define SIZE 20000

static char path[] = "/tmp/crs-aside.XXXXXX";

/* This process maps a file of its own. */
static int map_file(void **ret)
{
    char text[SIZE];
    int fd = mkstemp(path);

    memset(text, 'a', sizeof(text));
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
    *ret = mmap(NULL, sizeof(text), PROT_READ, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(*ret, MAP_FAILED);
    return fd;
}

static bool is_known(struct memory_set *set, int fd, const struct bytes *checksum)
{
    _cleanup_bytes_ struct bytes id = {0}, sum = {0};
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    if (!memory_aside_identity(set, &st, &id, &sum))
        return false;
    assert_int_equal(id.size, 0); /* it is no ELF file */
    assert_int_equal(sum.size, checksum->size);
    assert_memory_equal(sum.data, checksum->data, sum.size);
    return true;
}

static void file_is_identified(void **state)
{
    _cleanup_bytes_ struct bytes checksum = {0};
    struct memory_set *set;
    void *place;

    assert_int_equal(memory_set_new(&set, NULL), 0);
    _cleanup_close_ int fd = map_file(&place);
    assert_int_equal(memory_checksum_file(fd, SIZE, &checksum), 0);
    memory_aside_begin(set, getpid());
    assert_true(is_known(set, fd, &checksum));
    assert_false(is_known(set, fd, &checksum)); /* the first has taken it */
    memory_set_free(set);
    munmap(place, SIZE);
    unlink(path);
}

/* As many bytes, and the time of its last change as it was, don't make it the same file. */
static void changed_file_is_not(void **state)
{
    _cleanup_bytes_ struct bytes id = {0}, sum = {0};
    const struct stat other = {0};
    struct memory_set *set;
    struct stat st;
    void *place;

    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
    assert_int_equal(memory_set_new(&set, NULL), 0);
    _cleanup_close_ int fd = map_file(&place);
    assert_int_equal(fstat(fd, &st), 0);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    memory_aside_begin(set, getpid());
    assert_false(memory_aside_identity(set, &other, &id, &sum)); /* all is read now */
    /* Until the clock of file systems has gone on: each change has a later time. */
    for (const struct timespec before = st.st_ctim;
         st.st_ctim.tv_sec == before.tv_sec && st.st_ctim.tv_nsec == before.tv_nsec;) {
        assert_int_equal(pwrite(fd, "b", 1, 0), 1);
        assert_int_equal(futimens(fd, times), 0);
        assert_int_equal(fstat(fd, &st), 0);
    }
    assert_false(memory_aside_identity(set, &st, &id, &sum));
    memory_set_free(set);
    munmap(place, SIZE);
    unlink(path);
}

/* A file that has been as it is for a while: as it was read once, whoever maps it. */
static void kept_for_later(void **state)
{
    _cleanup_bytes_ struct bytes id = {0}, checksum = {0}, sum = {0};
    _cleanup_close_ int fd = open("/bin/sh", O_RDONLY | O_CLOEXEC);
    struct memory_set *set;
    struct stat st, other;

    assert_int_equal(memory_set_new(&set, NULL), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_false(memory_aside_identity(set, &st, &id, &sum));
    assert_int_equal(memory_checksum_file(fd, st.st_size, &checksum), 0);
    memory_aside_keep(&st, &id, &checksum);
    for (int i = 0; i < 2; i++) {
        assert_true(memory_aside_identity(set, &st, &id, &sum));
        assert_memory_equal(sum.data, checksum.data, checksum.size);
        bytes_clear(&id);
        bytes_clear(&sum);
    }
    other = st;
    other.st_ctim.tv_nsec ^= 1;
    assert_false(memory_aside_identity(set, &other, &id, &sum));
    for (int i = 0; i < 100; i++) { /* there is room for some only */
        other.st_ino++;
        memory_aside_keep(&other, &id, &checksum);
    }
    assert_true(memory_aside_identity(set, &other, &id, &sum));
    bytes_clear(&id);
    bytes_clear(&sum);
    assert_false(memory_aside_identity(set, &st, &id, &sum));
    memory_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_is_identified),
        cmocka_unit_test(changed_file_is_not),
        cmocka_unit_test(kept_for_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
