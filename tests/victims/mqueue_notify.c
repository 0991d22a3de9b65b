/*
 * mqueue_notify.c - a message queue that will send a signal is refused
 *
 * refused: a process is to be notified of its next message
 */
#include <mqueue.h>
#include <signal.h>
#include "victim.h"

int main(int argc, char **argv)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGURG};
    struct mq_attr small = {.mq_maxmsg = 3, .mq_msgsize = 100};
    char name[64];

    victim_init(argc, argv);
    snprintf(name, sizeof(name), "/crs-victim-%d", (int)getpid());
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &small);
    if (queue < 0) {
        perror("mq_open");
        return 77;
    }
    MUST(mq_unlink(name) == 0 && mq_notify(queue, &event) == 0);

    victim_ready();
    while (victim_wait())
        CHECK(mq_notify(queue, &event) < 0 && errno == EBUSY);
    return 0;
}
