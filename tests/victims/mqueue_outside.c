/*
 * mqueue_outside.c - messages that a process outside of the checkpoint could take
 *
 * isolated: saved (who is outside is taken in by the supervisor)
 * refused: which isn't part of the checkpoint and could take them
 */
#include <mqueue.h>
#include "victim_tree.h"

/* A process that leaves the tree: its parent ends before it. */
static void start_other(const int *ends)
{
    pid_t pid = fork();
    char byte;

    MUST(pid >= 0);
    if (pid > 0) {
        waitpid(pid, NULL, 0);
        return;
    }
    if (fork() == 0) {
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) < 0);
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    struct mq_attr small = {.mq_maxmsg = 3, .mq_msgsize = 100}, now;
    char name[64];
    int ends[2];

    victim_init(argc, argv);
    snprintf(name, sizeof(name), "/crs-victim-%d", (int)getpid());
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &small);
    if (queue < 0) {
        perror("mq_open");
        return 77;
    }
    MUST(pipe(ends) == 0);
    start_other(ends);
    MUST(mq_send(queue, "words", 6, 0) == 0);
    victim_ready();
    while (victim_wait())
        CHECK(mq_getattr(queue, &now) == 0 && now.mq_curmsgs == 1);
    mq_unlink(name);
    return 0;
}
