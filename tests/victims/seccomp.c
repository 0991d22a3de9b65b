/*
 * seccomp.c - threads under filters of their own and of all, one of which kills for most calls
 *
 * situations: -user
 * link: -pthread
 */
#include <pthread.h>
#include <semaphore.h>
#include "victim_seccomp.h"

static sem_t asked[2], answered[2];
static int seen[2];

static void *with_own_filter(void *arg)
{
    struct sock_filter code[] = {FILTER_NUMBER, FILTER_ERROR(SYS_access, 44),
                                 FILTER_END(SECCOMP_RET_ALLOW)};

    MUST(FILTER_INSTALL(code, SECCOMP_FILTER_FLAG_LOG) == 0);
    for (;;) {
        sem_post(&answered[0]);
        sem_wait(&asked[0]);
        seen[0] = access("/", F_OK) < 0 ? errno : 0;
    }
    return arg;
}

static void *without_own_filter(void *arg)
{
    for (;;) {
        sem_post(&answered[1]);
        sem_wait(&asked[1]);
        seen[1] = access("/", F_OK) < 0 ? errno : 0;
    }
    return arg;
}

static int ask(int thread)
{
    seen[thread] = -1;
    sem_post(&asked[thread]);
    sem_wait(&answered[thread]);
    return seen[thread];
}

/* A filter for all threads: the kernel gives it only where theirs are the beginning of ours. */
static int install_for_all(int error)
{
    struct sock_filter code[] = {FILTER_NUMBER, FILTER_ERROR(SYS_sethostname, error),
                                 FILTER_END(SECCOMP_RET_ALLOW)};

    return FILTER_INSTALL(code, SECCOMP_FILTER_FLAG_TSYNC);
}

int main(int argc, char **argv)
{
    struct sock_filter kill_most[] = {FILTER_NUMBER, FILTER_VICTIM_CALLS, FILTER_ALLOW(SYS_seccomp),
                                      FILTER_ALLOW(SYS_sethostname),
                                      FILTER_END(SECCOMP_RET_KILL_PROCESS)};
    pthread_t threads[2];
    pid_t pid = getpid();

    victim_init(argc, argv);
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    for (int i = 0; i < 2; i++)
        MUST(sem_init(&asked[i], 0, 0) == 0 && sem_init(&answered[i], 0, 0) == 0);
    MUST(pthread_create(&threads[1], NULL, without_own_filter, NULL) == 0);
    sem_wait(&answered[1]);
    MUST(install_for_all(33) == 0);
    MUST(pthread_create(&threads[0], NULL, with_own_filter, NULL) == 0);
    sem_wait(&answered[0]);
    MUST(FILTER_INSTALL(kill_most, 0) == 0);
    filter_ready(pid);
    while (victim_wait()) {
        CHECK_EQ(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), SECCOMP_MODE_FILTER);
        CHECK(sethostname("x", 1) < 0 && errno == 33);
        CHECK_EQ(ask(0), 44);
        CHECK_EQ(ask(1), 0);
        /* Others have other filters: a thread's number. */
        CHECK(install_for_all(34) > 0);
    }
    return 0;
}
