/*
 * memory_refused_sysv.c - System V shared memory is refused
 * refused: System V shared memory
 */
#include <sys/shm.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int id = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600);
    MUST(id >= 0);
    char *m = shmat(id, NULL, 0);
    MUST(m != (void *)-1 && shmctl(id, IPC_RMID, NULL) == 0);
    strcpy(m, "here");
    victim_ready();
    while (victim_wait())
        CHECK(strcmp(m, "here") == 0);
    return 0;
}
