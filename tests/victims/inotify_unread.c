/*
 * inotify_unread.c - events that were not read: the running program keeps them, the restarted one
 * is told that they are lost
 */
#include <sys/inotify.h>
#include <sys/stat.h>
#include "victim.h"

int main(int argc, char **argv)
{
    struct inotify_event e;
    char path[5000];

    victim_init(argc, argv);
    victim_path(path, sizeof(path), "watched");
    MUST(mkdir(path, 0700) == 0);
    int fd = inotify_init1(IN_NONBLOCK);
    int wd = inotify_add_watch(fd, path, IN_ATTRIB | IN_DELETE_SELF);
    MUST(wd >= 0 && chmod(path, 0711) == 0);

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(read(fd, &e, sizeof(e)), (ssize_t)sizeof(e));
        if (strcmp(victim_situation(), "continue") == 0) {
            CHECK_EQ(e.wd, wd);
            CHECK_EQ(e.mask, IN_ATTRIB | IN_ISDIR);
        } else {
            CHECK_EQ(e.wd, -1);
            CHECK_EQ(e.mask, IN_Q_OVERFLOW);
        }
        errno = 0;
        CHECK(read(fd, &e, sizeof(e)) < 0 && errno == EAGAIN);
        CHECK(chmod(path, 0711) == 0);
    }
    return 0;
}
