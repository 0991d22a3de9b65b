/*
 * cooperation.c - the block of a checkpoint library: a restart says in it that it happened
 *
 * One after the other, each until it was restarted: a runner at the barrier of a request; a request
 * that nobody in the program sees through; no request. A weaker block beside it is left alone.
 * link: -lpthread
 */
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include "../../src/base/cooperation.h"
#include "victim.h"

static struct cooperation block __attribute__((used)) = {.version = COOPERATION_VERSION,
                                                         .size = sizeof(block),
                                                         .kind = COOPERATION_FULL,
                                                         .flags = COOPERATION_WANTS_THREADS,
                                                         .magic = COOPERATION_MAGIC};
static struct cooperation weaker __attribute__((used)) = {.version = COOPERATION_VERSION,
                                                          .size = sizeof(weaker),
                                                          .kind = COOPERATION_RUN,
                                                          .magic = COOPERATION_MAGIC};
COOPERATION_NOTE(block);
COOPERATION_NOTE(weaker);

#define ANOTHER 4000001 /* no process has such a number */

static atomic_uint outcomes, wrong;

/* The runner comes to the barrier, waits there, and is the last one that puts everything back. */
static void *run(void *arg)
{
    __atomic_store_n(&block.runner_tid, gettid(), __ATOMIC_SEQ_CST);
    for (;;) {
        if (syscall(SYS_futex, &block.outcome, FUTEX_WAIT, COOPERATION_NONE, NULL, NULL, 0) < 0 &&
            errno != EAGAIN)
            atomic_fetch_add(&wrong, 1);
        uint32_t outcome = __atomic_load_n(&block.outcome, __ATOMIC_SEQ_CST);
        if (outcome == COOPERATION_NONE)
            continue;
        if (outcome != COOPERATION_RESTART || block.owner != 0 || block.runner_tid != gettid() ||
            block.requester != block.pid || block.target != ANOTHER ||
            block.phase != COOPERATION_THREADS_PHASE || block.sections != COOPERATION_PENDING)
            atomic_fetch_add(&wrong, 1);
        block.runner_tid = 0;
        block.runner = block.phase = block.sections = block.owner = 0;
        __atomic_store_n(&block.outcome, COOPERATION_NONE, __ATOMIC_SEQ_CST);
        block.rounds++;
        atomic_fetch_add(&outcomes, 1);
        return arg;
    }
}

static void begin_request(void)
{
    pthread_t thread;

    block.owner = ANOTHER;
    block.requester = block.pid;
    block.target = ANOTHER;
    block.runner = COOPERATION_ARRIVED;
    block.sections = COOPERATION_PENDING;
    block.phase = COOPERATION_THREADS_PHASE;
    MUST(pthread_create(&thread, NULL, run, NULL) == 0);
    while (__atomic_load_n(&block.runner_tid, __ATOMIC_SEQ_CST) == 0)
        usleep(1000);
}

static bool is_idle(void)
{
    return block.phase == COOPERATION_IDLE && block.sections == 0 && block.owner == 0 &&
           block.outcome == COOPERATION_NONE && block.runner == COOPERATION_NOT_RUN;
}

static void check_restart(const char *how, uint32_t n)
{
    CHECK_EQ(block.restarts, n);
    CHECK_EQ(block.pid, getpid());
    /* What came through a pipe has no path; that is done under new PIDs. */
    CHECK(block.source[0] == '/' || (strcmp(how, "new") == 0 && block.source[0] == 0));
    CHECK(strcmp(how, "namespace") == 0 ? block.restarter == 0 : block.restarter > 0);
    for (int turn = 0; n == 1 && atomic_load(&outcomes) == 0 && turn < 20000; turn++)
        usleep(1000);
    CHECK_EQ(atomic_load(&outcomes), 1);
    CHECK_EQ(atomic_load(&wrong), 0);
    CHECK(is_idle());
    CHECK_EQ(block.rounds, n < 2 ? n : 2);
    CHECK_EQ(weaker.restarts, 0);
    CHECK_EQ(weaker.source[0], 0);
    if (n == 1) { /* the next one: nobody is there for it */
        block.sections = COOPERATION_PENDING;
        block.owner = ANOTHER;
    }
}

int main(int argc, char **argv)
{
    uint32_t n = 0;

    victim_init(argc, argv);
    block.pid = weaker.pid = getpid();
    begin_request();
    victim_ready();
    while (victim_wait()) {
        const char *how = victim_situation();
        if (strcmp(how, "continue") != 0) {
            check_restart(how, ++n);
            continue;
        }
        CHECK_EQ(block.restarts, n);
        CHECK_EQ(atomic_load(&outcomes), n > 0);
        CHECK_EQ(block.sections, n < 2 ? COOPERATION_PENDING : 0);
        CHECK_EQ(block.owner, n < 2 ? ANOTHER : 0);
        CHECK_EQ(atomic_load(&wrong), 0);
    }
    return 0;
}
