/*
 * sysv_ipc_own.c - semaphores and message queues in an IPC namespace of its own: IDs, keys, values
 *
 * isolate: ipc
 */
#include <pthread.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include "victim.h"

#define KEY   0x43525311
#define MANY  300 /* semaphores */
#define SMALL 1000

struct message {
    long type;
    char text[64];
};

static void check_semaphores(int id, int other)
{
    unsigned short values[MANY];
    struct semid_ds status;
    struct sembuf up = {7, 2, IPC_NOWAIT}, down = {7, -2, IPC_NOWAIT};

    CHECK_EQ(semget(KEY, 0, 0), id);
    CHECK(semctl(id, 0, IPC_STAT, &status) == 0 && status.sem_nsems == MANY);
    CHECK_EQ(status.sem_perm.mode & 0777, 0640);
    CHECK_EQ(status.sem_perm.uid, getuid());
    CHECK(status.sem_otime != 0);
    CHECK(semctl(id, 0, GETALL, values) == 0);
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(values[i], i == 3 ? 32767 : i % 5);
    CHECK(semop(id, &up, 1) == 0 && semop(id, &down, 1) == 0);

    CHECK(semctl(other, 0, IPC_STAT, &status) == 0 && status.sem_otime == 0);
    CHECK_EQ(semctl(other, 0, GETVAL), 0);
}

/* Messages of different types, one of them empty; taken, and put back. */
static void check_messages(int id)
{
    struct message got[3];
    struct msqid_ds status;
    const char *words[] = {"first", "second", ""};

    CHECK_EQ(msgget(KEY, 0), id);
    CHECK(msgctl(id, IPC_STAT, &status) == 0 && status.msg_qnum == 3);
    CHECK_EQ(status.msg_perm.mode & 0777, 0600);
    CHECK_EQ(status.msg_qbytes, SMALL);
    for (int i = 0; i < 3; i++) {
        size_t size = strlen(words[i]);
        memset(&got[i], 0, sizeof(got[i]));
        CHECK_EQ(msgrcv(id, &got[i], sizeof(got[i].text), 0, IPC_NOWAIT), (ssize_t)size);
        CHECK(memcmp(got[i].text, words[i], size) == 0);
        CHECK_EQ(got[i].type, 30 - 10 * i);
    }
    CHECK(msgrcv(id, &got[2], 1, 0, IPC_NOWAIT) < 0);
    for (int i = 0; i < 3; i++)
        CHECK(msgsnd(id, &got[i], strlen(words[i]), IPC_NOWAIT) == 0);
}

/* ---- waiting ---- */

static int bell, line;

/* Answers each ring with another one, and each message with one of type 2. */
static void *answer_rings(void *arg)
{
    struct sembuf wait = {0, -1, 0}, answer = {1, 1, 0};

    while (semop(bell, &wait, 1) == 0 && semop(bell, &answer, 1) == 0)
        ;
    victim_fail("semop: errno %d", errno);
    return arg;
}

static void *answer_messages(void *arg)
{
    struct message message;

    while (msgrcv(line, &message, 1, 1, 0) == 0) {
        message.type = 2;
        if (msgsnd(line, &message, 0, 0) < 0)
            break;
    }
    victim_fail("msgrcv: errno %d", errno);
    return arg;
}

static void check_waiting(void)
{
    struct sembuf ring = {0, 1, 0}, wait = {1, -1, 0};
    struct message message = {.type = 1};
    struct msqid_ds status;

    CHECK(semop(bell, &ring, 1) == 0 && semop(bell, &wait, 1) == 0);
    CHECK(msgsnd(line, &message, 0, 0) == 0 && msgrcv(line, &message, 1, 2, 0) == 0);
    CHECK(msgctl(line, IPC_STAT, &status) == 0 && status.msg_qnum == 0);
    CHECK_EQ(status.msg_perm.mode & 0777, 0622);
}

static int make_semaphores(void)
{
    unsigned short values[MANY];
    int id = semget(KEY, MANY, IPC_CREAT | IPC_EXCL | 0640);
    struct sembuf up = {7, 1, 0};

    MUST(id >= 0);
    for (int i = 0; i < MANY; i++)
        values[i] = i == 3 ? 32767 : i % 5 - (i == 7);
    MUST(semctl(id, 0, SETALL, values) == 0 && semop(id, &up, 1) == 0);
    return id;
}

static void send(int id, long type, const char *words)
{
    struct message message = {.type = type};

    memcpy(message.text, words, strlen(words));
    MUST(msgsnd(id, &message, strlen(words), IPC_NOWAIT) == 0);
}

/* Some are removed again, so that the IDs are not the first. */
int main(int argc, char **argv)
{
    struct msqid_ds status;
    pthread_t threads[2];

    victim_init(argc, argv);
    for (int i = 0; i < 100; i++) {
        MUST(semctl(semget(IPC_PRIVATE, 1, 0600), 0, IPC_RMID) == 0);
        MUST(msgctl(msgget(IPC_PRIVATE, 0600), IPC_RMID, NULL) == 0);
    }
    int semaphores = make_semaphores(), other = semget(IPC_PRIVATE, 1, 0600);
    int queue = msgget(KEY, IPC_CREAT | 0600);
    line = msgget(IPC_PRIVATE, 0622);
    bell = semget(IPC_PRIVATE, 2, 0600);
    MUST(other >= 0 && queue >= 0 && line >= 0 && bell >= 0);
    MUST(pthread_create(&threads[0], NULL, answer_rings, NULL) == 0);
    MUST(pthread_create(&threads[1], NULL, answer_messages, NULL) == 0);
    MUST(msgctl(queue, IPC_STAT, &status) == 0);
    status.msg_qbytes = SMALL;
    MUST(msgctl(queue, IPC_SET, &status) == 0);
    send(queue, 30, "first");
    send(queue, 20, "second");
    send(queue, 10, "");

    victim_ready();
    while (victim_wait()) {
        check_semaphores(semaphores, other);
        check_messages(queue);
        check_waiting();
    }
    return 0;
}
