/*
 * deleted.c - files that have no name any more keep their content, and those who share one share it
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include "victim.h"

#define HOLE (1 << 20)

int main(int argc, char **argv)
{
    char path[5000], buffer[16];
    struct stat st;

    victim_init(argc, argv);
    victim_path(path, sizeof(path), "gone");
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0640);
    int reader = open(path, O_RDONLY);
    MUST(fd >= 0 && reader >= 0 && write(fd, "content", 7) == 7);
    MUST(pwrite(fd, "end", 3, HOLE) == 3 && fchmod(fd, 0440) == 0 && unlink(path) == 0);
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(map != MAP_FAILED);

    victim_ready();
    while (victim_wait()) {
        CHECK(fstat(fd, &st) == 0 && st.st_size == HOLE + 3 && st.st_nlink == 0);
        CHECK_EQ(st.st_mode & 07777, 0440);
        CHECK(st.st_blocks < HOLE / 512);
        CHECK_EQ(lseek(fd, 0, SEEK_CUR), 7);
        CHECK(pread(fd, buffer, 7, 0) == 7 && memcmp(buffer, "content", 7) == 0);
        CHECK(pread(reader, buffer, 3, HOLE) == 3 && memcmp(buffer, "end", 3) == 0);
        CHECK(memcmp(map, "content", 7) == 0);
        CHECK(pwrite(fd, "CON", 3, 0) == 3 && memcmp(map, "CONtent", 7) == 0);
        memcpy(map, "con", 3);
        CHECK(pread(reader, buffer, 7, 0) == 7 && memcmp(buffer, "content", 7) == 0);
    }
    return 0;
}
