/*
 * namespace_root.c - a program in namespaces that the tool isn't in: it would come back outside
 *
 * refused: namespace than this tool
 * kinds: namespaces
 */
#include <sched.h>
#include <string.h>
#include "victim.h"

int main(int argc, char **argv)
{
    char name[64], now[64];

    victim_init(argc, argv);
    if (unshare(CLONE_NEWUSER | CLONE_NEWUTS) < 0) {
        fprintf(stderr, "user namespaces can't be made here\n");
        return 77;
    }
    MUST(gethostname(name, sizeof(name)) == 0);
    victim_ready();
    while (victim_wait())
        CHECK(gethostname(now, sizeof(now)) == 0 && strcmp(now, name) == 0);
    return 0;
}
