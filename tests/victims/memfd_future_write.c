/*
 * memfd_future_write.c - a seal that spares the mapping that is there already (F_SEAL_FUTURE_WRITE)
 */
#include <sys/mman.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = memfd_create("buffer", MFD_ALLOW_SEALING);
    MUST(fd >= 0 && ftruncate(fd, 8192) == 0);
    char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(map != MAP_FAILED && fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0);
    strcpy(map + 5000, "shared");

    victim_ready();
    while (victim_wait()) {
        char buffer[16] = "";
        CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_FUTURE_WRITE);
        CHECK(pwrite(fd, "x", 1, 0) < 0 && errno == EPERM);
        map[0]++;
        CHECK(pread(fd, buffer, 1, 0) == 1 && buffer[0] == map[0]);
        CHECK(pread(fd, buffer, 7, 5000) == 7 && strcmp(buffer, "shared") == 0);
        CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    }
    return 0;
}
