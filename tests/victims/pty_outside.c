/*
 * pty_outside.c - the master of a pseudoterminal whose slave another program has is refused
 *
 * isolated: saved (who is outside is taken in by the supervisor)
 * refused: its slave is open in process
 */
#include <sys/wait.h>
#include "victim.h"

/* Ends with the test. */
static void hold_slave(const char *name)
{
    char path[5000];
    int slave = open(name, O_RDWR | O_NOCTTY);

    victim_path(path, sizeof(path), "held");
    MUST(slave >= 0 && close(open(path, O_WRONLY | O_CREAT, 0600)) == 0);
    victim_path(path, sizeof(path), "stop");
    while (access(path, F_OK) < 0 && access(victim_dir, F_OK) == 0)
        victim_sleep_ms(10);
    _exit(0);
}

int main(int argc, char **argv)
{
    char path[5000], name[64];

    victim_init(argc, argv);
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    MUST(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    snprintf(name, sizeof(name), "%s", ptsname(master));
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        close(master);
        if (fork() == 0 && setsid() > 0)
            hold_slave(name);
        _exit(0);
    }
    victim_path(path, sizeof(path), "held");
    MUST(waitpid(pid, NULL, 0) == pid);
    while (access(path, F_OK) < 0)
        victim_sleep_ms(5);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(master, F_GETFD) == FD_CLOEXEC);
    return 0;
}
