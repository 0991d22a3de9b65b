/*
 * many_fds.c - two thousand descriptors of several kinds, in use without gaps and with
 */
#include <sys/eventfd.h>
#include <sys/resource.h>
#include "victim.h"

#define N 2000

int main(int argc, char **argv)
{
    struct rlimit limit;
    int fds[N];
    uint64_t n;

    victim_init(argc, argv);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < N + 100) {
        fprintf(stderr, "no more than %llu descriptors are allowed\n",
                (unsigned long long)limit.rlim_cur);
        return 77;
    }
    for (int i = 0; i < N; i++) {
        fds[i] = i % 4 == 3 ? dup(fds[i - 1]) : eventfd(i + 1, i % 2 ? EFD_CLOEXEC : 0);
        MUST(fds[i] >= 0);
    }
    for (int i = 4; i < N; i += 40)
        close(fds[i]);

    victim_ready();
    while (victim_wait()) {
        for (int i = 0; i < N; i++) {
            if (i >= 4 && (i - 4) % 40 == 0) {
                CHECK(fcntl(fds[i], F_GETFD) < 0);
                continue;
            }
            int expected = i % 4 == 3 ? i : i + 1;
            n = 0;
            CHECK(read(fds[i], &n, 8) == 8 && n == (uint64_t)expected);
            CHECK(write(fds[i], &n, 8) == 8);
            CHECK_EQ(fcntl(fds[i], F_GETFD), i % 2 && i % 4 != 3 ? FD_CLOEXEC : 0);
        }
    }
    return 0;
}
