/* thousand.c - many requests in a row against threads that enter and leave critical sections
 * full: yes
 *
 * None is lost, none waits for ever, no callback runs in a section, and no thread starves.
 */
#include "proof.h"

#define N_THREADS  4
#define N_REQUESTS 40
#define N_FULL     1000

static int sections, at_end; /* how many threads are in one */
static unsigned long entered[N_THREADS];
static unsigned n_thread_callbacks, n_signal_callbacks;

static void expect_none(void)
{
    CHECK_IS(__atomic_load_n(&sections, __ATOMIC_SEQ_CST), 0);
}

static int in_thread_context(void *arg)
{
    expect_none();
    CHECK_IS(cr_checkpoint(CR_CHECKPOINT_READY), 0);
    expect_none();
    n_thread_callbacks++;
    return 0;
}

static int in_signal_context(void *arg)
{
    expect_none();
    CHECK_IS(cr_checkpoint(CR_CHECKPOINT_READY), 0);
    __atomic_fetch_add(&n_signal_callbacks, 1, __ATOMIC_SEQ_CST);
    return 0;
}

/* One of them asks before it enters; sections are nested now and then. */
static void *enter_and_leave(void *arg)
{
    unsigned long *n = (unsigned long *)arg;
    int id = cr_init();

    CHECK(cr_register_callback(in_signal_context, NULL, CR_SIGNAL_CONTEXT) >= 0);
    while (!__atomic_load_n(&at_end, __ATOMIC_SEQ_CST)) {
        while (n == &entered[0] && cr_tryenter_cs(id) > 0)
            CHECK(cr_status() != CR_STATE_ACTIVE);
        if (n != &entered[0])
            CHECK(cr_enter_cs(id) == 0);
        __atomic_fetch_add(&sections, 1, __ATOMIC_SEQ_CST);
        CHECK(cr_enter_cs(id) == 0);
        __atomic_fetch_add(n, 1, __ATOMIC_SEQ_CST);
        CHECK(cr_leave_cs(id) == 0);
        __atomic_fetch_sub(&sections, 1, __ATOMIC_SEQ_CST);
        CHECK(cr_leave_cs(id) == 0);
    }
    return NULL;
}

static unsigned long least(void)
{
    unsigned long n = ~0ul;

    for (int i = 0; i < N_THREADS; i++) {
        unsigned long one = __atomic_load_n(&entered[i], __ATOMIC_SEQ_CST);
        n = one < n ? one : n;
    }
    return n;
}

int main(int argc, char **argv)
{
    unsigned n = argc > 1 ? N_FULL : N_REQUESTS;
    pthread_t threads[N_THREADS];
    double begun;

    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(in_thread_context, NULL, CR_THREAD_CONTEXT) >= 0);
    for (int i = 0; i < N_THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, enter_and_leave, &entered[i]) == 0);
    WAIT_UNTIL(least() > 0);
    begun = now_s();
    for (unsigned i = 1; i <= n; i++) {
        unsigned long before = least();
        CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
        CHECK_IS(n_thread_callbacks, i);
        CHECK_IS(n_signal_callbacks, i * N_THREADS);
        if (i % 10 == 0)
            WAIT_UNTIL(least() > before);
    }
    printf("%u requests, %.2f ms each\n", n, (now_s() - begun) * 1e3 / n);
    __atomic_store_n(&at_end, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
