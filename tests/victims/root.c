/*
 * root.c - a process with a root directory of its own is refused
 * refused: another root directory
 * situations: -user
 */
#include "victim.h"

int main(int argc, char **argv)
{
    int dir, outside;

    victim_init(argc, argv);
    outside = open("/", O_RDONLY | O_DIRECTORY);
    dir = open(victim_dir, O_RDONLY | O_DIRECTORY);
    MUST(outside >= 0 && dir >= 0);
    MUST(chroot(victim_dir) == 0 && fchdir(dir) == 0);
    victim_dir[0] = '.';
    victim_dir[1] = 0;
    victim_ready();
    while (victim_wait())
        ;
    return 0;
}
