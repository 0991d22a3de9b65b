/*
 * memory_file_private.c - a private mapping of a file, with pages changed (to zeros, too)
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include "victim_smaps.h"

#define SIZE (64 * 4096)

int main(int argc, char **argv)
{
    char path[5000], text[5000];
    static uint8_t data[SIZE];

    victim_init(argc, argv);
    victim_path(path, sizeof(path), "mapped file\nwith a line feed");
    victim_fill(data, SIZE, 1);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    MUST(fd >= 0 && write(fd, data, SIZE) == SIZE);
    uint8_t *rw = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    uint8_t *ro = mmap(NULL, SIZE / 2, PROT_READ, MAP_PRIVATE, fd, SIZE / 2);
    uint8_t *changed_ro = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    MUST(rw != MAP_FAILED && ro != MAP_FAILED && changed_ro != MAP_FAILED && close(fd) == 0);
    rw[0] ^= 1;
    memset(rw + 10 * 4096, 0, 4096);
    victim_fill(rw + 63 * 4096, 4096, 9);
    changed_ro[5 * 4096 + 7] ^= 0x55;
    MUST(mprotect(changed_ro, SIZE, PROT_READ) == 0);
    victim_ready();
    while (victim_wait()) {
        struct victim_mapping m;
        rw[0] ^= 1;
        CHECK(victim_same(rw, 10 * 4096, 1));
        rw[0] ^= 1;
        for (int i = 0; i < 4096; i++)
            CHECK(rw[10 * 4096 + i] == 0);
        CHECK(memcmp(rw + 11 * 4096, data + 11 * 4096, 52 * 4096) == 0);
        CHECK(victim_same(rw + 63 * 4096, 4096, 9));
        CHECK(memcmp(ro, data + SIZE / 2, SIZE / 2) == 0);
        CHECK(changed_ro[5 * 4096 + 7] == (data[5 * 4096 + 7] ^ 0x55));
        CHECK_MAPPING(rw, "rw-p", "rd wr", "sh");
        CHECK_MAPPING(ro, "r--p", "rd mw", "wr");
        CHECK_MAPPING(changed_ro, "r--p", "rd mw", "wr");
        CHECK(victim_find_mapping(rw, &m) && strstr(m.name, "mapped file\\012with a line feed"));
        /* The file itself was never changed. */
        fd = open(path, O_RDONLY | O_CLOEXEC);
        CHECK(fd >= 0 && read(fd, text, 4096) == 4096 && memcmp(text, data, 4096) == 0);
        close(fd);
    }
    return 0;
}
