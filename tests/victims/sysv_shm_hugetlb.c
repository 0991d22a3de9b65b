/*
 * sysv_shm_hugetlb.c - System V shared memory of huge pages, not as long as its pages
 *
 * hugepages: 6
 * situations: -user
 */
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include "victim_smaps.h"

#define HUGE (2ul << 20)
#define SIZE (HUGE + 3 * 4096 + 10)

int main(int argc, char **argv)
{
    struct shmid_ds status;

    victim_init(argc, argv);
    int id = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | SHM_HUGETLB | MAP_HUGE_2MB | 0600);
    if (id < 0) {
        perror("shmget");
        return 77;
    }
    uint8_t *memory = shmat(id, NULL, 0);
    MUST(memory != (void *)-1 && shmctl(id, IPC_RMID, NULL) == 0);
    victim_fill(memory + HUGE - 4096, 2 * 4096, 1);
    memory[2 * HUGE - 1] = 7; /* behind its end, but there */

    victim_ready();
    while (victim_wait()) {
        CHECK(victim_same(memory + HUGE - 4096, 2 * 4096, 1));
        CHECK(memory[2 * HUGE - 1] == 7 && memory[0] == 0);
        CHECK_MAPPING(memory, "rw-s", "ht sh", "");
        struct victim_mapping m;
        CHECK(victim_find_mapping(memory, &m) && shmctl(m.inode, IPC_STAT, &status) == 0);
        CHECK_EQ(status.shm_segsz, SIZE);
        CHECK(status.shm_perm.mode & SHM_DEST);
    }
    return 0;
}
