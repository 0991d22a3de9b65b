/*
 * section.c - critical sections: no checkpoint while a thread is in one
 *
 * The block's word `sections` counts the threads that are in one, and says whether a request is
 * pending; the tool begins with nothing until the count is 0, and while the request is pending
 * nobody enters anew. A thread's own nested sections are counted by itself.
 *
 * A signal handler that comes amidst enter or leave can't know whether its thread is counted yet
 * (or still). It counts itself in addition. It must not wait then for a pending request that waits
 * for its own thread, and it need not: as long as the count isn't 0 the request has not begun.
 */
#include <errno.h>

#include "libcr/cri.h"
#include "libcr/futex.h"

#define EXPORTED __attribute__((visibility("default")))
#define COUNT    (~COOPERATION_PENDING)

#define ASKING_LOOKS   10
#define ASKING_LOOK_MS 2

/* Until the pending request has come to its end. Who waits makes sure that it does. */
static void wait_for_end(void)
{
    struct cri_patience patience = {0};
    uint32_t word;

    while ((word = cri_load(&cri_block.sections)) & COOPERATION_PENDING) {
        if (cri_round_left_over())
            cri_round_close();
        else if (!cri_wait(&cri_block.sections, word, &patience))
            cri_give_up();
    }
}

/* How many requests this process makes of itself that are not accepted yet. */
static uint32_t asking;

void cri_asking_begin(void)
{
    cri_me.asks = true;
    __atomic_fetch_add(&asking, 1, __ATOMIC_SEQ_CST);
}

void cri_asking_end(void)
{
    uint32_t word;

    cri_me.asks = false;
    do
        word = cri_load(&asking);
    while (word > 0 && !cri_change(&asking, word, word - 1));
    if (word <= 1)
        cri_futex_wake(&asking);
}

/* How many threads wait for the end of such a request; and that one of them is let go first. */
static uint32_t waiting, returning;

void cri_waiting_begin(void)
{
    __atomic_fetch_add(&waiting, 1, __ATOMIC_SEQ_CST);
}

void cri_waiting_let_go(void)
{
    if (cri_load(&waiting) > 0 && cri_change(&returning, 0, 1))
        __atomic_fetch_add(&asking, 1, __ATOMIC_SEQ_CST);
}

void cri_waiting_end(void)
{
    bool asks = cri_me.asks;

    __atomic_fetch_sub(&waiting, 1, __ATOMIC_SEQ_CST);
    if (!cri_change(&returning, 1, 0))
        return;
    cri_asking_end();
    cri_me.asks = asks;
}

/*
 * Who wants to enter when a request is about to be accepted would have to wait right after that,
 * and takes processors from the tool until then. It waits before instead. Likewise at the end,
 * until the thread that has waited for it is back: else it would wait behind those who enter. This
 * is for speed only, so never for longer than a moment: what the request waits for may be this very
 * thread, or who asked may never come back to say so (a signal handler that jumps).
 */
static void let_requests_begin(void)
{
    uint32_t word;

    if (cri_me.asks)
        return;
    for (unsigned n = 0; (word = cri_load(&asking)) > 0 && n <= ASKING_LOOKS; n++) {
        if (n == ASKING_LOOKS)
            cri_change(&asking, word, 0);
        else
            cri_futex_wait(&asking, word, ASKING_LOOK_MS);
    }
}

/* One more thread in a section. `beside`: others that are in it already will do. False: it would
 * have to wait, and shall not. */
static bool count_in(bool beside, bool wait)
{
    for (;;) {
        uint32_t word = cri_load(&cri_block.sections);
        bool pending = word & COOPERATION_PENDING;

        if (!pending || (beside && (word & COUNT) > 0)) {
            if (cri_change(&cri_block.sections, word, word + 1))
                return true;
        } else if (!wait) {
            return false;
        } else {
            wait_for_end();
        }
    }
}

static uint32_t count_out(uint32_t n)
{
    return __atomic_sub_fetch(&cri_block.sections, n, __ATOMIC_SEQ_CST);
}

/* False: it would have to wait, and shall not. */
static bool enter(bool wait)
{
    if (cri_me.depth > 0 && cri_me.counted) {
        cri_me.depth++;
    } else if (cri_me.depth > 0) { /* a signal handler, amidst enter or leave */
        if (!count_in(true, wait))
            return false;
        cri_me.extra++;
        cri_me.depth++;
    } else {
        cri_me.depth = 1;
        if (wait)
            let_requests_begin();
        if (!count_in(false, wait)) {
            cri_me.depth = 0;
            return false;
        }
        cri_me.counted = true;
    }
    return true;
}

static int leave(void)
{
    uint32_t n;

    if (cri_me.depth == 0 || (!cri_me.counted && cri_me.extra == 0))
        return -EINVAL;
    if (!cri_me.counted) {
        cri_me.extra--;
        cri_me.depth--;
        count_out(1);
    } else if (cri_me.depth > 1) {
        cri_me.depth--;
    } else {
        n = 1 + cri_me.extra; /* what a handler has entered and not left */
        cri_me.extra = 0;
        cri_me.counted = false;
        n = count_out(n);
        cri_me.depth = 0;
        if (n == COOPERATION_PENDING)
            wait_for_end();
    }
    return 0;
}

void cri_section_begin(void)
{
    enter(true);
}

void cri_section_end(void)
{
    leave();
}

void cri_sections_drop(void)
{
    if (cri_me.depth > 0 && cri_me.counted) {
        cri_me.depth = 1;
        leave();
    }
}

void cri_sections_forked(void)
{
    cri_store(&asking, 0);
    cri_store(&waiting, 0);
    cri_store(&returning, 0);
}

/* ---- for programs ---- */

EXPORTED int cr_enter_cs(cr_client_id_t id)
{
    if (cri_me.group)
        return 0;
    if (cri_need_init() < 0)
        return -1;
    enter(true);
    return 0;
}

EXPORTED int cr_tryenter_cs(cr_client_id_t id)
{
    if (cri_me.group)
        return 0;
    if (cri_need_init() < 0)
        return -1;
    return !enter(false);
}

EXPORTED int cr_leave_cs(cr_client_id_t id)
{
    int r;

    if (cri_me.group)
        return 0;
    if (cri_need_init() < 0)
        return -1;
    r = leave();
    if (r < 0)
        errno = -r;
    return r < 0 ? -1 : 0;
}

EXPORTED int cr_status(void)
{
    if (cri_need_init() < 0)
        return -1;
    if (cri_me.group)
        return CR_STATE_ACTIVE;
    return cri_load(&cri_block.sections) & COOPERATION_PENDING ? CR_STATE_PENDING : CR_STATE_IDLE;
}
