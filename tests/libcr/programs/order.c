/* order.c - in which order callbacks run, what they are told, and what they may do
 * languages: c c++ */
#include "proof.h"

static pthread_t main_thread;
static pid_t requester; /* whom the callbacks expect */

struct names {
    char before, after;
};

/* Says when it comes and when it goes on. */
static int tell(void *arg)
{
    const struct names *names = (const struct names *)arg;

    note(names->before);
    CHECK_IS(cr_checkpoint(CR_CHECKPOINT_READY), 0);
    note(names->after);
    return 0;
}

static void request_self(void)
{
    forget_events();
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
}

/* ---- the order ---- */

static void orders(void)
{
    static struct names a = {'a', 'A'}, b = {'b', 'B'}, c = {'c', 'C'};
    static struct names x = {'x', 'X'}, y = {'y', 'Y'}, z = {'z', 'Z'};
    int t, s;

    CHECK((s = cr_register_callback(tell, &x, CR_SIGNAL_CONTEXT)) >= 0);
    CHECK(cr_register_callback(tell, &y, CR_SIGNAL_CONTEXT) == s + 1);
    request_self();
    CHECK_EVENTS("yxXY");
    CHECK((t = cr_register_callback(tell, &a, CR_THREAD_CONTEXT)) >= 0);
    CHECK(cr_register_callback(tell, &b, CR_THREAD_CONTEXT) == t + 1);
    forget_events();
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    /* both groups unwind at the same time */
    CHECK(strncmp(events, "bayx", 4) == 0 && strlen(events) == 8);
    CHECK(strchr(events, 'A') < strchr(events, 'B') && strchr(events, 'X') < strchr(events, 'Y'));

    CHECK(cr_replace_callback(t, tell, &c, CR_THREAD_CONTEXT) == 0);
    CHECK(cr_replace_callback(s, NULL, NULL, CR_SIGNAL_CONTEXT) == 0);
    CHECK(cr_replace_callback(s + 1, NULL, NULL, CR_SIGNAL_CONTEXT) == 0);
    request_self();
    CHECK_EVENTS("bcCB");
    CHECK(cr_replace_callback(s, tell, &z, CR_SIGNAL_CONTEXT) == 0);
    CHECK(cr_replace_callback(t, NULL, NULL, CR_THREAD_CONTEXT) == 0);
    CHECK(cr_replace_callback(t + 1, NULL, NULL, CR_THREAD_CONTEXT) == 0);
    request_self();
    CHECK_EVENTS("zZ");
    CHECK(cr_replace_callback(s, NULL, NULL, CR_SIGNAL_CONTEXT) == 0);
    request_self();
    CHECK_EVENTS("");
}

/* ---- a callback that doesn't call cr_checkpoint() ---- */

static int silent(void *arg)
{
    note('s');
    return 0;
}

static void implicit(int context)
{
    static struct names a = {'a', 'A'}, b = {'b', 'B'};
    int first = cr_register_callback(tell, &a, context);
    int middle = cr_register_callback(silent, NULL, context);
    int last = cr_register_callback(tell, &b, context);

    request_self();
    CHECK_EVENTS("bsaAB");
    CHECK(cr_replace_callback(first, NULL, NULL, context) == 0);
    CHECK(cr_replace_callback(middle, NULL, NULL, context) == 0);
    CHECK(cr_replace_callback(last, NULL, NULL, context) == 0);
}

/* ---- a callback that puts another in its place ---- */

static int second_time(void *arg)
{
    static struct names c = {'c', 'C'};

    note('2');
    CHECK(cr_replace_self(tell, &c, arg ? CR_THREAD_CONTEXT : CR_SIGNAL_CONTEXT) == 0);
    return 0;
}

static int first_time(void *arg)
{
    int context = arg ? CR_THREAD_CONTEXT : CR_SIGNAL_CONTEXT;
    int other = arg ? CR_SIGNAL_CONTEXT : CR_THREAD_CONTEXT;

    note('1');
    CHECK(cr_replace_self(first_time, arg, other) == -1 && errno == EINVAL);
    CHECK_IS(cr_checkpoint(CR_CHECKPOINT_READY), 0);
    CHECK(cr_replace_self(second_time, arg, context) == 0);
    return 0;
}

static void replace_self(int context)
{
    static int yes;
    int id = cr_register_callback(first_time, context == CR_THREAD_CONTEXT ? &yes : NULL, context);

    request_self();
    CHECK_EVENTS("1");
    request_self();
    CHECK_EVENTS("2");
    request_self();
    CHECK_EVENTS("cC");
    CHECK(cr_replace_callback(id, NULL, NULL, context) == 0);
}

/* ---- what is known in a callback ---- */

static void expect_blocked(void)
{
    sigset_t mask;

    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0);
    for (int sig = 1; sig <= SIGRTMAX; sig++)
        if (sig != SIGKILL && sig != SIGSTOP && (sig < 32 || sig >= SIGRTMIN))
            CHECK(sigismember(&mask, sig) == 1);
}

static void before(void)
{
    const struct cr_checkpoint_info *info = cr_get_checkpoint_info();

    CHECK(info && info->requester == requester && info->target == getpid());
    CHECK(info->signal == SIGURG && info->scope == CR_SCOPE_PROC);
    CHECK(strstr(info->dest, "/context") && info->dest[0] == '/');
    CHECK(cr_get_restart_info() == NULL);
}

static int ask_all(void *arg)
{
    int context = arg ? CR_THREAD_CONTEXT : CR_SIGNAL_CONTEXT;

    CHECK(!!pthread_equal(pthread_self(), main_thread) == (context == CR_SIGNAL_CONTEXT));
    expect_blocked();
    before();
    CHECK_IS(cr_status(), CR_STATE_ACTIVE);
    CHECK(cr_register_callback(silent, NULL, context) == -1 && errno == EBUSY);
    CHECK(cr_replace_callback(context, silent, NULL, context) == -1 && errno == EBUSY);
    CHECK(cr_enter_cs(CR_ID_CALLBACK) == 0 && cr_enter_cs(CR_ID_CALLBACK) == 0);
    CHECK(cr_tryenter_cs(CR_ID_CALLBACK) == 0 && cr_leave_cs(CR_ID_CALLBACK) == 0);
    CHECK_IS(cr_checkpoint(3), -EINVAL);
    CHECK_IS(cr_checkpoint(CR_CHECKPOINT_READY), 0);
    CHECK_IS(cr_checkpoint(CR_CHECKPOINT_READY), -CR_ENOTCB); /* once */
    CHECK(cr_get_checkpoint_info() == NULL && cr_get_restart_info() == NULL);
    CHECK(cr_forward_checkpoint(CR_SCOPE_PROC, 1) == -1 && errno == CR_ENOTCB);
    CHECK_IS(cr_status(), CR_STATE_ACTIVE);
    note('k');
    errno = ENOTEMPTY; /* nobody sees it */
    return 0;
}

static void knowledge(int context)
{
    static int yes;
    int id = cr_register_callback(ask_all, context == CR_THREAD_CONTEXT ? &yes : NULL, context);
    cr_checkpoint_args_t args;

    requester = getpid();
    fill(&args, CR_SCOPE_PROC, 0, create("context"));
    args.cr_signal = SIGURG; /* which is ignored by default */
    forget_events();
    CHECK_IS(request(&args), 0);
    CHECK_EVENTS("k");
    CHECK_IS(cr_status(), CR_STATE_IDLE);
    close(args.cr_fd);
    CHECK(cr_replace_callback(id, NULL, NULL, context) == 0);
}

/* ---- forwarding ---- */

static pid_t forward_to;

static int forward(void *arg)
{
    CHECK(cr_forward_checkpoint((cr_scope_t)9, forward_to) == -1 && errno == EINVAL);
    CHECK(cr_forward_checkpoint(CR_SCOPE_PROC, -2) == -1 && errno == EINVAL);
    CHECK(cr_forward_checkpoint(CR_SCOPE_PROC, 0x3ffffffe) == -1 && errno == ESRCH);
    CHECK(cr_forward_checkpoint(CR_SCOPE_PROC, forward_to) == 0);
    CHECK(cr_forward_checkpoint(CR_SCOPE_PROC, forward_to) == 0); /* once, all the same */
    note('f');
    return cr_checkpoint(CR_CHECKPOINT_READY) != 0;
}

static struct child other;

static int answer(void *arg)
{
    const struct cr_checkpoint_info *info = cr_get_checkpoint_info();

    CHECK(info && info->requester == getppid());
    say(*(int *)arg, 'c');
    CHECK_IS(cr_checkpoint(CR_CHECKPOINT_READY), 0);
    say(*(int *)arg, 'C');
    return 0;
}

static void answer_when_asked(int from, int to)
{
    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(answer, &to, CR_THREAD_CONTEXT) >= 0);
    say(to, 'r');
    hear(from);
}

static void forwarding(int context)
{
    int id = cr_register_callback(forward, NULL, context);

    other = start(answer_when_asked);
    CHECK(hear(other.from) == 'r');
    forward_to = other.pid;
    request_self();
    CHECK_EVENTS("f");
    CHECK(hear(other.from) == 'c' && hear(other.from) == 'C');
    end_well(&other);
    CHECK(cr_replace_callback(id, NULL, NULL, context) == 0);
}

int main(void)
{
    main_thread = pthread_self();
    CHECK(cr_init() == 0);
    orders();
    implicit(CR_THREAD_CONTEXT);
    implicit(CR_SIGNAL_CONTEXT);
    replace_self(CR_THREAD_CONTEXT);
    replace_self(CR_SIGNAL_CONTEXT);
    knowledge(CR_THREAD_CONTEXT);
    knowledge(CR_SIGNAL_CONTEXT);
    forwarding(CR_THREAD_CONTEXT);
    forwarding(CR_SIGNAL_CONTEXT);
    return 0;
}
