/*
 * dispatch.c - a thread that intercepts its own system calls, where it isn't told to let them pass
 * refused: intercepts its own system calls
 */
#include <signal.h>

#include "victim.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
#define ON    1UL
#define ALLOW 0
#define BLOCK 1

static volatile char selector = ALLOW;
static volatile int caught;

static void on_sigsys(int signal)
{
    selector = ALLOW;
    caught = signal;
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    signal(SIGSYS, on_sigsys);
    if (prctl(PR_SET_SYSCALL_USER_DISPATCH, ON, 0UL, 0UL, &selector) < 0) {
        fprintf(stderr, "no interception of system calls here\n");
        return 77;
    }
    victim_ready();
    while (victim_wait()) {
        caught = 0;
        selector = BLOCK;
        getppid();
        CHECK_EQ(caught, SIGSYS);
    }
    return 0;
}
