/* mqueue.c - message queues: one with a name, one without, several descriptors of one queue */
#include <mqueue.h>
#include <sys/stat.h>
#include "victim.h"

static void pass(mqd_t from, mqd_t to, const char *words)
{
    char text[128];
    unsigned priority = 0;

    memset(text, 0, sizeof(text));
    CHECK(mq_send(from, words, strlen(words) + 1, 3) == 0);
    CHECK_EQ(mq_receive(to, text, sizeof(text), &priority), (ssize_t)strlen(words) + 1);
    CHECK(strcmp(text, words) == 0 && priority == 3);
}

static void check_queue(mqd_t queue, long n_messages, long size)
{
    struct mq_attr attributes = {0};

    CHECK(mq_getattr(queue, &attributes) == 0 && attributes.mq_maxmsg == n_messages);
    CHECK(attributes.mq_msgsize == size && attributes.mq_curmsgs == 0);
}

int main(int argc, char **argv)
{
    struct mq_attr small = {.mq_maxmsg = 3, .mq_msgsize = 100};
    char name[64], unlinked[64], text[128];
    struct stat st;

    victim_init(argc, argv);
    snprintf(name, sizeof(name), "/crs-victim-%d", (int)getpid());
    snprintf(unlinked, sizeof(unlinked), "/crs-victim-%d-gone", (int)getpid());
    mqd_t named = mq_open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640, &small);
    if (named < 0) {
        perror("mq_open");
        return 77;
    }
    mqd_t reader = mq_open(name, O_RDONLY | O_NONBLOCK);
    mqd_t gone = mq_open(unlinked, O_RDWR | O_CREAT, 0600, NULL);
    MUST(reader >= 0 && gone >= 0 && mq_unlink(unlinked) == 0);
    struct mq_attr usual;
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", (int)gone);
    int same = open(path, O_RDWR | O_NONBLOCK);
    MUST(same >= 0 && mq_getattr(gone, &usual) == 0);

    victim_ready();
    while (victim_wait()) {
        check_queue(named, 3, 100);
        pass(named, reader, "through the queue with a name");
        errno = 0;
        CHECK(mq_receive(reader, text, sizeof(text), NULL) < 0 && errno == EAGAIN);
        CHECK(fstat(reader, &st) == 0 && (st.st_mode & 0777) == 0640 && st.st_nlink == 1);
        CHECK(mq_close(mq_open(name, O_RDONLY)) == 0);

        check_queue(gone, usual.mq_maxmsg, usual.mq_msgsize);
        CHECK(mq_send(gone, "x", 2, 0) == 0);
        CHECK(mq_getattr(same, &small) == 0 && small.mq_curmsgs == 1);
        char *large = malloc(usual.mq_msgsize);
        CHECK(mq_receive(same, large, usual.mq_msgsize, NULL) == 2);
        free(large);
        CHECK(fstat(same, &st) == 0 && st.st_nlink == 0);
        CHECK((fcntl(same, F_GETFL) & O_NONBLOCK) && !(fcntl(gone, F_GETFL) & O_NONBLOCK));
        CHECK(fcntl(named, F_GETFD) == FD_CLOEXEC);
    }
    mq_unlink(name);
    return 0;
}
