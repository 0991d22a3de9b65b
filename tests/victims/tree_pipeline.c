/*
 * tree_pipeline.c - a pipeline of three: full pipes between processes that each hold one end only
 */
#include <poll.h>
#include "victim_tree.h"

/* Numbers, until nobody reads them any more. */
static _Noreturn void produce(int to)
{
    for (uint64_t n = 0;; n++)
        if (write(to, &n, sizeof(n)) != sizeof(n))
            _exit(3);
}

static _Noreturn void pass(int from, int to)
{
    uint64_t n;

    for (;;) {
        tree_read(from, &n, sizeof(n));
        n = 3 * n + 1;
        if (write(to, &n, sizeof(n)) != sizeof(n))
            _exit(4);
    }
}

int main(int argc, char **argv)
{
    uint64_t expected = 0, n;
    int first[2], second[2], status, ended = 0;

    victim_init(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    MUST(pipe(first) == 0);
    pid_t producer = fork();
    MUST(producer >= 0);
    if (producer == 0) {
        close(first[0]);
        produce(first[1]);
    }
    close(first[1]);
    MUST(pipe(second) == 0);
    pid_t passer = fork();
    MUST(passer >= 0);
    if (passer == 0) {
        close(second[0]);
        pass(first[0], second[1]);
    }
    close(first[0]);
    close(second[1]);
    victim_ready();
    while (victim_wait())
        for (int i = 0; i < 20000; i++) {
            tree_read(second[0], &n, sizeof(n));
            if (n != 3 * expected + 1) {
                CHECK_EQ(n, 3 * expected + 1);
                break;
            }
            expected++;
        }
    close(second[0]);
    while (waitpid(-1, &status, 0) > 0)
        ended += WEXITSTATUS(status);
    CHECK_EQ(ended, 7); /* the end goes up the pipeline */
    return tree_result();
}
