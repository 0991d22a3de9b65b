/*
 * memory_file_shared.c - shared mappings of a file: writable ones write to it, read-only ones can't
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include "victim_smaps.h"

#define SIZE (16 * 4096)

int main(int argc, char **argv)
{
    char path[5000], readonly_path[5000];
    uint64_t count = 0, seen;
    struct stat st;

    victim_init(argc, argv);
    victim_path(path, sizeof(path), "shared");
    victim_path(readonly_path, sizeof(readonly_path), "readonly");
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int rfd = open(readonly_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    MUST(fd >= 0 && rfd >= 0 && ftruncate(fd, SIZE) == 0 && ftruncate(rfd, 5000) == 0);
    MUST(pwrite(rfd, "hello", 5, 4500) == 5 && close(rfd) == 0);
    rfd = open(readonly_path, O_RDONLY | O_CLOEXEC);
    uint64_t *shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint64_t *protected = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
    char *readonly = mmap(NULL, 8192, PROT_READ, MAP_SHARED, rfd, 0);
    MUST(shared != MAP_FAILED && protected != MAP_FAILED && readonly != MAP_FAILED);
    close(rfd);
    MUST(fstat(fd, &st) == 0 && close(fd) == 0);
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(shared[100], count);
        shared[100] = ++count;
        CHECK_EQ(protected[100], count);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        CHECK(fd >= 0 && pread(fd, &seen, 8, 800) == 8);
        close(fd);
        CHECK_EQ(seen, count);
        CHECK(memcmp(readonly + 4500, "hello", 5) == 0);
        CHECK_MAPPING(shared, "rw-s", "sh mw ms", "");
        CHECK_MAPPING(protected, "r--s", "mw", "wr");
        CHECK_MAPPING(readonly, "r--s", "rd", "wr mw");
        CHECK(mprotect(readonly, 8192, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);
        CHECK(mprotect(protected, SIZE, PROT_READ | PROT_WRITE) == 0);
        protected[200] = count;
        CHECK_EQ(shared[200], count);
        CHECK(mprotect(protected, SIZE, PROT_READ) == 0);
    }
    return 0;
}
