/* signals.c - a program may do with every signal what it likes; a request may send one at its end
 */
#include <poll.h>

#include "proof.h"

static int tell(void *arg)
{
    note('c');
    CHECK_IS(cr_checkpoint(CR_CHECKPOINT_READY), 0);
    note('C');
    return 0;
}

static void request_self(void)
{
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    CHECK(strlen(events) == 4 && strncmp(events, "cc", 2) == 0); /* of both contexts */
    forget_events();
}

/* ---- the program's own signals ---- */

static void note_signal(int sig)
{
    note('!');
}

static void set(int sig, void (*handler)(int))
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = handler;
    sigaction(sig, &action, NULL); /* EINVAL: the C library's, or SIGKILL and SIGSTOP */
}

static void set_all(void (*handler)(int))
{
    for (int sig = 1; sig <= SIGRTMAX; sig++)
        set(sig, handler);
}

static void own_signals(void)
{
    sigset_t all, before;

    set(CR_SIGNUM, SIG_IGN);
    request_self();
    set(CR_SIGNUM, SIG_DFL);
    request_self();
    set_all(note_signal);
    request_self(); /* no handler has run */
    set_all(SIG_IGN);
    request_self();
    set_all(SIG_DFL);
    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    request_self();
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
}

/* A handler of the program's runs during its own signal 64. */
static void own_64(void)
{
    set(CR_SIGNUM, note_signal);
    CHECK(raise(CR_SIGNUM) == 0);
    CHECK_EVENTS("!");
    request_self();
    set(CR_SIGNUM, SIG_DFL);
}

/* ---- calls aren't interrupted ---- */

static int reading[2];

static void *read_one(void *arg)
{
    char what;

    CHECK(read(reading[0], &what, 1) == 1); /* no EINTR */
    return NULL;
}

static void no_interruption(void)
{
    struct timespec time = {0, 300 * 1000000};
    cr_checkpoint_handle_t handle;
    cr_checkpoint_args_t args;
    pthread_t thread;
    double before;

    set_all(SIG_DFL);
    CHECK(pipe(reading) == 0);
    CHECK(pthread_create(&thread, NULL, read_one, NULL) == 0);
    fill(&args, CR_SCOPE_PROC, 0, open_nowhere());
    args.cr_flags = CR_CHKPT_ASYNC_ERR;
    before = now_s();
    CHECK(cr_request_checkpoint(&args, &handle) == 0);
    CHECK(nanosleep(&time, NULL) == 0);
    CHECK(now_s() - before >= 0.3);
    CHECK_IS(finish(&handle), 0);
    CHECK(strlen(events) == 4);
    forget_events();
    say(reading[1], 'x');
    pthread_join(thread, NULL);
    close(args.cr_fd);
}

/* ---- the signal that is asked for ---- */

static volatile sig_atomic_t n_signals;

static void on_wish(int sig)
{
    n_signals++;
    note('!');
}

static void wish(void)
{
    cr_checkpoint_args_t args;
    char *first;

    set(SIGUSR1, on_wish);
    fill(&args, CR_SCOPE_PROC, 0, open_nowhere());
    args.cr_signal = SIGUSR1;
    CHECK_IS(request(&args), 0);
    WAIT_UNTIL(n_signals == 1);
    CHECK_IS(strlen(events), 5);
    first = strchr(events, '!');
    CHECK(first && first[1] == 0); /* after all callbacks, once */
    forget_events();
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    CHECK(!strchr(events, '!'));
    forget_events();
    close(args.cr_fd);
}

/* A request that fails sends none. */
static int refuse(void *arg)
{
    return cr_checkpoint(CR_CHECKPOINT_TEMP_FAILURE) == 0;
}

static void no_wish(void)
{
    cr_checkpoint_args_t args;
    int id = cr_register_callback(refuse, NULL, CR_THREAD_CONTEXT);

    fill(&args, CR_SCOPE_PROC, 0, open_nowhere());
    args.cr_signal = SIGUSR1;
    CHECK_IS(request(&args), CR_ETEMPFAIL);
    CHECK(n_signals == 1 && !strchr(events, '!'));
    CHECK(cr_replace_callback(id, NULL, NULL, CR_THREAD_CONTEXT) == 0);
    forget_events();
    close(args.cr_fd);
}

/* ---- stopping, ending ---- */

static int report_fd;

static int report(void *arg)
{
    say(report_fd, 'c');
    CHECK_IS(cr_checkpoint(CR_CHECKPOINT_READY), 0);
    say(report_fd, 'C');
    return 0;
}

static void report_and_wait(int from, int to)
{
    report_fd = to;
    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(report, NULL, CR_THREAD_CONTEXT) >= 0);
    say(to, 'r');
    hear(from);
}

static void ask_with(pid_t target, int sig)
{
    cr_checkpoint_args_t args;

    fill(&args, CR_SCOPE_PROC, target, open_nowhere());
    args.cr_signal = sig;
    CHECK_IS(request(&args), 0);
    close(args.cr_fd);
}

static void others(void)
{
    struct child child = start(report_and_wait);
    int status;

    CHECK(hear(child.from) == 'r');
    ask_with(child.pid, SIGSTOP);
    CHECK(waitpid(child.pid, &status, WUNTRACED) == child.pid && WIFSTOPPED(status));
    CHECK(hear(child.from) == 'c' && hear(child.from) == 'C'); /* before it stopped */
    ask_with(child.pid, 0); /* stopped as it is: woken for the callbacks, and stopped again */
    CHECK(hear(child.from) == 'c' && hear(child.from) == 'C');
    CHECK(waitpid(child.pid, &status, WUNTRACED) == child.pid && WIFSTOPPED(status));
    ask_with(child.pid, SIGCONT);
    CHECK(hear(child.from) == 'c' && hear(child.from) == 'C');
    ask_with(child.pid, SIGTERM);
    CHECK(hear(child.from) == 'c' && hear(child.from) == 'C');
    CHECK(waitpid(child.pid, &status, 0) == child.pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

/* ---- nobody goes on before the signal ---- */

static int has_called;

static int count_call(void *arg)
{
    CHECK_IS(cr_checkpoint(CR_CHECKPOINT_READY), 0);
    __atomic_store_n(&has_called, 1, __ATOMIC_SEQ_CST);
    return 0;
}

/* Says so as soon as it goes on after the checkpoint. */
static void tell_of_going_on(int from, int to)
{
    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(count_call, NULL, CR_THREAD_CONTEXT) >= 0);
    say(to, 'r');
    while (!__atomic_load_n(&has_called, __ATOMIC_SEQ_CST))
        continue;
    say(to, '!');
    hear(from);
}

static void before_going_on(int sig)
{
    for (int i = 0; i < 5; i++) {
        struct child child = start(tell_of_going_on);
        cr_checkpoint_args_t args;
        int status;

        CHECK(hear(child.from) == 'r');
        fill(&args, CR_SCOPE_PROC, child.pid, create("held"));
        args.cr_signal = sig;
        CHECK_IS(request(&args), 0);
        CHECK(waitpid(child.pid, &status, 0) == child.pid);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == sig);
        CHECK(hear(child.from) == 0);
        close(args.cr_fd);
        close(child.from);
        close(child.to);
    }
}

static void await_stop(pid_t pid)
{
    int status;

    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
}

/* It stands, and has said nothing before. */
static void goes_on_when_continued(struct child *child)
{
    struct pollfd said = {.fd = child->from, .events = POLLIN};

    await_stop(child->pid);
    CHECK(poll(&said, 1, 0) == 0);
    CHECK(kill(child->pid, SIGCONT) == 0);
    CHECK(hear(child->from) == '!');
    say(child->to, 'x');
    end_well(child);
}

static void stopped_before_going_on(int sig)
{
    for (int i = 0; i < 5; i++) {
        struct child child = start(tell_of_going_on);

        CHECK(hear(child.from) == 'r');
        CHECK(setpgid(child.pid, 0) == 0); /* a terminal's signal stops no group of orphans */
        ask_with(child.pid, sig);
        goes_on_when_continued(&child);
    }
}

/* Who stood before is woken for the callbacks only. */
static void stands_again(void)
{
    for (int i = 0; i < 5; i++) {
        struct child child = start(tell_of_going_on);

        CHECK(hear(child.from) == 'r');
        CHECK(kill(child.pid, SIGSTOP) == 0);
        await_stop(child.pid);
        ask_with(child.pid, 0);
        goes_on_when_continued(&child);
    }
}

/* Stopped by a request it can be saved again, and goes on when that says so. Some of its threads
 * haven't come out of the first request then. */
static void saved_while_it_stands(int first, int second)
{
    for (int i = 0; i < 10; i++) {
        struct child child = start(tell_of_going_on);

        CHECK(hear(child.from) == 'r');
        CHECK(setpgid(child.pid, 0) == 0);
        ask_with(child.pid, first);
        await_stop(child.pid);
        ask_with(child.pid, second);
        await_stop(child.pid);
        ask_with(child.pid, SIGCONT);
        CHECK(hear(child.from) == '!');
        say(child.to, 'x');
        end_well(&child);
    }
}

int main(void)
{
    CHECK(cr_init() >= 0);
    before_going_on(SIGKILL);
    before_going_on(SIGTERM);
    stopped_before_going_on(SIGSTOP);
    stopped_before_going_on(SIGTSTP);
    stands_again();
    saved_while_it_stands(SIGSTOP, SIGTSTP);
    saved_while_it_stands(SIGSTOP, SIGSTOP);
    saved_while_it_stands(SIGTSTP, SIGSTOP);
    others(); /* whose children have no callbacks of ours */
    CHECK(cr_register_callback(tell, NULL, CR_THREAD_CONTEXT) >= 0);
    CHECK(cr_register_callback(tell, NULL, CR_SIGNAL_CONTEXT) >= 0);
    own_signals();
    own_64();
    no_interruption();
    wish();
    no_wish();
    return 0;
}
