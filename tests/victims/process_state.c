/*
 * process_state.c - settings of a process that is careful: secure bits, groups, machine checks, ...
 *
 * What needs privilege is set where there is some; what the kernel or processor hasn't got, isn't.
 * kinds: thread_prctl process_prctl credentials
 * link: -pthread
 */
#include <grp.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "victim.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#define PR_GET_IO_FLUSHER 58
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif

#define BITS (SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_CAP_AMBIENT_RAISE)

static int secure, flusher, merge, speculation, grouped;
static const gid_t groups[] = {7, 1234, 54321};

/* No TSC here: what of the C library reads it would end the program. */
static void *without_tsc(void *arg)
{
    volatile int *state = arg;
    int tsc = 0;

    if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) < 0)
        *state = -1;
    for (;;) {
        if (*state == 0)
            *state = 1;
        if (*state == 2) {
            prctl(PR_GET_TSC, &tsc, 0, 0, 0);
            *state = tsc == PR_TSC_SIGSEGV ? 3 : 4;
        }
        syscall(SYS_poll, NULL, 0, 2);
    }
    return NULL;
}

static void set(void)
{
    if (geteuid() == 0) {
        grouped = setgroups(3, groups) == 0;
        flusher = prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0;
        MUST(prctl(PR_SET_SECUREBITS, BITS, 0, 0, 0) == 0);
        secure = BITS;
    } else {
        MUST(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0);
        secure = SECBIT_KEEP_CAPS;
    }
    MUST(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0) == 0);
    merge = prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) == 0;
    if (prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0) == 0)
        speculation = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0);
}

int main(int argc, char **argv)
{
    static volatile int tsc;
    pthread_t thread;
    gid_t now[8];

    victim_init(argc, argv);
    MUST(pthread_create(&thread, NULL, without_tsc, (void *)&tsc) == 0);
    while (tsc == 0)
        victim_sleep_ms(1);
    set();
    victim_ready();
    while (victim_wait()) {
        /* In a user namespace groups from outside have no numbers, and no call to set them. */
        bool inside = strcmp(victim_situation(), "namespace") == 0;
        CHECK_EQ(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0), secure);
        if (grouped && !inside) {
            CHECK_EQ(getgroups(8, now), 3);
            CHECK(memcmp(now, groups, sizeof(groups)) == 0);
        }
        if (flusher)
            CHECK_EQ(prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0), 1);
        CHECK_EQ(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_EARLY);
        if (merge)
            CHECK_EQ(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0), 1);
        if (speculation)
            CHECK_EQ(prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0), speculation);
        if (tsc > 0) {
            tsc = 2;
            for (int ms = 0; tsc == 2 && ms < 15000; ms++)
                victim_sleep_ms(1);
            CHECK_EQ(tsc, 3);
        }
    }
    return 0;
}
