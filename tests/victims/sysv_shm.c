/*
 * sysv_shm.c - System V shared memory that was removed: attached twice, once for reading only
 *
 * Not as long as its pages, and with another protection in the middle.
 */
#include <sys/mman.h>
#include <sys/shm.h>
#include "victim_smaps.h"

#define SIZE (5 * 4096 + 100)

int main(int argc, char **argv)
{
    struct shmid_ds status;
    uint64_t count = 0;

    victim_init(argc, argv);
    int id = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600);
    MUST(id >= 0);
    uint64_t *memory = shmat(id, NULL, 0), *view = shmat(id, NULL, SHM_RDONLY);
    MUST(memory != (void *)-1 && view != (void *)-1 && shmctl(id, IPC_RMID, NULL) == 0);
    MUST(mprotect(memory + 512, 4096, PROT_READ) == 0);
    memory[5 * 512 + 12] = 4711; /* its last bytes but those of the page */

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(memory[0], count);
        CHECK_EQ(memory[5 * 512 + 12], 4711);
        CHECK_EQ(memory[1024], 0);
        memory[0] = ++count;
        CHECK_EQ(view[0], count);
        CHECK_MAPPING(memory, "rw-s", "sh mw ms", "");
        CHECK_MAPPING(memory + 512, "r--s", "mw", "wr");
        CHECK_MAPPING(view, "r--s", "mr", "mw");
        CHECK(mprotect(view, 4096, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);

        /* it is a segment still, not just memory */
        int second = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
        void *other = shmat(second, NULL, 0);
        CHECK(other != (void *)-1 && shmctl(second, IPC_RMID, NULL) == 0 && shmdt(other) == 0);
        CHECK(shmctl(second, IPC_STAT, &status) < 0);
        CHECK(shmdt(memory) == 0); /* all three parts at once */
        CHECK(msync(memory + 1024, 4096, MS_ASYNC) < 0 && errno == ENOMEM);
        CHECK_EQ(view[0], count);
        char line[200] = "";
        FILE *maps = fopen("/proc/self/maps", "re");
        unsigned long start = 0, inode = 0;
        while (maps && fgets(line, sizeof(line), maps) && start != (unsigned long)view)
            CHECK(sscanf(line, "%lx-%*x %*s %*s %*s %lu", &start, &inode) == 2);
        CHECK(maps && fclose(maps) == 0 && start == (unsigned long)view);
        CHECK(shmat(inode, memory, 0) == memory); /* the number of the inode is the ID */
        CHECK(mprotect(memory + 512, 4096, PROT_READ) == 0);
        CHECK(shmctl(inode, IPC_STAT, &status) == 0 && (status.shm_perm.mode & SHM_DEST));
        CHECK_EQ(status.shm_segsz, SIZE);
        CHECK_EQ(status.shm_perm.mode & 0777, 0600);
    }
    return 0;
}
