/*
 * fanotify.c - a fanotify group can't be saved yet: the refusal names it
 *
 * refused: is a fanotify group (anon_inode:[fanotify])
 */
#include <sys/fanotify.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY);
    if (fd < 0) {
        perror("fanotify_init");
        return 77;
    }

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
