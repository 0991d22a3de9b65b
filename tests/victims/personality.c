/* personality.c - the execution domain: addresses not randomised, as setarch -R makes it */
#include <sys/personality.h>
#include "victim.h"

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    MUST(personality(ADDR_NO_RANDOMIZE | UNAME26) >= 0);
    victim_ready();
    while (victim_wait())
        CHECK_EQ(personality(0xffffffff), ADDR_NO_RANDOMIZE | UNAME26);
    return 0;
}
