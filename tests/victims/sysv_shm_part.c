/*
 * sysv_shm_part.c - System V shared memory of which a part was unmapped is refused
 * refused: of which another part was unmapped
 */
#include <sys/mman.h>
#include <sys/shm.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int id = shmget(IPC_PRIVATE, 3 * 4096, IPC_CREAT | 0600);
    MUST(id >= 0);
    char *m = shmat(id, NULL, 0);
    MUST(m != (void *)-1 && shmctl(id, IPC_RMID, NULL) == 0 && munmap(m, 4096) == 0);
    strcpy(m + 4096, "here");

    victim_ready();
    while (victim_wait())
        CHECK(strcmp(m + 4096, "here") == 0);
    return 0;
}
