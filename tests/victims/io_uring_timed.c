/*
 * io_uring_timed.c - a thread waits for answers with a timeout: no EINTR, no early end, and no wait
 * of more than what was left
 */
#include <linux/time_types.h>
#include <pthread.h>
#include "victim_uring.h"

#define TIMEOUT_MS   1500
#define TOLERANCE_MS 900

static struct ring r;
static atomic_llong lost_ms; /* time in which nobody ran */
static atomic_int beats, n_done, n_wrong_ends, n_early, n_late;

static long long now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void *beat(void *arg)
{
    for (long long last = now_ms();;) {
        victim_sleep_ms(5);
        long long now = now_ms();
        if (now - last > 40)
            lost_ms += now - last;
        last = now;
        beats++;
    }
    return arg;
}

/* lost_ms, when all up to now is in it: the beat that may be under way is not enough. */
static long long lost_until_now(void)
{
    int enough = beats + 2;

    while (beats - enough < 0)
        victim_sleep_ms(5);
    return lost_ms;
}

static void *wait_all_the_time(void *arg)
{
    struct __kernel_timespec ts = {TIMEOUT_MS / 1000, TIMEOUT_MS % 1000 * 1000000};
    struct io_uring_getevents_arg wait = {.ts = (uintptr_t)&ts};

    for (;; n_done++) {
        long long lost_before = lost_ms, before = now_ms();
        long result = syscall(SYS_io_uring_enter, r.fd, 0, 1,
                              IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &wait, sizeof(wait));
        n_wrong_ends += result != -1 || errno != ETIME;
        long long took = now_ms() - before, lost = lost_until_now() - lost_before;
        n_early += took < TIMEOUT_MS - 1 && took >= 0; /* the clock may be another machine's */
        n_late += took > TIMEOUT_MS + lost + TOLERANCE_MS;
    }
    return arg;
}

int main(int argc, char **argv)
{
    pthread_t thread;

    victim_init(argc, argv);
    ring_make(&r, 4, 0);
    MUST(r.p.features & IORING_FEAT_EXT_ARG);
    MUST(pthread_create(&thread, NULL, beat, NULL) == 0);
    MUST(pthread_create(&thread, NULL, wait_all_the_time, NULL) == 0);
    victim_sleep_ms(700);
    victim_ready();
    while (victim_wait()) {
        int before = n_done;
        for (int i = 0; i < 1000 && n_done < before + 2; i++)
            victim_sleep_ms(10);
        CHECK(n_done >= before + 2);
        CHECK_EQ(n_wrong_ends, 0);
        CHECK_EQ(n_early, 0);
        CHECK_EQ(n_late, 0);
    }
    return 0;
}
