/*
 * memfd_hugetlb.c - a memfd of huge pages: sealed, mapped in part and privately, with holes
 *
 * hugepages: 12
 */
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include "victim_smaps.h"

#define HUGE (2ul << 20)

int main(int argc, char **argv)
{
    struct statfs fs;
    struct stat st;

    victim_init(argc, argv);
    int fd = memfd_create("huge", MFD_HUGETLB | MAP_HUGE_2MB | MFD_ALLOW_SEALING | MFD_CLOEXEC);
    if (fd < 0) {
        perror("memfd_create");
        return 77;
    }
    MUST(ftruncate(fd, 64 * HUGE) == 0);
    uint8_t *part = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 62 * HUGE);
    uint8_t *first = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint8_t *own = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 62 * HUGE);
    if (part == MAP_FAILED || first == MAP_FAILED || own == MAP_FAILED) {
        fprintf(stderr, "no huge pages: %s\n", strerror(errno));
        return 77;
    }
    victim_fill(part + HUGE - 4096, 2 * 4096, 1);
    victim_fill(own, 4096, 2);
    victim_fill(first + 4096, 4096, 3);
    MUST(munmap(first, HUGE) == 0);
    MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    lseek(fd, 5000, SEEK_SET);

    victim_ready();
    while (victim_wait()) {
        uint8_t page[4096];
        CHECK(victim_same(part + HUGE - 4096, 2 * 4096, 1) && part[0] == 0);
        CHECK(victim_same(own, 4096, 2) && victim_same(own + HUGE - 4096, 2 * 4096, 1));
        CHECK(pread(fd, page, sizeof(page), 4096) == sizeof(page) && victim_same(page, 4096, 3));
        CHECK_EQ(lseek(fd, 0, SEEK_CUR), 5000);
        CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK);
        CHECK(ftruncate(fd, HUGE) < 0 && errno == EPERM);
        CHECK(fstatfs(fd, &fs) == 0 && fs.f_bsize == HUGE);
        CHECK(fstat(fd, &st) == 0 && st.st_size == 64 * HUGE);
        CHECK_EQ(st.st_blocks, 3 * HUGE / 512); /* holes have stayed holes */
        CHECK_MAPPING(part, "rw-s", "ht sh", "");
        CHECK_MAPPING(own, "rw-p", "ht", "");
        part[HUGE / 2]++; /* the same pages still */
        CHECK(pread(fd, page, 1, 62 * HUGE + HUGE / 2) == 1 && page[0] == part[HUGE / 2]);
    }
    return 0;
}
