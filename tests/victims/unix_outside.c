/*
 * unix_outside.c - a socket whose other end another program holds
 *
 * kinds: unix-socket
 * isolated: saved (who is outside is taken in by the supervisor)
 * refused: is a unix socket (socket:[
 */
#include <sys/wait.h>

#include "unix_sockets.h"

static void hold(int fd)
{
    char path[5000];

    setsid();
    victim_path(path, sizeof(path), "stop");
    while (access(path, F_OK) < 0 && access(victim_dir, F_OK) == 0) {
        char byte;
        if (recv(fd, &byte, 1, MSG_DONTWAIT) == 1)
            goes(fd, &byte, 1);
        victim_sleep_ms(5);
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    int pair[2];

    victim_init(argc, argv);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        close(pair[0]);
        if (fork() == 0)
            hold(pair[1]);
        _exit(0);
    }
    MUST(waitpid(pid, NULL, 0) == pid && close(pair[1]) == 0);

    victim_ready();
    while (victim_wait()) {
        char byte = 0;
        CHECK(goes(pair[0], "e", 1) && recv(pair[0], &byte, 1, 0) == 1 && byte == 'e');
    }
    return 0;
}
