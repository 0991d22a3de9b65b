/*
 * tmpfile.c - a file that never had a name (O_TMPFILE)
 */
#include <sys/stat.h>
#include "victim.h"

int main(int argc, char **argv)
{
    char buffer[16];
    struct stat st;

    victim_init(argc, argv);
    int fd = open(victim_dir, O_TMPFILE | O_RDWR, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        fprintf(stderr, "the file system has no O_TMPFILE\n");
        return 77;
    }
    MUST(fd >= 0 && write(fd, "temporary", 9) == 9 && lseek(fd, 4, SEEK_SET) == 4);

    victim_ready();
    while (victim_wait()) {
        CHECK(fstat(fd, &st) == 0 && st.st_size == 9 && st.st_nlink == 0);
        CHECK(read(fd, buffer, sizeof(buffer)) == 5 && memcmp(buffer, "orary", 5) == 0);
        CHECK_EQ(lseek(fd, 4, SEEK_SET), 4);
        CHECK_EQ(write(fd, "orary", 5), 5);
        CHECK_EQ(lseek(fd, 4, SEEK_SET), 4);
    }
    return 0;
}
