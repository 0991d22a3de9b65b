/* hooks.c - hooks, and threads that are held until all callbacks have come to their end */
#include <stdbool.h>

#include "proof.h"

static int tell(void *arg)
{
    note('c');
    CHECK_IS(cr_checkpoint(CR_CHECKPOINT_READY), 0);
    note('C');
    return 0;
}

static void on_event(cr_hook_event_t event)
{
    note((char)('0' + event));
}

static int count(char what)
{
    int n = 0;

    for (const char *p = events; *p; p++)
        n += *p == what;
    return n;
}

static void hooks(void)
{
    int t, s;

    for (int event = 0; event < CR_NUM_HOOKS; event++)
        CHECK(cr_register_hook((cr_hook_event_t)event, on_event) == NULL);
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    CHECK_EVENTS("2"); /* CONT_NO_CALLBACKS, in the only thread */
    CHECK((s = cr_register_callback(tell, NULL, CR_SIGNAL_CONTEXT)) >= 0);
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    CHECK_EVENTS("cC0"); /* CONT_SIGNAL_CONTEXT, after the callbacks */
    CHECK(cr_replace_callback(s, NULL, NULL, CR_SIGNAL_CONTEXT) == 0);
    CHECK((t = cr_register_callback(tell, NULL, CR_THREAD_CONTEXT)) >= 0);
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    CHECK(count('1') == 1 && strchr(events, '1') > strchr(events, 'C'));
    CHECK(count('3') == 0 && count('4') == 0 && count('5') == 0);
    forget_events();
    for (int event = 0; event < CR_NUM_HOOKS; event++)
        CHECK(cr_register_hook((cr_hook_event_t)event, NULL) == on_event);
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    CHECK_EVENTS("cC");
    CHECK(cr_replace_callback(t, NULL, NULL, CR_THREAD_CONTEXT) == 0);
}

/* ---- holding ---- */

static int released, counter;

/* Its end comes when the other thread was seen to go on. */
static int wait_for_other(void *arg)
{
    int before;

    CHECK_IS(cr_checkpoint(CR_CHECKPOINT_READY), 0);
    before = __atomic_load_n(&counter, __ATOMIC_SEQ_CST);
    WAIT_UNTIL(__atomic_load_n(&counter, __ATOMIC_SEQ_CST) > before + 1);
    note('w');
    return 0;
}

/* Its end comes late: nobody goes on meanwhile. */
static int see_nobody(void *arg)
{
    int before;

    CHECK_IS(cr_checkpoint(CR_CHECKPOINT_READY), 0);
    for (int i = 0; i < 20; i++) /* who was before its next count may have counted once */
        nap();
    before = __atomic_load_n(&counter, __ATOMIC_SEQ_CST);
    for (int i = 0; i < 100; i++)
        nap();
    CHECK_IS(__atomic_load_n(&counter, __ATOMIC_SEQ_CST), before);
    note('h');
    return 0;
}

static void *go_on(void *arg)
{
    if (arg)
        CHECK(cr_init() >= 0);
    while (!__atomic_load_n(&released, __ATOMIC_SEQ_CST)) {
        __atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST);
        nap();
    }
    return NULL;
}

/* `initialised`: the other thread has called cr_init(). */
static void hold(bool initialised)
{
    int scope = initialised ? CR_HOLD_SCOPE_INIT : CR_HOLD_SCOPE_UNINIT;
    static int yes;
    pthread_t thread;
    int id = cr_register_callback(see_nobody, NULL, CR_THREAD_CONTEXT);

    released = 0;
    CHECK(pthread_create(&thread, NULL, go_on, initialised ? &yes : NULL) == 0);
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    CHECK_EVENTS("h");
    CHECK_IS(cr_hold_ctrl(scope, CR_HOLD_RSTRT), CR_HOLD_BOTH);
    CHECK(cr_replace_callback(id, wait_for_other, NULL, CR_THREAD_CONTEXT) == 0);
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    CHECK_EVENTS("w");
    CHECK_IS(cr_hold_ctrl(scope, CR_HOLD_BOTH), CR_HOLD_RSTRT);
    __atomic_store_n(&released, 1, __ATOMIC_SEQ_CST);
    pthread_join(thread, NULL);
    CHECK(cr_replace_callback(id, NULL, NULL, CR_THREAD_CONTEXT) == 0);
}

int main(void)
{
    CHECK(cr_init() >= 0);
    hooks();
    hold(true);
    hold(false);
    return 0;
}
