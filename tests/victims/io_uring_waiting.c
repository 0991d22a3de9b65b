/*
 * io_uring_waiting.c - a thread waits in the kernel for answers, all the time
 */
#include <pthread.h>
#include "victim_uring.h"

static struct ring r;
static _Atomic uint64_t sum;
static atomic_int n_failed;

static void *wait_for_answers(void *arg)
{
    for (;;) {
        int n = ring_enter(&r, 0, 1, 0);
        if (n != 0)
            n_failed++;
        for (; ring_waiting(&r) > 0; ring_take(&r, 1))
            sum += ring_answer(&r, 0)->user_data;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    uint64_t expected = 0;

    victim_init(argc, argv);
    ring_make(&r, 8, 0);
    MUST(pthread_create(&thread, NULL, wait_for_answers, NULL) == 0);
    victim_ready();
    while (victim_wait()) {
        for (int i = 1; i <= 20; i++) {
            expected += i;
            ring_next(&r, IORING_OP_NOP, i);
            ring_submit(&r, 0);
            for (int k = 0; sum != expected && k < 10000; k++)
                victim_sleep_ms(2);
            CHECK_EQ(sum, expected);
        }
        CHECK_EQ(n_failed, 0);
    }
    return 0;
}
