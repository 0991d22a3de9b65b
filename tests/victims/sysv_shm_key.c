/* sysv_shm_key.c - System V shared memory with a key, and one without that others may attach */
#include <sys/shm.h>
#include "victim.h"

int main(int argc, char **argv)
{
    struct shmid_ds status;
    uint64_t count = 0;

    victim_init(argc, argv);
    key_t key = 0x43525300 + getpid();
    int id = shmget(key, 8192, IPC_CREAT | IPC_EXCL | 0640);
    int private_id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    if (id < 0 || private_id < 0) {
        perror("shmget");
        return 77;
    }
    uint64_t *keyed = shmat(id, NULL, 0), *private = shmat(private_id, NULL, 0);
    MUST(keyed != (void *)-1 && private != (void *)-1);

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(keyed[600], count);
        CHECK_EQ(private[6], count);
        keyed[600] = private[6] = ++count;
        CHECK_EQ(shmget(key, 8192, 0), id); /* it outlives the program, so it is the same one */
        CHECK(shmctl(id, IPC_STAT, &status) == 0 && status.shm_nattch == 1);
        CHECK(status.shm_segsz == 8192 && (status.shm_perm.mode & 0777) == 0640);
        CHECK(shmctl(private_id, IPC_STAT, &status) == 0 && status.shm_nattch == 1);
        uint64_t *again = shmat(id, NULL, 0);
        CHECK(again != (void *)-1 && again[600] == count && shmdt(again) == 0);
    }
    shmctl(id, IPC_RMID, NULL);
    shmctl(private_id, IPC_RMID, NULL);
    return 0;
}
