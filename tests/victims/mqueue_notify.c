/*
 * mqueue_notify.c - processes that are to be told of the next message: by a signal, or not at all
 */
#include <mqueue.h>
#include "victim_tree.h"

static mqd_t by_signal, silent, of_child;
static volatile sig_atomic_t n_signals;

static void on_signal(int sig)
{
    n_signals++;
}

static mqd_t open_queue(void)
{
    struct mq_attr attributes = {.mq_maxmsg = 3, .mq_msgsize = 100};
    char name[64];

    snprintf(name, sizeof(name), "/crs-victim-%d", (int)getpid());
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
    if (queue < 0) {
        perror("mq_open");
        _exit(77);
    }
    MUST(mq_unlink(name) == 0);
    return queue;
}

static int ask(mqd_t queue, int how, int sig)
{
    struct sigevent event = {.sigev_notify = how, .sigev_signo = sig};

    return mq_notify(queue, &event);
}

/* 'a': is to be told; 'n': how often it was. */
static void act(char command, struct tree_answer *answer)
{
    if (command == 'a')
        answer->value = ask(of_child, SIGEV_SIGNAL, SIGURG);
    if (command == 'n')
        answer->value = n_signals;
}

static void check_told(mqd_t queue)
{
    char text[100];

    CHECK(ask(queue, SIGEV_SIGNAL, SIGUSR2) < 0 && errno == EBUSY);
    CHECK(mq_send(queue, "x", 2, 0) == 0);
    CHECK(mq_receive(queue, text, sizeof(text), NULL) == 2);
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    int before = 0, before_child = 0;

    victim_init(argc, argv);
    MUST(sigaction(SIGURG, &action, NULL) == 0);
    by_signal = open_queue();
    silent = open_queue();
    of_child = open_queue();
    struct tree_child child = tree_start(act);
    MUST(ask(by_signal, SIGEV_SIGNAL, SIGURG) == 0 && ask(silent, SIGEV_NONE, 0) == 0);
    MUST(tree_ask(&child, 'a').value == 0);

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(n_signals, before);
        check_told(by_signal);
        CHECK_EQ(n_signals, ++before);
        CHECK(ask(by_signal, SIGEV_SIGNAL, SIGURG) == 0);
        check_told(silent);
        CHECK(ask(silent, SIGEV_NONE, 0) == 0);
        CHECK_EQ(tree_ask(&child, 'n').value, before_child);
        check_told(of_child);
        CHECK_EQ(tree_ask(&child, 'n').value, ++before_child);
        CHECK_EQ(tree_ask(&child, 'a').value, 0);
    }
    tree_end(&child);
    return tree_result();
}
