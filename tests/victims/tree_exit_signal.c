/*
 * tree_exit_signal.c - a child whose end is told by another signal than SIGCHLD (clone(2))
 */
#include <sys/syscall.h>
#include "victim_tree.h"

static volatile sig_atomic_t n_usr1;

static void on_usr1(int sig)
{
    n_usr1++;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_usr1};
    volatile int *end;
    int status = 0;

    victim_init(argc, argv);
    end = tree_share(sizeof(*end));
    MUST(sigaction(SIGUSR1, &action, NULL) == 0);
    long pid = syscall(SYS_clone, SIGUSR1, 0, 0, 0, 0);
    MUST(pid >= 0);
    if (pid == 0) {
        while (!*end)
            victim_sleep_ms(2);
        _exit(14);
    }
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(n_usr1, 0);
        CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
        CHECK_EQ(waitpid(-1, NULL, WNOHANG | __WCLONE), 0);
    }
    *end = 1;
    while (waitpid(-1, &status, __WCLONE) < 0 && errno == EINTR)
        ;
    CHECK_EQ(WEXITSTATUS(status), 14);
    CHECK_EQ(n_usr1, 1);
    return tree_result();
}
