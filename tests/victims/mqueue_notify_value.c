/*
 * mqueue_notify_value.c - the value of a notification, which the program could see, can't be saved
 *
 * refused: with a value that the kernel doesn't tell
 */
#include <mqueue.h>
#include <signal.h>
#include "victim.h"

static void *seen;

static void on_signal(int sig, siginfo_t *info, void *context)
{
    seen = info->si_value.sival_ptr;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigevent event = {
        .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGURG, .sigev_value.sival_ptr = &action};
    struct mq_attr small = {.mq_maxmsg = 3, .mq_msgsize = 100};
    char name[64], text[100];

    victim_init(argc, argv);
    snprintf(name, sizeof(name), "/crs-victim-%d", (int)getpid());
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &small);
    if (queue < 0) {
        perror("mq_open");
        return 77;
    }
    MUST(sigaction(SIGURG, &action, NULL) == 0);
    MUST(mq_unlink(name) == 0 && mq_notify(queue, &event) == 0);

    victim_ready();
    while (victim_wait()) {
        seen = NULL;
        CHECK(mq_send(queue, "x", 2, 0) == 0);
        CHECK(mq_receive(queue, text, sizeof(text), NULL) == 2);
        CHECK(seen == &action);
        CHECK(mq_notify(queue, &event) == 0);
    }
    return 0;
}
