/*
 * fanotify_permission.c - a fanotify group that others wait for is refused
 *
 * refused: is a fanotify group (anon_inode:[fanotify])
 * situations: -user
 */
#include <sys/fanotify.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = fanotify_init(FAN_CLASS_CONTENT, O_RDONLY);
    if (fd < 0) {
        perror("fanotify_init");
        return 77;
    }

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
