/*
 * inotify.c - an inotify instance can't be saved yet: the refusal names it
 *
 * refused: is an inotify instance (anon_inode:inotify)
 */
#include <sys/inotify.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = inotify_init();
    MUST(fd >= 0 && inotify_add_watch(fd, victim_dir, IN_DELETE_SELF) >= 0);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
