/*
 * opal_criu.c - a program that knows nothing of its state, with the component `criu`
 *
 * It counts primes. All that is saved is what the program has in memory, its open files and its
 * place in the code; CRIU does it. Half way it asks for a checkpoint of itself and goes on, as it
 * does when `opal-restart primes` brings it back to this place, with its old PID. The file that it
 * writes to has to be as it was when it was saved: so nothing is written before the end.
 *
 *     opal_criu LIMIT RESULT -mca crs criu
 *     opal-restart primes
 *
 * Needs CRIU 3.19 or newer, and root. Where it can't run, opal_init() says why.
 */
#include <opal/runtime/opal.h>
#include <opal/runtime/opal_cr.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_prime(long n)
{
    for (long d = 2; d * d <= n; d++)
        if (n % d == 0)
            return false;
    return n > 1;
}

static long count(long from, long to)
{
    long n = 0;

    for (long i = from; i < to; i++)
        n += is_prime(i);
    return n;
}

static const char *lives_of(opal_crs_state_type_t state)
{
    return state == OPAL_CRS_RESTART ? "restarted" : "its first life";
}

int main(int argc, char **argv)
{
    opal_crs_state_type_t state = OPAL_CRS_NONE;
    long limit, n;
    FILE *result;

    if (opal_init(&argc, &argv) != OPAL_SUCCESS)
        return 1;
    if (argc != 3) {
        fprintf(stderr, "usage: opal_criu LIMIT RESULT -mca crs criu\n");
        return 2;
    }
    limit = atol(argv[1]);
    n = count(0, limit / 2);
    if (opal_cr_request_checkpoint(NULL, "primes", NULL, NULL, &state) != OPAL_SUCCESS)
        return 1;
    n += count(limit / 2, limit);
    result = fopen(argv[2], "w");
    if (!result || fprintf(result, "%ld primes below %ld\n", n, limit) < 0 || fclose(result) != 0)
        return 1;
    printf("%ld primes below %ld, %s\n", n, limit, lives_of(state));
    return opal_finalize() == OPAL_SUCCESS ? 0 : 1;
}
