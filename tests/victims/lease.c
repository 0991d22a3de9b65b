/* lease.c - leases on files, for reading and for writing, with a signal of their own when broken */
#include <signal.h>
#include "victim.h"

static volatile sig_atomic_t broken_fd;

static void note(int signal, siginfo_t *info, void *context)
{
    broken_fd = info->si_fd;
}

static int make_leased(const char *path, int flags, int lease)
{
    int fd = open(path, flags | O_CREAT, 0600);

    MUST(fd >= 0 && fcntl(fd, F_SETSIG, SIGRTMIN + 1) == 0 && fcntl(fd, F_SETLEASE, lease) == 0);
    return fd;
}

/* Break it, give it up, take it again. */
static void check_lease(const char *path, int fd, int lease, int flags)
{
    broken_fd = -1;
    CHECK_EQ(fcntl(fd, F_GETLEASE), lease);
    CHECK(open(path, flags | O_NONBLOCK) < 0 && errno == EWOULDBLOCK);
    CHECK_EQ(broken_fd, fd);
    CHECK_EQ(fcntl(fd, F_GETSIG), SIGRTMIN + 1);
    CHECK(fcntl(fd, F_SETLEASE, F_UNLCK) == 0 && fcntl(fd, F_SETLEASE, lease) == 0);
    CHECK(fcntl(fd, F_SETSIG, SIGRTMIN + 1) == 0); /* giving up a lease forgets it */
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART};
    char read_path[5000], write_path[5000];

    victim_init(argc, argv);
    victim_path(read_path, sizeof(read_path), "read");
    victim_path(write_path, sizeof(write_path), "write");
    MUST(sigaction(SIGRTMIN + 1, &action, NULL) == 0);
    int reading = make_leased(read_path, O_RDONLY, F_RDLCK);
    int writing = make_leased(write_path, O_RDWR, F_WRLCK);

    victim_ready();
    while (victim_wait()) {
        check_lease(read_path, reading, F_RDLCK, O_WRONLY);
        check_lease(write_path, writing, F_WRLCK, O_RDONLY);
    }
    return 0;
}
