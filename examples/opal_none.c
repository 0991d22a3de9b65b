/*
 * opal_none.c - a program with Open PAL, and nobody who saves it
 *
 * test: {bin} -mca crs none --mca crs_none_select_warning 1
 *
 * It looks for the longest Collatz sequence below a limit, and asks for a checkpoint of itself now
 * and then. With the component `none` every request succeeds at once and saves nothing; with
 * another one (-mca crs blcr), the same program is saved each time.
 */
#include <opal/runtime/opal.h>
#include <opal/runtime/opal_cr.h>
#include <stdio.h>

#define LIMIT 1000000u

static unsigned length_of(unsigned long long n)
{
    unsigned length = 1;

    for (; n != 1; length++)
        n = n % 2 ? 3 * n + 1 : n / 2;
    return length;
}

int main(int argc, char **argv)
{
    unsigned best = 1, best_length = 1;
    opal_crs_state_type_t state;
    int r = opal_init(&argc, &argv);

    for (unsigned n = 1; n < LIMIT && r == OPAL_SUCCESS; n++) {
        unsigned length = length_of(n);

        if (length > best_length) {
            best = n;
            best_length = length;
        }
        if (n % (LIMIT / 4) == 0)
            r = opal_cr_request_checkpoint(NULL, "collatz", NULL, NULL, &state);
    }
    if (r != OPAL_SUCCESS) {
        fprintf(stderr, "%s\n", opal_strerror(r));
        return 1;
    }
    printf("%u has a sequence of %u\n", best, best_length);
    return opal_finalize() == OPAL_SUCCESS && best == 837799 ? 0 : 1;
}
