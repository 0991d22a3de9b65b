/* forks.c - children of processes with callbacks, threads that end, programs that others replace */
#include "proof.h"

static int tell(void *arg)
{
    note('c');
    return cr_checkpoint(CR_CHECKPOINT_READY) != 0;
}

/* A child has no callbacks, and calls cr_init() for itself. */
static void as_child(int from, int to)
{
    forget_events();
    CHECK(cr_enter_cs(0) == -1 && errno == CR_ENOINIT);
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    CHECK_EVENTS("");
    CHECK_IS(cr_init(), 0);
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    CHECK_EVENTS("");
    CHECK_IS(cr_register_callback(tell, NULL, CR_THREAD_CONTEXT), CR_THREAD_CONTEXT);
    CHECK_IS(cr_register_callback(tell, NULL, CR_SIGNAL_CONTEXT), CR_SIGNAL_CONTEXT);
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    CHECK_EVENTS("cc");
    say(to, 'r');
    hear(from);
}

static void children(void)
{
    struct child child = start(as_child);

    CHECK(hear(child.from) == 'r');
    CHECK_IS(checkpoint(CR_SCOPE_TREE, 0), 0);
    CHECK_EVENTS("cc");
    end_well(&child);
}

/* ---- forked in a critical section, or with a request under way ---- */

static void without_section(int from, int to)
{
    CHECK(cr_init() >= 0);
    CHECK(cr_leave_cs(0) == -1 && errno == EINVAL);
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
}

/* The handle goes on to work in a child. */
static cr_checkpoint_handle_t handle;

static void wait_for_parents(int from, int to)
{
    CHECK(cr_wait_checkpoint(&handle, NULL) > 0);
    CHECK(cr_reap_checkpoint(&handle) > 0);
}

static void in_section(void)
{
    cr_checkpoint_args_t args;
    struct child child, waiter;

    CHECK(cr_enter_cs(0) == 0);
    child = start(without_section);
    end_well(&child);
    fill(&args, CR_SCOPE_PROC, 0, open_nowhere());
    CHECK(cr_request_checkpoint(&args, &handle) == 0);
    waiter = start(wait_for_parents);
    CHECK(cr_leave_cs(0) == 0);
    end_well(&waiter);
    CHECK_IS(finish(&handle), 0);
    CHECK_EVENTS("cc");
    close(args.cr_fd);
}

/* ---- forked by a callback: not part of the request ---- */

static void wait_for_end(int from, int to)
{
    hear(from);
}

static int fork_there(void *arg)
{
    struct child before = start(wait_for_end), after;

    CHECK_IS(cr_checkpoint(CR_CHECKPOINT_READY), 0);
    end_well(&before);
    after = start(wait_for_end);
    end_well(&after);
    note('f');
    return 0;
}

static void in_callbacks(int context)
{
    int id = cr_register_callback(fork_there, NULL, context);

    CHECK_IS(checkpoint(CR_SCOPE_TREE, 0), 0);
    CHECK_IS(strlen(events), 3);
    forget_events();
    CHECK(cr_replace_callback(id, NULL, NULL, context) == 0);
}

/* ---- threads with callbacks, some of which have ended ---- */

#define N_THREADS 8

static pthread_barrier_t begun, ended;

static void *be_there(void *arg)
{
    CHECK(cr_init() == 0);
    CHECK(cr_register_callback(tell, NULL, CR_SIGNAL_CONTEXT) == CR_SIGNAL_CONTEXT);
    pthread_barrier_wait(&begun);
    if (arg)
        pthread_barrier_wait(&ended);
    return NULL;
}

static void threads(void)
{
    static int yes;
    pthread_t all[N_THREADS];

    pthread_barrier_init(&begun, NULL, N_THREADS + 1);
    pthread_barrier_init(&ended, NULL, N_THREADS / 2 + 1);
    for (int i = 0; i < N_THREADS; i++)
        CHECK(pthread_create(&all[i], NULL, be_there, i % 2 ? &yes : NULL) == 0);
    pthread_barrier_wait(&begun);
    for (int i = 0; i < N_THREADS; i += 2)
        pthread_join(all[i], NULL);
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    CHECK_IS(strlen(events), 2 + N_THREADS / 2);
    forget_events();
    pthread_barrier_wait(&ended);
    for (int i = 1; i < N_THREADS; i += 2)
        pthread_join(all[i], NULL);
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    CHECK_EVENTS("cc");
}

/* ---- targets that are gone before the checkpoint is taken ---- */

static int ending_fd;

static int end_here(void *arg)
{
    say(ending_fd, 'e');
    _exit(7);
}

static void ending(int from, int to)
{
    ending_fd = to;
    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(end_here, NULL, CR_THREAD_CONTEXT) >= 0);
    say(to, 'r');
    hear(from);
}

static int become_cat(void *arg)
{
    execlp("cat", "cat", NULL);
    return 1;
}

static void replaced(int from, int to)
{
    CHECK(dup2(from, 0) == 0 && dup2(to, 1) == 1);
    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(become_cat, NULL, CR_THREAD_CONTEXT) >= 0);
    say(to, 'r');
    hear(from);
}

static void gone(void)
{
    struct child child = start(ending);
    int status;

    CHECK(hear(child.from) == 'r');
    CHECK_IS(checkpoint(CR_SCOPE_PROC, child.pid), ESRCH);
    CHECK(hear(child.from) == 'e');
    status = end(&child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    child = start(replaced);
    CHECK(hear(child.from) == 'r');
    CHECK_IS(checkpoint(CR_SCOPE_PROC, child.pid), ESRCH);
    say(child.to, 'k');
    CHECK(hear(child.from) == 'k'); /* it is cat, and unharmed */
    end_well(&child);
}

int main(void)
{
    CHECK(cr_init() == 0);
    gone();
    CHECK_IS(cr_register_callback(tell, NULL, CR_THREAD_CONTEXT), CR_THREAD_CONTEXT);
    CHECK_IS(cr_register_callback(tell, NULL, CR_SIGNAL_CONTEXT), CR_SIGNAL_CONTEXT);
    children();
    in_section();
    in_callbacks(CR_THREAD_CONTEXT);
    in_callbacks(CR_SIGNAL_CONTEXT);
    threads();
    return 0;
}
