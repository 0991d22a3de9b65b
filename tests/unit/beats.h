/*
 * beats.h - a target that counts as long as it runs
 */
#ifndef UNIT_BEATS_H
#define UNIT_BEATS_H

#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

/* It is our child, has not ended, and goes on counting. */
static inline void assert_beats(pid_t pid, const atomic_ulong *beats)
{
    unsigned long before = atomic_load(beats);

    for (int turn = 0; turn < 20000 && atomic_load(beats) < before + 2; turn++)
        usleep(1000);
    assert_true(atomic_load(beats) >= before + 2);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
}

#endif
