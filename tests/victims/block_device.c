/*
 * block_device.c - a disk can't be saved: the refusal names it
 *
 * refused: is a block device (/dev/
 * situations: -user
 */
#include <dirent.h>
#include <sys/stat.h>
#include "victim.h"

static int open_disk(void)
{
    DIR *dir = opendir("/dev");
    struct stat st;
    int fd = -1;

    for (struct dirent *e; fd < 0 && dir && (e = readdir(dir));)
        if (fstatat(dirfd(dir), e->d_name, &st, 0) == 0 && S_ISBLK(st.st_mode))
            fd = openat(dirfd(dir), e->d_name, O_RDONLY);
    if (dir)
        closedir(dir);
    return fd;
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int fd = open_disk();
    if (fd < 0) {
        fprintf(stderr, "no block device can be opened\n");
        return 77;
    }

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
