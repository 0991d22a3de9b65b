/*
 * descriptors_of_many.c - 100000 descriptors of six processes: more than one may have where the
 * limit is low, and more than the tool may have
 */
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include "victim.h"

#define N_PROCESSES 6
#define N_EACH      16700
#define N_OTHERS    64

static struct {
    int ask, answer;
} links[N_PROCESSES];

/* An event counter and a duplicate of it in turn. */
static void make(int from, int end, int own)
{
    for (int fd = from; fd < end; fd++)
        MUST((fd % 2 || fd == from ? eventfd(fd + own, EFD_CLOEXEC) : dup(fd - 1)) == fd);
}

static bool is_right(int from, int end, int own)
{
    uint64_t n;

    for (int fd = from; fd < end; fd++) {
        const uint64_t expected = (fd % 2 || fd == from ? fd : fd - 1) + own;
        if (read(fd, &n, 8) != 8 || n != expected || write(fd, &n, 8) != 8)
            return false;
    }
    return true;
}

static void serve(int own, int end)
{
    int from = links[own].answer + 1;
    char c;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    make(from, end, own);
    MUST(write(links[own].answer, "r", 1) == 1);
    while (read(links[own].ask, &c, 1) == 1)
        MUST(write(links[own].answer, is_right(from, end, own) ? "y" : "n", 1) == 1);
    _exit(0);
}

static void start(int own, int end)
{
    int ask[2], answer[2];

    MUST(pipe(ask) == 0 && pipe(answer) == 0);
    links[own].ask = ask[0];
    links[own].answer = answer[1];
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0)
        serve(own, end);
    MUST(close(ask[0]) == 0 && close(answer[1]) == 0);
    links[own].ask = ask[1];
    links[own].answer = answer[0];
}

static void expect(int own, char wanted)
{
    char c = 0;

    CHECK(read(links[own].answer, &c, 1) == 1);
    CHECK_EQ(c, wanted);
}

int main(int argc, char **argv)
{
    struct rlimit limit;

    victim_init(argc, argv);
    MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    const int end =
        limit.rlim_max < N_EACH + N_OTHERS ? (int)limit.rlim_max - N_OTHERS : N_EACH + N_OTHERS;
    for (int i = 0; i < N_PROCESSES; i++)
        start(i, end);
    for (int i = 0; i < N_PROCESSES; i++)
        expect(i, 'r');
    victim_ready();
    while (victim_wait())
        for (int i = 0; i < N_PROCESSES; i++) {
            CHECK(write(links[i].ask, "?", 1) == 1);
            expect(i, 'y');
        }
    return 0;
}
