/*
 * regular_direct.c - a file that is read and written past the cache (O_DIRECT), and a sparse one
 */
#include <sys/stat.h>
#include "victim.h"

#define SPARSE (1l << 30)

static char buffer[4096] __attribute__((aligned(4096)));

int main(int argc, char **argv)
{
    char path[5000];
    struct stat st;

    victim_init(argc, argv);
    victim_path(path, sizeof(path), "direct");
    int fd = open(path, O_RDWR | O_CREAT | O_DIRECT, 0600);
    if (fd < 0) {
        fprintf(stderr, "the file system has no O_DIRECT\n");
        return 77;
    }
    memset(buffer, 'd', sizeof(buffer));
    MUST(write(fd, buffer, sizeof(buffer)) == sizeof(buffer));
    victim_path(path, sizeof(path), "gone");
    int gone = open(path, O_RDWR | O_CREAT | O_DIRECT, 0600);
    MUST(gone >= 0 && ftruncate(gone, SPARSE) == 0 && unlink(path) == 0);
    MUST(pwrite(gone, buffer, sizeof(buffer), SPARSE / 2) == sizeof(buffer));

    victim_ready();
    while (victim_wait()) {
        CHECK(fcntl(fd, F_GETFL) & O_DIRECT);
        CHECK(fcntl(gone, F_GETFL) & O_DIRECT);
        CHECK_EQ(lseek(fd, 0, SEEK_CUR), 4096);
        memset(buffer, 0, sizeof(buffer));
        CHECK(pread(fd, buffer, 4096, 0) == 4096 && buffer[4095] == 'd');
        memset(buffer, 0, sizeof(buffer));
        CHECK(pread(gone, buffer, 4096, SPARSE / 2) == 4096 && buffer[4095] == 'd');
        CHECK(pwrite(gone, buffer, 4096, SPARSE / 2) == 4096);
        CHECK(fstat(gone, &st) == 0 && st.st_size == SPARSE && st.st_blocks <= 64);
    }
    return 0;
}
