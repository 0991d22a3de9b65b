/*
 * memory_file_deleted.c - mappings of files that were deleted: private, and shared by two mappings
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include "victim_smaps.h"

#define SIZE (32 * 4096)

static int make(const char *name, bool keep)
{
    static uint8_t data[SIZE];
    char path[5000];

    victim_path(path, sizeof(path), "%s", name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    victim_fill(data, SIZE, 3);
    MUST(fd >= 0 && write(fd, data, SIZE) == SIZE && (keep || unlink(path) == 0));
    return fd;
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = make("private", false);
    uint8_t *private = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    uint8_t *code = mmap(NULL, SIZE / 2, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, SIZE / 2);
    close(fd);
    fd = make("shared", false);
    uint8_t *shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint8_t *second = mmap(NULL, SIZE / 2, PROT_READ | PROT_WRITE, MAP_SHARED, fd, SIZE / 2);
    close(fd);
    fd = make("not deleted (deleted)", true); /* really called so */
    uint8_t *named = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    fd = make("beyond", false); /* the mapping is longer than the file */
    MUST(ftruncate(fd, 4096 + 100) == 0);
    uint8_t *beyond = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    close(fd);
    MUST(private != MAP_FAILED && code != MAP_FAILED && shared != MAP_FAILED &&
         second != MAP_FAILED && named != MAP_FAILED && beyond != MAP_FAILED);
    victim_fill(private + 4096, 4096, 4);
    memset(private + 8192, 0, 4096);
    int round = 0;
    victim_ready();
    while (victim_wait()) {
        CHECK(victim_same(private, 4096, 3) && victim_same(private + 4096, 4096, 4));
        CHECK(private[8192] == 0 && private[8192 + 4095] == 0);
        CHECK(*(uint64_t *)(private + 16384) == victim_pattern(3, 2048));
        CHECK(*(uint64_t *)(code + 8) == victim_pattern(3, SIZE / 16 + 1));
        CHECK_MAPPING(private, "rw-p", "wr", "sh");
        CHECK_MAPPING(code, "r-xp", "ex", "wr");
        CHECK(victim_same(shared, SIZE / 2, 3));
        CHECK_EQ(shared[SIZE - 1],
                 round ? round : ((uint8_t)(victim_pattern(3, SIZE / 8 - 1) >> 56)));
        shared[SIZE - 1] = ++round;
        CHECK_EQ(second[SIZE / 2 - 1], round);
        CHECK_MAPPING(shared, "rw-s", "sh", "");
        CHECK(victim_same(named, SIZE, 3));
        struct victim_mapping m;
        CHECK(victim_find_mapping(named, &m) && strstr(m.name, "not deleted (deleted)"));
        CHECK(victim_same(beyond, 4096, 3));
        CHECK(beyond[4096 + 99] && beyond[4096 + 100] == 0);
    }
    return 0;
}
