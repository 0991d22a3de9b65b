/*
 * sysv_ipc_queue.c - a System V message queue in use is refused
 * isolated: saved
 * refused: uses the System V message queue with the ID
 */
#include <sys/msg.h>
#include "victim.h"

int main(int argc, char **argv)
{
    struct {
        long type;
        char text[8];
    } message = {1, "words"}, got;

    victim_init(argc, argv);
    int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    if (id < 0) {
        perror("msgget");
        return 77;
    }
    MUST(msgsnd(id, &message, sizeof(message.text), 0) == 0);

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(msgrcv(id, &got, sizeof(got.text), 1, IPC_NOWAIT), (ssize_t)sizeof(got.text));
        CHECK(strcmp(got.text, "words") == 0);
        CHECK(msgsnd(id, &message, sizeof(message.text), 0) == 0);
    }
    msgctl(id, IPC_RMID, NULL);
    return 0;
}
