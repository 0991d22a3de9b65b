/*
 * tree_sharing.h - for victims whose processes share what only threads share, mostly
 *
 * A victim has a plan: who is made by whom, with which flags of clone(2), and which groups share
 * memory, descriptors, directory and umask, actions on signals. Each round, each process changes
 * each of these, and all others are asked whether they see it: those of its group, and only those.
 * Between the rounds every group has a state of its own, which must still be there.
 */
#ifndef TREE_SHARING_H
#define TREE_SHARING_H

#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "victim_tree.h"

#define MAX_NODES 8
#define AN_FD     60
#define A_SIGNAL  SIGUSR2

enum { MEMORY, FILES, DIRECTORY, ACTIONS, N_SHARED };

struct node {
    int maker;
    int flags;              /* of clone(2), without the signal */
    int by_way_of_one_gone; /* its maker made one that made it and has ended */
    int parent;             /* who waits for it */
    int group[N_SHARED];
};

struct order {
    volatile char command;
    volatile int value, answer, pid;
};

static const struct node *plan;
static int n_nodes;
static struct order *orders; /* shared by all, whatever else they share */
static volatile int variable;
static char stacks[2 * MAX_NODES][65536] __attribute__((aligned(16)));

static void on_signal(int signal)
{
    (void)signal;
}

static int directory_number(void)
{
    struct stat here, one;

    for (int i = 0; i < 64; i++) {
        char path[5000];
        victim_path(path, sizeof(path), "%d", i);
        if (stat(path, &one) == 0 && stat(".", &here) == 0 && one.st_ino == here.st_ino)
            return i;
    }
    return -1;
}

static void go_to(int i)
{
    char path[5000];

    victim_path(path, sizeof(path), "%d", i);
    mkdir(path, 0777);
    if (chdir(path) < 0)
        _exit(96);
}

static int set(int what, int value)
{
    struct sigaction action = {.sa_handler = value & 1 ? on_signal : SIG_DFL};

    switch (what) {
    case MEMORY:
        variable = value;
        return 0;
    case FILES: /* open or not, and a position */
        if (value == 0)
            return close(AN_FD);
        return lseek(AN_FD, value, SEEK_SET) < 0 &&
                       (dup2(open("/proc/self/exe", O_RDONLY), AN_FD) < 0 ||
                        lseek(AN_FD, value, SEEK_SET) < 0)
                   ? -1
                   : 0;
    case DIRECTORY:
        umask(value);
        go_to(value);
        return 0;
    default:
        return sigaction(A_SIGNAL, &action, NULL);
    }
}

static int get(int what)
{
    struct sigaction action = {0};
    int mask;

    switch (what) {
    case MEMORY:
        return variable;
    case FILES:
        return fcntl(AN_FD, F_GETFD) < 0 ? 0 : (int)lseek(AN_FD, 0, SEEK_CUR);
    case DIRECTORY:
        mask = umask(0);
        umask(mask);
        return mask == directory_number() ? mask : -1;
    default:
        sigaction(A_SIGNAL, NULL, &action);
        return action.sa_handler == on_signal;
    }
}

static int run(void *arg);

static int make_from_between(void *arg)
{
    int i = (int)(intptr_t)arg;

    _exit(clone(run, stacks[i] + sizeof(stacks[i]), plan[i].flags | SIGCHLD, arg) > 0 ? 0 : 1);
}

static int make(int i)
{
    int status = 0;

    if (!plan[i].by_way_of_one_gone)
        return clone(run, stacks[i] + sizeof(stacks[i]), plan[i].flags | SIGCHLD,
                     (void *)(intptr_t)i) > 0
                   ? 0
                   : -1;
    int pid = clone(make_from_between, stacks[MAX_NODES + i] + sizeof(stacks[i]),
                    plan[i].flags | SIGCHLD, (void *)(intptr_t)i);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

static int wait_for_child(void)
{
    int status = -1;

    return waitpid(-1, &status, 0) < 0 ? -1 : status;
}

static int obey(char command, int value)
{
    switch (command) {
    case 'k':
        return make(value);
    case 'w':
        return wait_for_child();
    default:
        return command >= 'a' ? set(command - 'a', value) : get(command - 'A');
    }
}

static int run(void *arg)
{
    int i = (int)(intptr_t)arg;
    const struct timespec ms = {0, 1000000};

    for (;;) {
        char command = orders[i].command;
        orders[i].pid = (int)syscall(SYS_getpid);
        if (command == 0) {
            syscall(SYS_nanosleep, &ms, NULL);
            continue;
        }
        if (command == 'q')
            _exit(10 + i);
        orders[i].answer = obey(command, orders[i].value);
        __atomic_store_n(&orders[i].command, 0, __ATOMIC_SEQ_CST);
    }
}

static int ask(int i, char command, int value)
{
    if (i == 0)
        return obey(command, value);
    orders[i].value = value;
    __atomic_store_n(&orders[i].command, command, __ATOMIC_SEQ_CST);
    for (int ms = 0; orders[i].command && ms < 20000; ms++)
        victim_sleep_ms(1);
    if (orders[i].command)
        victim_fail("process %d does not answer %c", i, command);
    return orders[i].answer;
}

/* What a group has between the rounds. */
static int resting(int what, int group)
{
    return what == ACTIONS ? group & 1 : what == FILES ? group : group + 1;
}

static void rest(void)
{
    for (int what = 0; what < N_SHARED; what++)
        for (int i = 0; i < n_nodes; i++)
            ask(i, 'a' + what, resting(what, plan[i].group[what]));
}

static void check_resting(void)
{
    for (int what = 0; what < N_SHARED; what++)
        for (int i = 0; i < n_nodes; i++) {
            int is = ask(i, 'A' + what, 0), wanted = resting(what, plan[i].group[what]);
            if (is != wanted)
                victim_fail("process %d: thing %d is %d, expected %d", i, what, is, wanted);
        }
}

static void check_seen(int what, int actor)
{
    int value = what == ACTIONS ? 1 : 20 + actor;

    for (int i = 0; i < n_nodes; i++)
        ask(i, 'a' + what, 0);
    ask(actor, 'a' + what, value);
    for (int i = 0; i < n_nodes; i++) {
        int wanted = plan[i].group[what] == plan[actor].group[what] ? value : 0;
        int is = ask(i, 'A' + what, 0);
        if (is != wanted)
            victim_fail("thing %d of process %d changed by %d: is %d, expected %d", what, i, actor,
                        is, wanted);
    }
}

static void check_parents(void)
{
    for (int i = 1; i < n_nodes; i++)
        CHECK(orders[i].pid > 1);
    CHECK_EQ(waitpid(-1, NULL, WNOHANG), 0);
}

static int sharing_main(int argc, char **argv, const struct node *nodes, int n)
{
    victim_init(argc, argv);
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    umask(0);
    orders = tree_share(MAX_NODES * sizeof(*orders));
    plan = nodes;
    n_nodes = n;
    for (int i = 0; i < 64; i++)
        go_to(i);
    for (int i = 1; i < n; i++)
        MUST(ask(plan[i].maker, 'k', i) == 0);
    rest();
    victim_ready();
    while (victim_wait()) {
        check_resting();
        check_parents();
        for (int what = 0; what < N_SHARED; what++)
            for (int i = 0; i < n; i++)
                check_seen(what, i);
        rest();
    }
    for (int i = n - 1; i > 0; i--) {
        orders[i].command = 'q';
        CHECK_EQ(ask(plan[i].parent, 'w', 0), (10 + i) << 8);
    }
    return tree_result();
}

#endif
