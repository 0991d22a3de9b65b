/*
 * mqueue_own.c - message queues in an IPC namespace of its own, that nobody has open or somebody
 * has
 *
 * isolate: ipc
 */
#include <mqueue.h>
#include <sys/stat.h>
#include "victim.h"

static void leave(const char *name, int mode, int n)
{
    struct mq_attr attributes = {.mq_maxmsg = 5, .mq_msgsize = 100};
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, mode, &attributes);

    if (queue < 0) {
        perror("mq_open");
        _exit(77);
    }
    for (int i = 0; i < n; i++)
        MUST(mq_send(queue, "left", 5 - i, i) == 0);
    mq_close(queue);
}

static void check_left(const char *name, mode_t mode, int n)
{
    mqd_t queue = mq_open(name, O_RDWR | O_NONBLOCK);
    struct mq_attr attributes = {0};
    char text[100];
    unsigned priority;
    struct stat st;

    CHECK(queue >= 0 && mq_getattr(queue, &attributes) == 0 && fstat(queue, &st) == 0);
    CHECK(attributes.mq_maxmsg == 5 && attributes.mq_msgsize == 100);
    CHECK_EQ(attributes.mq_curmsgs, n);
    CHECK_EQ(st.st_mode & 0777, mode);
    CHECK_EQ(st.st_uid, getuid());
    for (int i = n - 1; i >= 0; i--)
        CHECK(mq_receive(queue, text, sizeof(text), &priority) == 5 - i && (int)priority == i);
    for (int i = 0; i < n; i++)
        CHECK(mq_send(queue, "left", 5 - i, i) == 0);
    mq_close(queue);
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    leave("/empty", 0600, 0);
    leave("/messages", 0640, 4);
    leave("/open", 0600, 3);
    mqd_t open = mq_open("/open", O_RDWR);
    MUST(open >= 0);

    victim_ready();
    while (victim_wait()) {
        struct mq_attr attributes = {0};
        check_left("/empty", 0600, 0);
        check_left("/messages", 0640, 4);
        check_left("/open", 0600, 3);
        CHECK(mq_getattr(open, &attributes) == 0 && attributes.mq_curmsgs == 3);
    }
    return 0;
}
