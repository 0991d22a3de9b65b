/*
 * mqueue_messages.c - a message queue with messages in it is refused
 *
 * refused: there are messages in it, which can't be saved
 */
#include <mqueue.h>
#include "victim.h"

int main(int argc, char **argv)
{
    struct mq_attr small = {.mq_maxmsg = 3, .mq_msgsize = 100}, now;
    char name[64];

    victim_init(argc, argv);
    snprintf(name, sizeof(name), "/crs-victim-%d", (int)getpid());
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &small);
    if (queue < 0) {
        perror("mq_open");
        return 77;
    }
    MUST(mq_unlink(name) == 0 && mq_send(queue, "words", 6, 0) == 0);

    victim_ready();
    while (victim_wait())
        CHECK(mq_getattr(queue, &now) == 0 && now.mq_curmsgs == 1);
    return 0;
}
