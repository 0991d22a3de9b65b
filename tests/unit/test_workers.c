/* test_workers.c - threads that share a piece of work, and room for descriptors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/thread.h"

#define MANY 6

struct work {
    atomic_uint begun;
    atomic_int wrong;
    cpu_set_t all;
    int processors[MANY]; /* where each began */
};

static void *begin(void *arg)
{
    struct work *w = arg;
    cpu_set_t mine;
    sigset_t mask;
    unsigned nth = atomic_fetch_add(&w->begun, 1);

    w->processors[nth] = sched_getcpu();
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    if (sched_getaffinity(0, sizeof(mine), &mine) < 0 || !CPU_EQUAL(&mine, &w->all) ||
        !sigismember(&mask, SIGTERM) || !sigismember(&mask, SIGURG))
        atomic_store(&w->wrong, 1);
    while (atomic_load(&w->begun) < MANY)
        sched_yield();
    return NULL;
}

static void run_many(cpu_set_t *all)
{
    struct work w = {.all = *all};
    pthread_t threads[MANY];
    cpu_set_t used;

    assert_int_equal(sched_setaffinity(0, sizeof(*all), all), 0);
    assert_int_equal(thread_start_workers(threads, MANY, begin, &w), MANY);
    for (size_t i = 0; i < MANY; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(w.begun, MANY);
    assert_int_equal(w.wrong, 0);
    CPU_ZERO(&used);
    for (size_t i = 0; i < MANY; i++) {
        assert_true(CPU_ISSET(w.processors[i], all));
        CPU_SET(w.processors[i], &used);
    }
    if (CPU_COUNT(all) == 1)
        assert_int_equal(CPU_COUNT(&used), 1);
}

static void workers(void **state)
{
    cpu_set_t before, one, now;

    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    run_many(&before);
    for (int i = 0; i < CPU_SETSIZE; i++) { /* as taskset(1) would have it */
        if (!CPU_ISSET(i, &before))
            continue;
        CPU_ZERO(&one);
        CPU_SET(i, &one);
        run_many(&one);
    }
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
    assert_int_equal(sched_getaffinity(0, sizeof(now), &now), 0);
    assert_true(CPU_EQUAL(&before, &now));
}

static unsigned count_open(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n - 1; /* its own */
}

static unsigned table_size(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    unsigned n = 0;
    char line[256];

    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        sscanf(line, "FDSize: %u", &n);
    fclose(file);
    return n;
}

static void room(void **state)
{
    struct rlimit before, low, now;
    unsigned n = count_open();

    getrlimit(RLIMIT_NOFILE, &before);
    assert_true(descriptors_of(getpid()) >= n);
    assert_int_equal(descriptors_of(0x7ffffff0), 0);
    low = before;
    low.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    descriptors_make_room(3000); /* above the soft limit, which stays */
    getrlimit(RLIMIT_NOFILE, &now);
    assert_int_equal(now.rlim_cur, 64);
    assert_int_equal(now.rlim_max, before.rlim_max);
    assert_int_equal(count_open(), n);
    if (before.rlim_max > 3000)
        assert_true(table_size() > 3000);
    unsigned size = table_size();
    descriptors_make_room(UINT64_MAX); /* as if it weren't asked for */
    assert_int_equal(table_size(), size);
    assert_int_equal(count_open(), n);
    setrlimit(RLIMIT_NOFILE, &before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers),
        cmocka_unit_test(room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
