/*
 * mqueue.c - a message queue can't be saved yet: the refusal names it
 *
 * refused: is a message queue (mq_open) (/crs-victim-
 */
#include <mqueue.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    char name[64];

    snprintf(name, sizeof(name), "/crs-victim-%d", (int)getpid());
    int fd = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, NULL);
    if (fd < 0) {
        perror("mq_open");
        return 77;
    }
    mq_unlink(name);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
