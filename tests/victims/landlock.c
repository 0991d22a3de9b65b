/*
 * landlock.c - a landlock ruleset can't be saved yet: the refusal names it
 *
 * refused: is a landlock ruleset (anon_inode:
 */
#include <linux/landlock.h>
#include <sys/syscall.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    struct landlock_ruleset_attr attr = {.handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE};
    int fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (fd < 0) {
        perror("landlock_create_ruleset");
        return 77;
    }

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
