/*
 * sections.c - critical sections: what they hold off, who waits for whom, nesting, signal handlers
 */
#include <sys/time.h>

#include "tool.h"

static int n_inside; /* threads in a section, by their own count */
static int n_seen;   /* the most that a checkpoint has seen; 0 is right */
static int n_rounds, n_entered, n_tried;
static bool stop;

/* ---- one thread ---- */

static int count_rounds(void *arg)
{
    n_rounds++;
    return 0;
}

static void pend_and_go(void *arg)
{
    tool_request(COOPERATION_CONTINUE);
}

/* In a section nothing happens but that the request is pending; leave returns when it is over. */
static void leave_waits(void)
{
    struct tool_run run;

    n_rounds = 0;
    CHECK(cr_enter_cs(0) == 0);
    tool_start(&run, pend_and_go, NULL);
    WAIT_FOR(cr_status() == CR_STATE_PENDING);
    CHECK(cr_enter_cs(0) == 0); /* nested */
    CHECK(cr_tryenter_cs(0) == 0);
    CHECK(cr_leave_cs(0) == 0);
    CHECK(cr_leave_cs(0) == 0);
    CHECK(n_rounds == 0 && LOAD(tool_block->sections) == (COOPERATION_PENDING | 1));
    CHECK(cr_leave_cs(0) == 0);
    CHECK(n_rounds == 1);
    tool_join(&run);
    CHECK(cr_status() == CR_STATE_IDLE);
    tool_check_idle();
}

static void *enter_and_leave(void *arg)
{
    CHECK(cr_init() == 0);
    CHECK(cr_tryenter_cs(0) > 0);
    __atomic_store_n(&n_tried, 1, __ATOMIC_SEQ_CST);
    CHECK(cr_enter_cs(0) == 0);
    CHECK(n_rounds == 1);
    CHECK(cr_leave_cs(0) == 0);
    __atomic_store_n(&n_entered, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* Nobody enters anew while a request is pending. */
static void enter_waits(void)
{
    struct tool_run run;
    pthread_t thread;

    n_rounds = n_entered = 0;
    CHECK(cr_enter_cs(0) == 0);
    tool_start(&run, pend_and_go, NULL);
    WAIT_FOR(cr_status() == CR_STATE_PENDING);
    CHECK(pthread_create(&thread, NULL, enter_and_leave, NULL) == 0);
    WAIT_FOR(LOAD(n_tried));
    CHECK(!LOAD(n_entered));
    CHECK(cr_leave_cs(0) == 0);
    CHECK(pthread_join(thread, NULL) == 0 && n_entered);
    tool_join(&run);
}

static void *section_until_end(void *arg)
{
    CHECK(cr_init() == 0 && cr_enter_cs(0) == 0 && cr_enter_cs(0) == 0);
    return NULL;
}

static void errors(void)
{
    pthread_t thread;

    CHECK(cr_leave_cs(0) == -1 && errno == EINVAL);
    CHECK(cr_enter_cs(0) == 0 && cr_leave_cs(0) == 0);
    CHECK(cr_leave_cs(0) == -1 && errno == EINVAL);
    CHECK(pthread_create(&thread, NULL, section_until_end, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    WAIT_FOR(LOAD(tool_block->sections) == 0);
}

/* ---- many threads, and requests all the time ---- */

static int look(void *arg)
{
    int n = LOAD(n_inside);

    if (n > n_seen)
        n_seen = n;
    n_rounds++;
    return 0;
}

static void *work(void *arg)
{
    CHECK(cr_init() >= 0);
    while (!LOAD(stop)) {
        CHECK(cr_enter_cs(0) == 0);
        __atomic_fetch_add(&n_inside, 1, __ATOMIC_SEQ_CST);
        if (*(int *)arg) {
            CHECK(cr_enter_cs(0) == 0);
            CHECK(cr_leave_cs(0) == 0);
        }
        __atomic_fetch_sub(&n_inside, 1, __ATOMIC_SEQ_CST);
        CHECK(cr_leave_cs(0) == 0);
        __atomic_fetch_add(&n_entered, 1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static void four_threads(void)
{
    static int nested[4] = {0, 1, 0, 1};
    pthread_t threads[4];

    n_rounds = n_seen = n_entered = 0;
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, work, &nested[i]) == 0);
    WAIT_FOR(LOAD(n_entered) > 100);
    for (int i = 0; i < 100; i++)
        tool_round(COOPERATION_CONTINUE);
    __atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(n_seen == 0 && n_rounds == 100);
}

/* ---- a handler that comes anywhere, in the middle of enter and leave as well ---- */

static int n_handled;

static void on_alarm(int sig)
{
    CHECK(cr_enter_cs(0) == 0);
    __atomic_fetch_add(&n_inside, 1, __ATOMIC_SEQ_CST);
    CHECK(cr_enter_cs(0) == 0 && cr_leave_cs(0) == 0);
    __atomic_fetch_sub(&n_inside, 1, __ATOMIC_SEQ_CST);
    CHECK(cr_leave_cs(0) == 0);
    __atomic_fetch_add(&n_handled, 1, __ATOMIC_SEQ_CST);
}

static void *interrupted(void *arg)
{
    sigset_t alarm;

    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    CHECK(cr_init() == 0); /* the handler needs it, as long as it may come */
    pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
    work(arg);
    pthread_sigmask(SIG_BLOCK, &alarm, NULL);
    return NULL;
}

static void handlers(void)
{
    static int nested = 1;
    struct itimerval timer = {{0, 200}, {0, 200}}, none = {{0, 0}, {0, 0}};
    pthread_t thread;
    sigset_t alarm;

    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm, NULL);
    signal(SIGALRM, on_alarm);
    n_rounds = n_seen = n_entered = 0;
    stop = false;
    CHECK(pthread_create(&thread, NULL, interrupted, &nested) == 0);
    setitimer(ITIMER_REAL, &timer, NULL);
    for (int i = 0; i < 100; i++)
        tool_round(COOPERATION_CONTINUE);
    WAIT_FOR(LOAD(n_handled) > 300);
    setitimer(ITIMER_REAL, &none, NULL);
    __atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(n_seen == 0 && n_rounds == 100);
    tool_check_idle();
}

int main(void)
{
    tool_begin();
    CHECK(cr_enter_cs(0) == -1 && errno == CR_ENOINIT);
    CHECK(cr_tryenter_cs(0) == -1 && errno == CR_ENOINIT);
    CHECK(cr_leave_cs(0) == -1 && errno == CR_ENOINIT);
    CHECK(cr_init() == 0);
    errors();
    CHECK(cr_register_callback(count_rounds, NULL, CR_THREAD_CONTEXT) >= 0);
    leave_waits();
    enter_waits();
    CHECK(cr_replace_callback(0 | CR_THREAD_CONTEXT, look, NULL, CR_THREAD_CONTEXT) == 0);
    four_threads();
    handlers();
    return 0;
}
