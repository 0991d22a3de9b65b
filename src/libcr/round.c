/*
 * round.c - who takes part in a request, and the last one's work at its end
 *
 * A round is one request in this process. The runner and each thread that is made to run entry()
 * join it, and finish; who finds that all have finished closes it: puts the block back, so that
 * the next request can begin. All of this is one word, changed by compare-and-exchange, so that
 * exactly one closes, nobody joins what is being closed, and nothing is locked.
 *
 * A thread that comes too late (its tool died in the middle of making threads run entry()) finds no
 * phase, and does nothing.
 */
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libcr/cri.h"
#include "libcr/futex.h"

/* 20 bits the round, one that it is being closed, 21 how many have joined, 21 have finished. */
#define ONE_FINISHED ((uint64_t)1)
#define ONE_JOINED   ((uint64_t)1 << 21)
#define CLOSING      ((uint64_t)1 << 42)
#define ONE_ROUND    ((uint64_t)1 << 43)

#define LOOKS_CONDEMNED 8

static uint64_t state;
static uint32_t given_up; /* the tool is dead: who has not joined won't come */

static uint64_t load_state(void)
{
    return __atomic_load_n(&state, __ATOMIC_SEQ_CST);
}

static bool change_state(uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(&state, &from, to, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

static uint32_t joined(uint64_t s)
{
    return (s / ONE_JOINED) & (ONE_JOINED - 1);
}

static uint32_t finished(uint64_t s)
{
    return s & (ONE_JOINED - 1);
}

/* Of the round, from 1 on. */
static uint32_t name(uint64_t s)
{
    return (uint32_t)(s / ONE_ROUND) + 1;
}

/* No thread takes part twice: one that a dead tool has left with entry() still to run may be made
 * to run it by the next one as well. */
static bool took_part(uint64_t s)
{
    return cri_me.round == name(s) && cri_me.round_tid == syscall(SYS_gettid);
}

bool cri_round_join(bool own_thread)
{
    uint64_t s;

    do {
        s = load_state();
        if ((s & CLOSING) || cri_load(&cri_block.phase) == COOPERATION_IDLE ||
            (own_thread && took_part(s)))
            return false;
    } while (!change_state(s, s + ONE_JOINED));
    if (joined(s) == 0)
        cri_store(&cri_block.callback_error, 0);
    if (own_thread) {
        cri_me.round = name(s);
        cri_me.round_tid = (int)syscall(SYS_gettid);
    }
    return true;
}

static bool all_have_finished(uint64_t s)
{
    bool runner = cri_load(&cri_block.phase) != COOPERATION_IDLE &&
                  __atomic_load_n(&cri_block.runner_tid, __ATOMIC_SEQ_CST) != 0;
    uint32_t n = cri_load(&cri_block.expected) + runner;

    return cri_load(&cri_block.outcome) != COOPERATION_NONE && joined(s) == finished(s) &&
           (cri_load(&given_up) || joined(s) >= n);
}

/* A stopped process couldn't come to the round's end: that comes before such a signal. */
static bool is_stop(uint32_t sig)
{
    return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

static void put_back(void)
{
    uint32_t *words[] = {&given_up,           &cri_block.phase,   &cri_block.expected,
                         &cri_block.abort,    &cri_block.runner,  &cri_block.arrived,
                         &cri_block.finished, &cri_block.forward, &cri_block.outcome};

    if (cri_load(&cri_block.outcome) == COOPERATION_RESTART)
        cri_requests_restarted();
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        cri_store(words[i], 0);
    cri_block.code = 0;
    if (!is_stop(cri_load((uint32_t *)&cri_block.signal)))
        __atomic_store_n(&cri_block.owner, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&cri_block.pid, getpid(), __ATOMIC_SEQ_CST); /* it may be a new one */
    cri_wishes_update();
}

/* A callback has failed after the checkpoint: nobody goes on. The tool ends the process, or more
 * of them; should there be none that does, it is done here. */
static void end_condemned(void)
{
    uint32_t error = cri_load(&cri_block.callback_error);

    for (unsigned n = 0; error != 0 && n < LOOKS_CONDEMNED;)
        n += cri_futex_wait(&cri_block.callback_error, error, CRI_LOOK_MS) == -ETIMEDOUT;
    if (error != 0)
        kill(getpid(), SIGKILL);
}

/* The tool's write wakes nobody, so it is looked for often. The word is the request's as long as
 * COOPERATION_PENDING is what it was: who is stopped here may go on when the next request has
 * written its own signal, and is to run the callbacks of that. */
static void wait_until_sent(uint32_t sig, uint32_t pending)
{
    uint32_t *word = (uint32_t *)&cri_block.signal;
    struct cri_patience patience = {0};

    for (unsigned n = 1;
         cri_load(word) == sig && (cri_load(&cri_block.sections) & COOPERATION_PENDING) == pending;
         n++) {
        cri_futex_wait(word, sig, 1);
        if (n % CRI_LOOK_MS == 0 && !cri_wait(word, sig, &patience))
            cri_change(word, sig, 0); /* nobody will send it */
    }
}

/* The program goes on when it was sent. */
static void wait_for_signal(void)
{
    uint32_t sig = cri_load((uint32_t *)&cri_block.signal);

    if (cri_load(&cri_block.outcome) != COOPERATION_CONTINUE || sig == 0 || is_stop(sig))
        return;
    cri_store(&cri_block.phase, COOPERATION_SIGNAL_PHASE);
    wait_until_sent(sig, COOPERATION_PENDING);
}

void cri_round_wait_for_stop(void)
{
    uint32_t sig = cri_load((uint32_t *)&cri_block.signal);

    if (is_stop(sig))
        wait_until_sent(sig, 0);
}

void cri_round_close(void)
{
    uint64_t s;

    do {
        s = load_state();
        if ((s & CLOSING) || !all_have_finished(s))
            return;
    } while (!change_state(s, (s & ~(ONE_ROUND - 1)) | CLOSING));
    end_condemned();
    wait_for_signal();
    put_back();
    cri_waiting_let_go();
    __atomic_store_n(&state, (s & ~(ONE_ROUND - 1)) + ONE_ROUND, __ATOMIC_SEQ_CST);
    __atomic_fetch_and(&cri_block.sections, ~COOPERATION_PENDING, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&cri_block.rounds, 1, __ATOMIC_SEQ_CST);
    cri_futex_wake(
        &cri_block.rounds); /* who made the request before those who keep processors busy */
    cri_futex_wake(&cri_block.sections);
    cri_round_wait_for_stop();
}

void cri_round_finish(void)
{
    __atomic_fetch_add(&state, ONE_FINISHED, __ATOMIC_SEQ_CST);
    cri_round_close();
}

bool cri_round_left_over(void)
{
    return (cri_load(&cri_block.sections) & COOPERATION_PENDING) &&
           cri_load(&cri_block.phase) == COOPERATION_IDLE &&
           cri_load(&cri_block.outcome) != COOPERATION_NONE;
}

void cri_round_given_up(void)
{
    cri_store(&given_up, 1);
}

/* The words of the request are the parent's, and so are the sections. */
void cri_round_forked(void)
{
    put_back();
    __atomic_store_n(&state, (load_state() & ~(ONE_ROUND - 1)) + ONE_ROUND, __ATOMIC_SEQ_CST);
    cri_store(&cri_block.sections, 0);
    cri_store(&cri_block.callback_error, 0);
    cri_store((uint32_t *)&cri_block.signal, 0);
}
