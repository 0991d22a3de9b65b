/* slice.c - a processor soon, for who works little */
#include "base/slice.h"
#include "libcr/slice.h"

/* What the calling thread's were; 0: they have not been shortened. */
static _Thread_local uint64_t own_ns;

void cri_slice_be_short(void)
{
    slice_change(SLICE_SHORTEST_NS);
}

bool cri_slice_shorten(void)
{
    if (own_ns > 0) /* a signal handler, in the middle of a wait */
        return false;
    own_ns = slice_change(SLICE_SHORTEST_NS);
    return own_ns > 0;
}

void cri_slice_restore(void)
{
    uint64_t before_ns = own_ns;

    own_ns = 0;
    if (before_ns > 0)
        slice_change(before_ns);
}
