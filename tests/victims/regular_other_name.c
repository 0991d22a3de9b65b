/*
 * regular_other_name.c - files that have lost the name that they were opened by, but have another:
 * hard links, and one that was made without a name (O_TMPFILE) and got one later
 */
#include <sys/stat.h>
#include "victim.h"

static char first[5000], second[5000], linked[5000];

/* What is written by the descriptor is in the file with that name, and the other way round. */
static void check_same(int fd, const char *path)
{
    char letter = 'a' + victim_round % 20, seen = 0;
    struct stat st, named;

    CHECK(fstat(fd, &st) == 0 && stat(path, &named) == 0 && st.st_ino == named.st_ino);
    CHECK(pwrite(fd, &letter, 1, 3) == 1);
    int other = open(path, O_RDWR | O_CLOEXEC);
    CHECK(other >= 0 && pread(other, &seen, 1, 3) == 1 && seen == letter);
    letter++;
    CHECK(pwrite(other, &letter, 1, 4) == 1 && pread(fd, &seen, 1, 4) == 1 && seen == letter);
    close(other);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 7);
}

int main(int argc, char **argv)
{
    char path[64];

    victim_init(argc, argv);
    victim_path(first, sizeof(first), "first");
    victim_path(second, sizeof(second), "second");
    victim_path(linked, sizeof(linked), "linked");
    int fd = open(first, O_RDWR | O_CREAT | O_EXCL, 0600);
    MUST(fd >= 0 && write(fd, "content", 7) == 7);
    MUST(link(first, second) == 0 && unlink(first) == 0);
    int tmp = open(victim_dir, O_TMPFILE | O_RDWR, 0600);
    if (tmp >= 0) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", tmp);
        MUST(write(tmp, "content", 7) == 7);
        MUST(linkat(AT_FDCWD, path, AT_FDCWD, linked, AT_SYMLINK_FOLLOW) == 0);
    }

    victim_ready();
    while (victim_wait()) {
        check_same(fd, second);
        if (tmp >= 0)
            check_same(tmp, linked);
    }
    return 0;
}
