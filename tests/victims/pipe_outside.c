/*
 * pipe_outside.c - a pipe whose other end another program holds
 *
 * isolated: saved (who is outside is taken in by the supervisor)
 * refused: its writing end is held by process
 */
#include <sys/wait.h>
#include "victim.h"

static void hold(void)
{
    char path[5000];

    setsid();
    victim_path(path, sizeof(path), "stop");
    for (int i = 0; i < 12000 && access(path, F_OK) < 0 && access(victim_dir, F_OK) == 0; i++)
        victim_sleep_ms(10);
    _exit(0);
}

int main(int argc, char **argv)
{
    int ends[2];

    victim_init(argc, argv);
    MUST(pipe(ends) == 0);
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        if (fork() == 0)
            hold();
        _exit(0);
    }
    MUST(waitpid(pid, NULL, 0) == pid && close(ends[1]) == 0);

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
        char c;
        errno = 0;
        CHECK(read(ends[0], &c, 1) < 0 && errno == EAGAIN);
    }
    return 0;
}
