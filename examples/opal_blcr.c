/*
 * opal_blcr.c - a program that knows nothing of its state, with the component `blcr`
 *
 * test: sh -c '{bin} 4000000 >a && {bin} 4000000 save >b && {restart} pi && cmp a b'
 *
 * Threads estimate pi by random points. All that is saved is what the program has in memory, whole:
 * none of its code deals with that. It ends half way, when its last thread has come there;
 * opal-restart brings it back in the middle of the request. Between, `opal-checkpoint PID` saves it
 * from outside.
 *
 *     opal_blcr POINTS [save]
 *     opal-restart pi
 */
#include <opal/runtime/opal.h>
#include <opal/runtime/opal_cr.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define N_THREADS 3

static pthread_barrier_t half;
static long n_points;

struct worker {
    pthread_t thread;
    unsigned short seed[3];
    long n_inside;
};

static void throw_points(struct worker *me, long n)
{
    for (long i = 0; i < n; i++) {
        double x = erand48(me->seed), y = erand48(me->seed);

        me->n_inside += x * x + y * y < 1;
    }
}

static void *work(void *arg)
{
    throw_points(arg, n_points / N_THREADS / 2);
    pthread_barrier_wait(&half);
    throw_points(arg, n_points / N_THREADS / 2);
    return NULL;
}

static int save_and_end(void)
{
    opal_crs_base_ckpt_options_t *options = OBJ_NEW(opal_crs_base_ckpt_options_t);
    opal_crs_state_type_t state = OPAL_CRS_NONE;
    int r;

    options->term = true;
    r = opal_cr_request_checkpoint(options, "pi", NULL, NULL, &state);
    OBJ_RELEASE(options);
    return r == OPAL_SUCCESS && state == OPAL_CRS_RESTART && opal_cr_restart_count() == 1 ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct worker workers[N_THREADS];
    long n_inside = 0;

    if (opal_init(&argc, &argv) != OPAL_SUCCESS)
        return 1;
    n_points = argc > 1 ? atol(argv[1]) : 4000000;
    pthread_barrier_init(&half, NULL, N_THREADS + 1);
    for (int i = 0; i < N_THREADS; i++) {
        workers[i] = (struct worker){.seed = {(unsigned short)i}};
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    pthread_barrier_wait(&half);
    if (argc > 2 && save_and_end() < 0)
        return 1;
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        n_inside += workers[i].n_inside;
    }
    printf("%ld of %ld: %.6f\n", n_inside, n_points, 4.0 * (double)n_inside / (double)n_points);
    return opal_finalize() == OPAL_SUCCESS ? 0 : 1;
}
