/*
 * seccomp_shared.c - threads that have a filter in common can be given another one together
 *
 * situations: -user
 * link: -pthread
 */
#include <pthread.h>
#include <semaphore.h>
#include "victim_seccomp.h"

static sem_t asked, answered;
static int seen;

static void *other_thread(void *arg)
{
    for (;;) {
        sem_post(&answered);
        sem_wait(&asked);
        seen = sethostname("x", 1) < 0 ? errno : 0;
    }
    return arg;
}

static int install_for_all(int error)
{
    struct sock_filter code[] = {FILTER_NUMBER, FILTER_ERROR(SYS_sethostname, error),
                                 FILTER_END(SECCOMP_RET_ALLOW)};

    return FILTER_INSTALL(code, SECCOMP_FILTER_FLAG_TSYNC);
}

static void check(int error)
{
    sem_post(&asked);
    sem_wait(&answered);
    CHECK_EQ(seen, error);
    CHECK(sethostname("x", 1) < 0 && errno == error);
}

int main(int argc, char **argv)
{
    pthread_t thread;
    int error = 33;

    victim_init(argc, argv);
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    MUST(sem_init(&asked, 0, 0) == 0 && sem_init(&answered, 0, 0) == 0);
    MUST(pthread_create(&thread, NULL, other_thread, NULL) == 0);
    sem_wait(&answered);
    MUST(install_for_all(error) == 0);
    victim_ready();
    while (victim_wait()) {
        check(error);
        CHECK_EQ(install_for_all(++error), 0); /* of several errors the newest filter's is given */
        check(error);
    }
    return 0;
}
