/*
 * memfd.c - files in memory: content shared with a mapping, name, seals, two descriptions
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include "victim.h"

int main(int argc, char **argv)
{
    char buffer[16], name[64], link[64];
    struct stat st;

    victim_init(argc, argv);
    int fd = memfd_create("a name", MFD_ALLOW_SEALING),
        sealed = memfd_create("s", MFD_ALLOW_SEALING);
    int plain = memfd_create("plain", MFD_CLOEXEC);
    MUST(fd >= 0 && sealed >= 0 && plain >= 0);
    MUST(ftruncate(fd, 1 << 20) == 0 && write(fd, "head", 4) == 4);
    char *map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(map != MAP_FAILED);
    strcpy(map + 500000, "middle");
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    int ro = open(name, O_RDONLY);
    MUST(ro >= 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) == 0);
    MUST(write(sealed, "fixed", 5) == 5);
    MUST(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0);

    victim_ready();
    while (victim_wait()) {
        CHECK(fstat(fd, &st) == 0 && st.st_size == 1 << 20 && st.st_blocks < 1000);
        CHECK_EQ(lseek(fd, 0, SEEK_CUR), 4);
        CHECK(pread(ro, buffer, 7, 500000) == 7 && strcmp(buffer, "middle") == 0);
        CHECK(pwrite(fd, "HEAD", 4, 0) == 4 && memcmp(map, "HEAD", 4) == 0);
        memcpy(map, "head", 4);
        CHECK(pread(ro, buffer, 4, 0) == 4 && memcmp(buffer, "head", 4) == 0);
        CHECK(write(ro, "x", 1) < 0);
        CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_GROW | F_SEAL_SHRINK);
        CHECK(ftruncate(fd, 1) < 0);
        CHECK_EQ(fcntl(sealed, F_GET_SEALS),
                 F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
        CHECK(pread(sealed, buffer, 6, 0) == 5 && memcmp(buffer, "fixed", 5) == 0);
        CHECK(pwrite(sealed, "x", 1, 0) < 0 && errno == EPERM);
        CHECK_EQ(fcntl(plain, F_GET_SEALS), F_SEAL_SEAL);
        ssize_t n = readlink(name, link, sizeof(link) - 1);
        CHECK(n > 0 && (link[n] = 0, strcmp(link, "/memfd:a name (deleted)") == 0));
    }
    return 0;
}
