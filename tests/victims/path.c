/*
 * path.c - places opened with O_PATH
 */
#include <sys/stat.h>
#include "victim.h"

int main(int argc, char **argv)
{
    char link[5000], c;
    struct stat st;

    victim_init(argc, argv);
    victim_path(link, sizeof(link), "link");
    MUST(symlink("/nowhere", link) == 0);
    int directory = open(victim_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int symbolic = open(link, O_PATH | O_NOFOLLOW);
    MUST(directory >= 0 && symbolic >= 0);
    int flags = fcntl(symbolic, F_GETFL);

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(faccessat(directory, "ready", F_OK, 0), 0);
        errno = 0;
        CHECK(read(directory, &c, 1) < 0 && errno == EBADF);
        CHECK_EQ(fcntl(directory, F_GETFD), FD_CLOEXEC);
        CHECK(fstat(symbolic, &st) == 0 && S_ISLNK(st.st_mode));
        CHECK_EQ(fcntl(symbolic, F_GETFL), flags);
    }
    return 0;
}
