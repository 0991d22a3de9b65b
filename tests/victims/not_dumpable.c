/*
 * not_dumpable.c - a process that may not be dumped: only root can hold it
 * situations: -user
 */
#include <sys/prctl.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    MUST(prctl(PR_SET_DUMPABLE, 0) == 0);
    victim_ready();
    while (victim_wait())
        CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
    return 0;
}
