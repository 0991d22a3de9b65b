/* rlimits.c - resource limits: soft and hard ones */
#include <sys/resource.h>
#include "victim.h"

static struct rlimit before[RLIM_NLIMITS];

static void lower(int resource, rlim_t soft, rlim_t hard)
{
    struct rlimit limit;

    MUST(getrlimit(resource, &limit) == 0);
    if (hard > limit.rlim_max)
        hard = limit.rlim_max;
    limit.rlim_cur = soft < hard ? soft : hard;
    limit.rlim_max = hard;
    MUST(setrlimit(resource, &limit) == 0);
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    lower(RLIMIT_NOFILE, 77, 99);
    lower(RLIMIT_CORE, 0, 12345678);
    lower(RLIMIT_FSIZE, 1 << 30, RLIM_INFINITY);
    lower(RLIMIT_STACK, 4 << 20, 16 << 20);
    lower(RLIMIT_CPU, 3600, 7200);
    lower(RLIMIT_SIGPENDING, 100, 200);
    lower(RLIMIT_AS, 8ull << 30, 9ull << 30);
    lower(RLIMIT_MEMLOCK, 4096, 8192);
    for (int i = 0; i < (int)RLIM_NLIMITS; i++)
        MUST(getrlimit(i, &before[i]) == 0);
    victim_ready();
    while (victim_wait())
        for (int i = 0; i < (int)RLIM_NLIMITS; i++) {
            struct rlimit now;
            CHECK(getrlimit(i, &now) == 0);
            if (now.rlim_cur != before[i].rlim_cur || now.rlim_max != before[i].rlim_max)
                victim_fail("limit %d is %lld/%lld, expected %lld/%lld", i, (long long)now.rlim_cur,
                            (long long)now.rlim_max, (long long)before[i].rlim_cur,
                            (long long)before[i].rlim_max);
        }
    return 0;
}
