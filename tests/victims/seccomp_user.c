/*
 * seccomp_user.c - an ordinary user's tool may not touch a program under a filter that kills
 *
 * situations: -root
 * refused: a seccomp filter of its own
 */
#include "victim_seccomp.h"

int main(int argc, char **argv)
{
    struct sock_filter code[] = {FILTER_NUMBER, FILTER_VICTIM_CALLS,
                                 FILTER_END(SECCOMP_RET_KILL_PROCESS)};

    pid_t pid = getpid();

    victim_init(argc, argv);
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    MUST(FILTER_INSTALL(code, 0) == 0);
    filter_ready(pid);
    while (victim_wait())
        CHECK_EQ(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), SECCOMP_MODE_FILTER);
    return 0;
}
