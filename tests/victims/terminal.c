/*
 * terminal.c - a terminal as standard input; after a restart the restarter's takes its place,
 * whatever that is
 *
 * The master is held by a process of its own, which ends with the test.
 */
#include <sys/ioctl.h>
#include <termios.h>
#include "victim_outside.h"

static void hold_master(void *arg)
{
    int master = *(int *)arg;
    char buffer[64];

    fcntl(master, F_SETFL, O_NONBLOCK);
    outside_held();
    while (outside_stays())
        if (read(master, buffer, sizeof(buffer)) < 0)
            victim_sleep_ms(5);
}

int main(int argc, char **argv)
{
    struct winsize size = {.ws_row = 33, .ws_col = 99}, got;
    struct termios settings;

    victim_init(argc, argv);
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    MUST(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    MUST(slave >= 0 && ioctl(slave, TIOCSWINSZ, &size) == 0 && tcgetattr(slave, &settings) == 0);
    settings.c_lflag &= ~(ICANON | ECHO);
    MUST(tcsetattr(slave, TCSANOW, &settings) == 0);
    outside_start(hold_master, &master);
    MUST(close(master) == 0);
    MUST(dup2(slave, 0) == 0 && close(slave) == 0);
    bool restarted = false;

    victim_ready();
    while (victim_wait()) {
        restarted = restarted || strcmp(victim_situation(), "continue") != 0;
        CHECK(fcntl(0, F_GETFL) >= 0);
        if (restarted)
            continue;
        CHECK(isatty(0));
        CHECK(ioctl(0, TIOCGWINSZ, &got) == 0 && got.ws_row == 33 && got.ws_col == 99);
        CHECK(tcgetattr(0, &settings) == 0 && !(settings.c_lflag & (ICANON | ECHO)));
    }
    return 0;
}
