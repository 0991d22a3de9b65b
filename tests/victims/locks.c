/*
 * locks.c - file locks of the process (POSIX) and of a description (OFD, flock)
 */
#include <sys/file.h>
#include <sys/wait.h>
#include "victim.h"

static char posix[5000], ofd[5000], whole[5000];

static struct flock range(int type, off_t start, off_t length)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
}

/* What another process sees: closing a file here would drop this process's locks on it. */
static int look(void)
{
    struct flock fl = range(F_WRLCK, 0, 0);
    int fd = open(posix, O_RDWR), bad = 0;

    if (fcntl(fd, F_GETLK, &fl) != 0 || fl.l_type != F_WRLCK || fl.l_start != 10 || fl.l_len != 5 ||
        fl.l_pid != getppid())
        bad |= 1;
    fl = range(F_WRLCK, 100, 1);
    if (fcntl(fd, F_GETLK, &fl) != 0 || fl.l_type != F_RDLCK || fl.l_start != 100 || fl.l_len != 0)
        bad |= 2;
    fd = open(ofd, O_RDWR);
    fl = range(F_WRLCK, 0, 0);
    if (fcntl(fd, F_GETLK, &fl) != 0 || fl.l_type != F_RDLCK || fl.l_start != 1 || fl.l_len != 2)
        bad |= 4;
    fd = open(whole, O_RDWR);
    if (flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        bad |= 8;
    return bad;
}

int main(int argc, char **argv)
{
    struct flock fl;
    int status;

    victim_init(argc, argv);
    victim_path(posix, sizeof(posix), "posix");
    victim_path(ofd, sizeof(ofd), "ofd");
    victim_path(whole, sizeof(whole), "whole");
    int a = open(posix, O_RDWR | O_CREAT, 0600), b = open(ofd, O_RDWR | O_CREAT, 0600);
    int c = open(whole, O_RDWR | O_CREAT, 0600), a2 = dup2(a, 90);
    MUST(a >= 0 && b >= 0 && c >= 0 && a2 == 90);
    fl = range(F_WRLCK, 10, 5);
    MUST(fcntl(a, F_SETLK, &fl) == 0);
    fl = range(F_RDLCK, 100, 0);
    MUST(fcntl(a, F_SETLK, &fl) == 0);
    fl = range(F_RDLCK, 1, 2);
    MUST(fcntl(b, F_OFD_SETLK, &fl) == 0 && flock(c, LOCK_EX) == 0);

    victim_ready();
    while (victim_wait()) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(look());
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK_EQ(status, 0);
    }
    return 0;
}
