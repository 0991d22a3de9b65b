/*
 * inotify_deleted.c - a watch of a file that has no name any more is refused
 *
 * refused: no path was found to what its watch 1 is for
 */
#include <sys/inotify.h>
#include "victim.h"

int main(int argc, char **argv)
{
    char path[5000];

    victim_init(argc, argv);
    victim_path(path, sizeof(path), "gone");
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int fd = inotify_init();
    MUST(file >= 0 && fd >= 0 && inotify_add_watch(fd, path, IN_DELETE_SELF) == 1);
    MUST(unlink(path) == 0);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
