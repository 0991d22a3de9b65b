/*
 * posix_shm.c - POSIX shared memory with a name: two mappings and a descriptor, all of one file;
 * and a temporary file that is mapped
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include "victim_smaps.h"

#define SIZE (64 * 4096)

int main(int argc, char **argv)
{
    char name[64], path[100], temporary[5000];
    struct stat st, mapped;
    uint64_t count = 0, seen;

    victim_init(argc, argv);
    snprintf(name, sizeof(name), "/crs-victim-%lu-%ld", victim_number(), (long)time(NULL));
    snprintf(path, sizeof(path), "/dev/shm%s", name);
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0640);
    MUST(fd >= 0 && ftruncate(fd, SIZE) == 0 && fchmod(fd, 0640) == 0);
    int reader = shm_open(name, O_RDONLY, 0);
    uint64_t *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint64_t *view = mmap(NULL, 4096, PROT_READ, MAP_SHARED, reader, 8 * 4096);
    MUST(memory != MAP_FAILED && view != MAP_FAILED && reader >= 0 && close(reader) == 0);

    victim_path(temporary, sizeof(temporary), "temporary");
    int tfd = open(temporary, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    MUST(tfd >= 0 && ftruncate(tfd, 8192) == 0);
    uint64_t *file = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, tfd, 0);
    MUST(file != MAP_FAILED && close(tfd) == 0);
    memory[0] = 17; /* far from the other page */

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(memory[8 * 512 + 3], count);
        CHECK_EQ(memory[0], 17);
        memory[8 * 512 + 3] = ++count;
        CHECK_EQ(view[3], count);
        CHECK(pread(fd, &seen, 8, 8 * 4096 + 24) == 8 && seen == count);
        CHECK(fstat(fd, &mapped) == 0 && stat(path, &st) == 0 && st.st_ino == mapped.st_ino);
        CHECK(st.st_size == SIZE && (st.st_mode & 0777) == 0640);
        CHECK_MAPPING(memory, "rw-s", "sh mw ms", "");
        CHECK_MAPPING(view, "r--s", "mr", "mw");
        CHECK(mprotect(view, 4096, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);

        CHECK_EQ(file[700], count - 1);
        file[700] = count;
        tfd = open(temporary, O_RDONLY | O_CLOEXEC);
        CHECK(tfd >= 0 && pread(tfd, &seen, 8, 5600) == 8 && seen == count && close(tfd) == 0);
    }
    shm_unlink(name);
    return 0;
}
