/*
 * memory_memfd.c - a memfd: mapped several times, in parts, privately, with and without its
 * descriptor
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include "victim_smaps.h"

#define SIZE (64 * 4096)

int main(int argc, char **argv)
{
    struct stat st;

    victim_init(argc, argv);
    int fd = memfd_create("held", MFD_CLOEXEC), closed = memfd_create("closed", MFD_CLOEXEC);
    MUST(fd >= 0 && closed >= 0 && ftruncate(fd, SIZE) == 0 && ftruncate(closed, SIZE) == 0);
    uint8_t *a = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint8_t *b = mmap(NULL, SIZE / 2, PROT_READ | PROT_WRITE, MAP_SHARED, fd, SIZE / 2);
    uint8_t *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    uint8_t *c = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, closed, 0);
    uint8_t *d = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, closed, 0);
    MUST(a != MAP_FAILED && b != MAP_FAILED && p != MAP_FAILED && c != MAP_FAILED &&
         d != MAP_FAILED && close(closed) == 0);
    victim_fill(a, 8192, 1);
    victim_fill(b, 4096, 2);
    victim_fill(p + 3 * 4096, 4096, 3);
    victim_fill(c + 5 * 4096, 8192, 4);
    uint32_t round = 0;
    victim_ready();
    while (victim_wait()) {
        CHECK(victim_same(a, 8192, 1) && victim_same(a + SIZE / 2, 4096, 2) &&
              victim_same(b, 4096, 2));
        CHECK(victim_same(p, 8192, 1) && victim_same(p + 3 * 4096, 4096, 3));
        CHECK(a[3 * 4096] == 0);
        CHECK(victim_same(c + 5 * 4096, 8192, 4) && victim_same(d + 5 * 4096, 8192, 4));
        /* They're still the same object. */
        round++;
        memcpy(b + 8192, &round, 4);
        CHECK(memcmp(a + SIZE / 2 + 8192, &round, 4) == 0 &&
              memcmp(p + SIZE / 2 + 8192, &round, 4) == 0);
        uint32_t seen = 0;
        CHECK(pread(fd, &seen, 4, SIZE / 2 + 8192) == 4);
        CHECK_EQ(seen, round);
        memcpy(c, &round, 4);
        CHECK(memcmp(d, &round, 4) == 0);
        CHECK(fstat(fd, &st) == 0 && st.st_size == SIZE);
        CHECK(st.st_blocks <= 10 * 8); /* holes have stayed holes */
        CHECK_MAPPING(a, "rw-s", "sh mw", "");
        CHECK_MAPPING(p, "rw-p", "wr", "sh");
        CHECK_MAPPING(d, "r--s", "mw", "wr");
        struct victim_mapping m;
        CHECK(victim_find_mapping(a, &m) && strcmp(m.name, "/memfd:held (deleted)") == 0);
        CHECK(victim_find_mapping(c, &m) && strcmp(m.name, "/memfd:closed (deleted)") == 0);
    }
    return 0;
}
