/*
 * descriptors.c - 100000 descriptors, or as many as the limit allows; half of them duplicates
 *
 * The tool has the same limit, and needs some of its own beside those of the program.
 */
#include <sys/eventfd.h>
#include <sys/resource.h>
#include "victim.h"

#define N_MOST   100000
#define N_LEAST  500
#define N_OTHERS 64 /* the tool's own */

int main(int argc, char **argv)
{
    struct rlimit limit;
    uint64_t n;

    victim_init(argc, argv);
    MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    const int n_fds = limit.rlim_max < N_MOST + N_OTHERS ? (int)limit.rlim_max - N_OTHERS : N_MOST;
    if (n_fds < N_LEAST) {
        fprintf(stderr, "no more than %d descriptors are allowed\n", n_fds);
        return 77;
    }
    /* From 3 on, without gaps: an event counter and a duplicate of it in turn. */
    for (int fd = 3; fd < n_fds; fd++)
        MUST((fd % 2 ? eventfd(fd, EFD_CLOEXEC) : dup(fd - 1)) == fd);
    victim_ready();
    while (victim_wait())
        for (int fd = 3; fd < n_fds; fd++) {
            const uint64_t expected = fd % 2 ? fd : fd - 1;
            if (read(fd, &n, 8) != 8 || n != expected || write(fd, &n, 8) != 8)
                victim_fail("fd %d: %llu", fd, (unsigned long long)n);
            if (fcntl(fd, F_GETFD) != (fd % 2 ? FD_CLOEXEC : 0))
                victim_fail("fd %d: its flag is %d", fd, fcntl(fd, F_GETFD));
        }
    return 0;
}
