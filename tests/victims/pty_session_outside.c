/*
 * pty_session_outside.c - a pseudoterminal that is the controlling terminal of another program,
 * which has no descriptor of it, is refused
 *
 * isolated: saved (who is outside is taken in by the supervisor)
 * refused: is the controlling terminal of session
 */
#include <termios.h>
#include "victim_outside.h"

static void hold(void *arg)
{
    int master = *(int *)arg, slave = open(ptsname(master), O_RDWR); /* of its session now */

    MUST(slave >= 0 && tcgetsid(slave) == getpid() && close(slave) == 0 && close(master) == 0);
    outside_held();
    while (outside_stays())
        ;
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    MUST(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    outside_start(hold, &master);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(master, F_GETFD) == FD_CLOEXEC);
    return 0;
}
