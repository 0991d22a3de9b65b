/*
 * mqueue_messages.c - message queues with messages in them: priorities, order, sizes, full ones;
 * with a name, without, both ends in different processes, somebody waiting
 */
#include <mqueue.h>
#include <pthread.h>
#include <sys/stat.h>
#include "victim_tree.h"

#define N 10

static const struct {
    unsigned priority;
    const char *text;
} expected[N] = {
    {32767, "most"}, {9, "a"}, {9, "b"},    {9, ""},       {5, "five"},
    {5, "again"},    {1, "1"}, {0, "zero"}, {0, "nought"}, {0, "last"},
};

static mqd_t named, gone, full, bell, answer;

/* Not in the order in which they come out. */
static void fill(mqd_t queue)
{
    static const int order[N] = {7, 4, 1, 6, 8, 2, 0, 9, 3, 5};

    for (int i = 0; i < N; i++)
        MUST(mq_send(queue, expected[order[i]].text, strlen(expected[order[i]].text),
                     expected[order[i]].priority) == 0);
}

static void check_messages(mqd_t queue)
{
    char text[100];
    unsigned priority;
    struct mq_attr attributes;

    CHECK(mq_getattr(queue, &attributes) == 0 && attributes.mq_curmsgs == N);
    for (int i = 0; i < N; i++) {
        memset(text, 0, sizeof(text));
        CHECK_EQ(mq_receive(queue, text, sizeof(text), &priority),
                 (ssize_t)strlen(expected[i].text));
        CHECK(strcmp(text, expected[i].text) == 0);
        CHECK_EQ(priority, expected[i].priority);
    }
    CHECK(mq_getattr(queue, &attributes) == 0 && attributes.mq_curmsgs == 0);
    fill(queue);
}

/* In the child: the same queue, by the description that it shares. */
static void act(char command, struct tree_answer *result)
{
    if (command == 'c')
        check_messages(named);
    result->value = victim_words[0] ? 1 : 0;
}

/* The one message must neither come out twice nor vanish: a sender waits for room. */
static void *send_more(void *arg)
{
    for (;;)
        if (mq_send(full, "more", 5, 0) < 0)
            victim_fail("mq_send: errno %d", errno);
    return arg;
}

static void *ring(void *arg)
{
    char text[100];

    while (mq_receive(bell, text, sizeof(text), NULL) == 5)
        mq_send(answer, text, 5, 7);
    victim_fail("mq_receive: errno %d", errno);
    return arg;
}

static mqd_t open_queue(const char *name, int n)
{
    struct mq_attr attributes = {.mq_maxmsg = n, .mq_msgsize = 100};
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);

    if (queue < 0) {
        perror("mq_open");
        _exit(77);
    }
    return queue;
}

static mqd_t open_nameless(const char *name, int n)
{
    mqd_t queue = open_queue(name, n);

    MUST(mq_unlink(name) == 0);
    return queue;
}

static void check_waiting(void)
{
    char text[100];
    struct mq_attr attributes;
    unsigned priority;

    for (int i = 0; i < 3; i++)
        CHECK(mq_receive(full, text, sizeof(text), &priority) == 5 && strcmp(text, "more") == 0);
    CHECK(mq_send(bell, "ding", 5, 3) == 0);
    CHECK(mq_receive(answer, text, sizeof(text), &priority) == 5 && priority == 7);
    CHECK(strcmp(text, "ding") == 0);
    CHECK(mq_getattr(bell, &attributes) == 0 && attributes.mq_curmsgs == 0);
}

int main(int argc, char **argv)
{
    pthread_t threads[2];
    char name[64];
    struct stat st;

    victim_init(argc, argv);
    snprintf(name, sizeof(name), "/crs-victim-%d", (int)getpid());
    gone = open_nameless(name, N);
    full = open_nameless(name, 1);
    bell = open_nameless(name, 2);
    answer = open_nameless(name, 2);
    named = open_queue(name, N);
    fill(gone);
    fill(named);
    MUST(mq_send(full, "more", 5, 0) == 0);
    struct tree_child child = tree_start(act);
    mqd_t reader = mq_open(name, O_RDONLY | O_NONBLOCK);
    MUST(reader >= 0 && pthread_create(&threads[0], NULL, send_more, NULL) == 0);
    MUST(pthread_create(&threads[1], NULL, ring, NULL) == 0);

    victim_ready();
    while (victim_wait()) {
        check_messages(gone);
        check_messages(named);
        CHECK_EQ(tree_ask(&child, 'c').value, 0);
        CHECK(fstat(named, &st) == 0 && st.st_nlink == 1 && fstat(gone, &st) == 0 && !st.st_nlink);
        check_waiting();
    }
    mq_unlink(name);
    tree_end(&child);
    return tree_result();
}
