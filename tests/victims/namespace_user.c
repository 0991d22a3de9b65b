/*
 * namespace_user.c - the same with nothing but a user namespace
 *
 * refused: is in another user namespace than this tool
 * kinds: namespaces
 */
#include <sched.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    if (unshare(CLONE_NEWUSER) < 0) {
        fprintf(stderr, "user namespaces can't be made here\n");
        return 77;
    }
    uid_t uid = getuid(); /* the overflow user: nothing is mapped */
    victim_ready();
    while (victim_wait())
        CHECK_EQ(getuid(), uid);
    return 0;
}
