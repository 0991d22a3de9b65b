/*
 * sigactions.c - signal actions: flags, masks, restorers; ignored and blocked SIGTRAP, which
 * a debugger's traps would reset
 */
#include <signal.h>
#include <sys/syscall.h>
#include "victim.h"

struct kernel_sigaction {
    uint64_t handler, flags, restorer, mask;
};

static struct kernel_sigaction before[65], now[65];
static volatile sig_atomic_t hits[65];

static void on_signal(int number)
{
    hits[number]++;
}

static void on_info(int number, siginfo_t *info, void *context)
{
    if (info->si_code == SI_QUEUE)
        hits[number] += info->si_value.sival_int;
}

static void read_all(struct kernel_sigaction *actions)
{
    for (int i = 1; i <= 64; i++)
        MUST(syscall(SYS_rt_sigaction, i, NULL, &actions[i], 8) == 0);
}

static void handle(int number, int flags, int blocked)
{
    struct sigaction action = {.sa_flags = flags};

    if (flags & SA_SIGINFO)
        action.sa_sigaction = on_info;
    else
        action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    if (blocked)
        sigaddset(&action.sa_mask, blocked);
    MUST(sigaction(number, &action, NULL) == 0);
}

static void set_up(void)
{
    const struct kernel_sigaction own = {(uintptr_t)on_signal, 0x14000000 /* restorer, onstack */,
                                         0, 1ull << 40};
    struct kernel_sigaction reserved = own;

    handle(SIGUSR1, SA_RESTART, SIGUSR2);
    handle(SIGUSR2, SA_NODEFER | SA_SIGINFO, SIGHUP);
    handle(SIGTRAP, SA_RESTART, SIGTERM);
    handle(SIGRTMIN + 3, SA_RESETHAND | SA_SIGINFO, 0);
    handle(SIGCHLD, SA_NOCLDSTOP | SA_NOCLDWAIT, 0);
    MUST(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    MUST(signal(SIGRTMAX, SIG_IGN) != SIG_ERR);
    read_all(before);
    reserved.restorer = before[SIGUSR1].restorer; /* the two that glibc keeps for itself */
    MUST(syscall(SYS_rt_sigaction, 33, &reserved, NULL, 8) == 0);
}

static void check_all(void)
{
    read_all(now);
    for (int i = 1; i <= 64; i++)
        if (memcmp(&before[i], &now[i], sizeof(now[i])) != 0)
            victim_fail("signal %d: handler %#lx flags %#lx restorer %#lx mask %#lx, expected %#lx "
                        "%#lx %#lx %#lx",
                        i, now[i].handler, now[i].flags, now[i].restorer, now[i].mask,
                        before[i].handler, before[i].flags, before[i].restorer, before[i].mask);
}

static void check_working(void)
{
    union sigval three = {.sival_int = 3};

    hits[SIGUSR1] = hits[SIGUSR2] = hits[SIGTRAP] = 0;
    CHECK(raise(SIGUSR1) == 0);
    CHECK_EQ(hits[SIGUSR1], 1);
    CHECK(sigqueue(getpid(), SIGUSR2, three) == 0);
    CHECK_EQ(hits[SIGUSR2], 3);
    CHECK(raise(SIGPIPE) == 0);
}

int main(int argc, char **argv)
{
    sigset_t trap, blocked;

    victim_init(argc, argv);
    set_up();
    sigemptyset(&trap);
    sigaddset(&trap, SIGTRAP);
    MUST(sigprocmask(SIG_BLOCK, &trap, NULL) == 0); /* blocked and handled */
    read_all(before);
    victim_ready();
    while (victim_wait()) {
        check_all();
        CHECK(sigprocmask(SIG_SETMASK, NULL, &blocked) == 0);
        CHECK_EQ(sigismember(&blocked, SIGTRAP), before[SIGTRAP].handler != (uintptr_t)SIG_IGN);
        check_working();
        /* next round: ignored and not blocked, then handled and blocked again */
        if (before[SIGTRAP].handler == (uintptr_t)SIG_IGN) {
            handle(SIGTRAP, SA_RESTART, SIGTERM);
            CHECK(sigprocmask(SIG_BLOCK, &trap, NULL) == 0);
        } else {
            CHECK(signal(SIGTRAP, SIG_IGN) != SIG_ERR);
            CHECK(sigprocmask(SIG_UNBLOCK, &trap, NULL) == 0);
        }
        read_all(before);
    }
    return 0;
}
