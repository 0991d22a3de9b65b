/*
 * sysv_ipc_semaphores.c - System V semaphores in use are refused
 * isolated: saved
 * refused: uses the System V semaphores with the ID
 */
#include <sys/sem.h>
#include "victim.h"

int main(int argc, char **argv)
{
    struct sembuf up = {.sem_num = 1, .sem_op = 1};

    victim_init(argc, argv);
    int id = semget(IPC_PRIVATE, 2, IPC_CREAT | 0600);
    if (id < 0) {
        perror("semget");
        return 77;
    }
    MUST(semop(id, &up, 1) == 0);

    victim_ready();
    while (victim_wait())
        CHECK_EQ(semctl(id, 1, GETVAL), 1);
    semctl(id, 0, IPC_RMID);
    return 0;
}
