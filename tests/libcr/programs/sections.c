/* sections.c - critical sections, and checkpoints that wait for their end */
#include "proof.h"

static cr_client_id_t id;
static pid_t asked_for; /* by the other thread */
static int result;

static int tell(void *arg)
{
    note('c');
    CHECK_IS(cr_checkpoint(CR_CHECKPOINT_READY), 0);
    note('C');
    return 0;
}

static void *ask(void *arg)
{
    result = checkpoint(CR_SCOPE_PROC, asked_for);
    return NULL;
}

static int has_tried;

static void *ask_to_enter(void *arg)
{
    int other = cr_init();

    CHECK_IS(cr_status(), CR_STATE_PENDING);
    CHECK(cr_tryenter_cs(other) > 0);
    __atomic_store_n(&has_tried, 1, __ATOMIC_SEQ_CST);
    CHECK(cr_enter_cs(other) == 0); /* waits for the checkpoint */
    note('e');
    CHECK(cr_leave_cs(other) == 0);
    return NULL;
}

/* One that is pending is taken before leave returns, and nobody comes in between. */
static void taken_by_leave(void)
{
    pthread_t asking, entering;

    CHECK(cr_enter_cs(id) == 0 && cr_enter_cs(id) == 0);
    CHECK(pthread_create(&asking, NULL, ask, NULL) == 0);
    WAIT_UNTIL(cr_status() == CR_STATE_PENDING);
    CHECK(cr_enter_cs(id) == 0); /* nested: at once */
    CHECK(cr_tryenter_cs(id) == 0);
    CHECK(cr_leave_cs(id) == 0 && cr_leave_cs(id) == 0 && cr_leave_cs(id) == 0);
    CHECK_IS(n_events, 0);
    CHECK(pthread_create(&entering, NULL, ask_to_enter, NULL) == 0);
    WAIT_UNTIL(__atomic_load_n(&has_tried, __ATOMIC_SEQ_CST));
    nap();
    note('l');
    CHECK(cr_leave_cs(id) == 0);
    note('L');
    pthread_join(entering, NULL);
    pthread_join(asking, NULL);
    CHECK_IS(result, 0);
    CHECK(strncmp(events, "lcC", 3) == 0);
    CHECK(strchr(events, 'L') && strchr(events, 'e'));
    CHECK_IS(strlen(events), 5);
    forget_events();
    CHECK_IS(cr_status(), CR_STATE_IDLE);
}

/* ---- all threads of a process count ---- */

static int go;

static void *stay(void *arg)
{
    int other = cr_init();

    CHECK(cr_enter_cs(other) == 0);
    __atomic_store_n(&go, 1, __ATOMIC_SEQ_CST);
    WAIT_UNTIL(__atomic_load_n(&go, __ATOMIC_SEQ_CST) == 2);
    note('t');
    CHECK(cr_leave_cs(other) == 0);
    return NULL;
}

static void other_threads(void)
{
    cr_checkpoint_handle_t handle;
    cr_checkpoint_args_t args;
    pthread_t staying;

    CHECK(pthread_create(&staying, NULL, stay, NULL) == 0);
    WAIT_UNTIL(__atomic_load_n(&go, __ATOMIC_SEQ_CST) == 1);
    fill(&args, CR_SCOPE_PROC, 0, open_nowhere());
    CHECK(cr_request_checkpoint(&args, &handle) == 0);
    CHECK_IS(cr_status(), CR_STATE_PENDING);
    CHECK_IS(n_events, 0);
    __atomic_store_n(&go, 2, __ATOMIC_SEQ_CST);
    CHECK_IS(finish(&handle), 0);
    pthread_join(staying, NULL);
    CHECK_EVENTS("tcC");
    close(args.cr_fd);
}

/* ---- a thread's sections end with it ---- */

static void *enter_and_end(void *arg)
{
    int other = cr_init();

    CHECK(cr_enter_cs(other) == 0 && cr_enter_cs(other) == 0);
    return NULL;
}

static void ended_thread(void)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, enter_and_end, NULL) == 0);
    pthread_join(thread, NULL);
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    CHECK_EVENTS("cC");
}

/* ---- in signal handlers, which may interrupt enter and leave themselves ---- */

static volatile sig_atomic_t n_handled;

static void on_signal(int sig)
{
    CHECK(cr_enter_cs(id) == 0);
    n_handled++;
    CHECK(cr_leave_cs(id) == 0);
}

static void in_handlers(void)
{
    struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    struct sigaction action;
    double until = now_s() + LIMIT_S;

    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    while (n_handled < 300) {
        CHECK(now_s() < until);
        for (int i = 0; i < 1000; i++)
            CHECK(cr_enter_cs(id) == 0 && cr_leave_cs(id) == 0);
    }
    for (int i = 0; i < 5; i++)
        CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    CHECK_EVENTS("cCcCcCcCcC");
}

int main(void)
{
    id = cr_init();
    CHECK(cr_register_callback(tell, NULL, CR_THREAD_CONTEXT) >= 0);
    taken_by_leave();
    other_threads();
    ended_thread();
    in_handlers();
    return 0;
}
