/* refusals.c - requests that come to nothing, and the reasons that they give */
#include <sys/ptrace.h>

#include "proof.h"

/* ---- what a callback says ---- */

static int said, heard;

static int say_it(void *arg)
{
    heard = cr_checkpoint(said);
    note('c');
    return 0;
}

static int never(void *arg)
{
    note('n');
    return 0;
}

/* `never` was registered before, so it comes after: it is skipped. */
static void refuse(int context)
{
    int skipped = cr_register_callback(never, NULL, context);
    int id = cr_register_callback(say_it, NULL, context);

    said = CR_CHECKPOINT_TEMP_FAILURE;
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), CR_ETEMPFAIL);
    CHECK_IS(heard, -CR_ETEMPFAIL);
    said = CR_CHECKPOINT_TEMP_FAILURE_CODE(4321);
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 4321);
    CHECK_IS(heard, -4321);
    said = CR_CHECKPOINT_OMIT;
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), ESRCH); /* nobody is left */
    CHECK_IS(heard, -CR_EOMITTED);
    CHECK_EVENTS("ccc");
    said = CR_CHECKPOINT_READY;
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    CHECK_IS(heard, 0);
    CHECK_EVENTS("nc");
    CHECK(cr_replace_callback(skipped, NULL, NULL, context) == 0);
    CHECK(cr_replace_callback(id, NULL, NULL, context) == 0);
}

/* ---- what a callback says of several processes ---- */

static int answer(void *arg)
{
    return cr_checkpoint(*(int *)arg) == 0 ? 0 : 0;
}

static void serve_with(int from, int to, int flags)
{
    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(answer, &flags, CR_THREAD_CONTEXT) >= 0);
    say(to, 'r');
    hear(from);
}

static void omit(int from, int to)
{
    serve_with(from, to, CR_CHECKPOINT_OMIT);
}

static void temporary(int from, int to)
{
    serve_with(from, to, CR_CHECKPOINT_TEMP_FAILURE_CODE(77));
}

static void permanent(int from, int to)
{
    serve_with(from, to, CR_CHECKPOINT_PERM_FAILURE);
}

static void permanent_code(int from, int to)
{
    serve_with(from, to, CR_CHECKPOINT_PERM_FAILURE_CODE(78));
}

/* A child that has one more. */
static void (*grandchild)(int from, int to);

static void family(int from, int to)
{
    struct child child = start(grandchild);

    CHECK(hear(child.from) == 'r');
    wait_and_go(from, to);
    end(&child);
}

static int checkpoint_family(void (*child)(int from, int to), int *ret_status)
{
    struct child root;
    int r;

    grandchild = child;
    root = start(family);
    CHECK(hear(root.from) == 'r');
    r = checkpoint(CR_SCOPE_TREE, root.pid);
    *ret_status = end(&root);
    return r;
}

static void of_several(void)
{
    int status;

    CHECK_IS(checkpoint_family(omit, &status), 0);
    CHECK(WIFEXITED(status));
    CHECK_IS(checkpoint_family(temporary, &status), 77);
    CHECK(WIFEXITED(status));
    CHECK_IS(checkpoint_family(permanent, &status), CR_EPERMFAIL);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_IS(checkpoint_family(permanent_code, &status), 78);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ---- a callback that fails afterwards ---- */

static int fail_after(void *arg)
{
    CHECK_IS(cr_checkpoint(CR_CHECKPOINT_READY), 0);
    return 5;
}

static void failing(int from, int to)
{
    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(fail_after, NULL, CR_THREAD_CONTEXT) >= 0);
    say(to, 'r');
    hear(from);
}

static void failed_callback(void)
{
    struct child child = start(failing);
    int status;

    CHECK(hear(child.from) == 'r');
    CHECK_IS(checkpoint(CR_SCOPE_PROC, child.pid), CR_EPERMFAIL);
    CHECK(waitpid(child.pid, &status, 0) == child.pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ---- who can't be had ---- */

static void stay_in_section(int from, int to)
{
    int id = cr_init();

    CHECK(cr_enter_cs(id) == 0);
    say(to, 'r');
    hear(from);
    CHECK(cr_leave_cs(id) == 0);
    hear(from);
}

static void busy(void)
{
    struct child child = start(stay_in_section);
    cr_checkpoint_handle_t handle;
    cr_checkpoint_args_t args;

    CHECK(hear(child.from) == 'r');
    fill(&args, CR_SCOPE_PROC, child.pid, open_nowhere());
    CHECK(cr_request_checkpoint(&args, &handle) == 0);
    CHECK_IS(checkpoint(CR_SCOPE_PROC, child.pid), EBUSY);
    CHECK_IS(checkpoint(CR_SCOPE_TREE, child.pid), EBUSY);
    say(child.to, 'l');
    CHECK_IS(finish(&handle), 0);
    CHECK_IS(checkpoint(CR_SCOPE_PROC, child.pid), 0);
    close(args.cr_fd);
    end_well(&child);
}

/* By a callback of the process that is asked for. */
static int ask_again(void *arg)
{
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), EBUSY);
    note('a');
    return 0;
}

static void busy_with_itself(void)
{
    int id = cr_register_callback(ask_again, NULL, CR_THREAD_CONTEXT);

    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    CHECK_EVENTS("a");
    CHECK(cr_replace_callback(id, NULL, NULL, CR_THREAD_CONTEXT) == 0);
}

static void without_itself(void)
{
    cr_checkpoint_args_t args;

    fill(&args, CR_SCOPE_PROC, 0, open_nowhere());
    args.cr_flags = CR_CHKPT_PROHIBIT_SELF;
    CHECK_IS(request(&args), EDEADLK);
    args.cr_scope = CR_SCOPE_TREE;
    CHECK_IS(request(&args), EDEADLK);
    args.cr_flags |= CR_CHKPT_ASYNC_ERR; /* then the same is the result */
    CHECK_IS(request(&args), EDEADLK);
    close(args.cr_fd);
}

static void nobody(void)
{
    struct child child = start(wait_and_go);
    int scope;

    CHECK(hear(child.from) == 'r');
    end_well(&child);
    for (scope = CR_SCOPE_PROC; scope <= CR_SCOPE_TREE; scope++)
        CHECK_IS(checkpoint((cr_scope_t)scope, child.pid), ESRCH);
}

/* A program without the library. */
static void become_cat(int from, int to)
{
    CHECK(dup2(from, 0) == 0 && dup2(to, 1) == 1);
    execlp("cat", "cat", NULL);
}

static void without_library(void)
{
    struct child child = start(become_cat);
    cr_checkpoint_handle_t handle;
    cr_checkpoint_args_t args;
    char *log, number[20];

    say(child.to, 'r');
    CHECK(hear(child.from) == 'r');
    CHECK_IS(checkpoint(CR_SCOPE_PROC, child.pid), CR_ENOSUPPORT);
    fill(&args, CR_SCOPE_PROC, child.pid, open_nowhere());
    args.cr_flags = CR_CHKPT_ASYNC_ERR;
    CHECK(cr_request_checkpoint(&args, &handle) == 0);
    CHECK_IS(finish_with_log(&handle, &log), CR_ENOSUPPORT);
    snprintf(number, sizeof(number), " %d ", (int)child.pid);
    CHECK(log && strstr(log, number)); /* whom it is about */
    free(log);
    close(args.cr_fd);
    end_well(&child);
}

/* ---- tracing ---- */

static void trace(int from, int to)
{
    struct child child = start(wait_and_go);

    CHECK(hear(child.from) == 'r');
    CHECK(ptrace(PTRACE_SEIZE, child.pid, 0, 0) == 0);
    CHECK(write(to, &child.pid, sizeof(child.pid)) == sizeof(child.pid));
    wait_and_go(from, to);
    end_well(&child);
}

static int checkpoint_with(pid_t target, cr_scope_t scope, unsigned flags)
{
    cr_checkpoint_args_t args;
    int r;

    fill(&args, scope, target, open_nowhere());
    args.cr_flags = flags;
    r = request(&args);
    close(args.cr_fd);
    return r;
}

static void tracing(void)
{
    struct child tracer = start(trace);
    pid_t traced;

    CHECK(read(tracer.from, &traced, sizeof(traced)) == sizeof(traced));
    CHECK(hear(tracer.from) == 'r');
    CHECK_IS(checkpoint_with(traced, CR_SCOPE_PROC, 0), CR_EPTRACED);
    CHECK_IS(checkpoint_with(traced, CR_SCOPE_PROC, CR_CHKPT_PTRACED_ALLOW), CR_EPTRACED);
    CHECK_IS(checkpoint_with(tracer.pid, CR_SCOPE_PROC, 0), CR_EPTRACER);
    CHECK_IS(checkpoint_with(traced, CR_SCOPE_PROC, CR_CHKPT_PTRACED_SKIP), ESRCH);
    CHECK_IS(checkpoint_with(tracer.pid, CR_SCOPE_PROC, CR_CHKPT_PTRACER_SKIP), ESRCH);
    CHECK_IS(checkpoint_with(tracer.pid, CR_SCOPE_TREE, CR_CHKPT_PTRACER_SKIP), CR_EPTRACED);
    end_well(&tracer);
}

/* ---- permission ---- */

/* As an ordinary user on root's process; an ordinary user has init's. */
static void ask_for_parent(int from, int to)
{
    pid_t parent = getppid();

    if (geteuid() == 0)
        CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    else
        parent = 1;
    CHECK_IS(checkpoint(CR_SCOPE_PROC, parent), EPERM);
    CHECK_IS(checkpoint(CR_SCOPE_TREE, parent), EPERM);
}

static void permission(void)
{
    struct child child = start(ask_for_parent);

    end_well(&child);
}

/* ---- storage, time ---- */

static int heard_of[2]; /* by callbacks of both contexts */

static int hear_of(void *arg)
{
    *(int *)arg = cr_checkpoint(CR_CHECKPOINT_READY);
    return 0;
}

static int context[2]; /* a pipe */

/* Who reads the context goes when it has seen its beginning. */
static void read_a_bit(int from, int to)
{
    char bytes[100];

    close(context[1]);
    say(to, 'r');
    CHECK(read(context[0], bytes, sizeof(bytes)) > 0);
}

/* What fails when the context is written is what callbacks hear. */
static void fails_in_the_end(int fd, int error)
{
    cr_checkpoint_args_t args;

    fill(&args, CR_SCOPE_PROC, 0, fd);
    CHECK_IS(request(&args), error);
    CHECK_IS(heard_of[0], -error);
    CHECK_IS(heard_of[1], -error);
    CHECK(close(fd) == 0);
}

static void full(void)
{
    const int contexts[2] = {CR_THREAD_CONTEXT, CR_SIGNAL_CONTEXT};
    struct child reader;
    int ids[2];

    for (int i = 0; i < 2; i++) {
        ids[i] = cr_register_callback(hear_of, &heard_of[i], contexts[i]);
        CHECK(ids[i] >= 0);
    }
    fails_in_the_end(open("/dev/full", O_WRONLY | O_CLOEXEC), ENOSPC);
    CHECK(pipe2(context, O_CLOEXEC) == 0);
    reader = start(read_a_bit);
    CHECK(hear(reader.from) == 'r');
    close(context[0]);
    fails_in_the_end(context[1], EPIPE);
    end_well(&reader);
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_IS(heard_of[i], 0);
        CHECK(cr_replace_callback(ids[i], NULL, NULL, contexts[i]) == 0);
    }
}

static void late(void)
{
    struct child child = start(stay_in_section);
    cr_checkpoint_args_t args;

    CHECK(hear(child.from) == 'r');
    fill(&args, CR_SCOPE_PROC, child.pid, open_nowhere());
    args.cr_timeout = 1;
    CHECK_IS(request(&args), ETIMEDOUT);
    say(child.to, 'l');
    args.cr_timeout = 0;
    CHECK_IS(request(&args), 0);
    close(args.cr_fd);
    end_well(&child);
}

int main(void)
{
    CHECK(cr_init() >= 0);
    refuse(CR_THREAD_CONTEXT);
    refuse(CR_SIGNAL_CONTEXT);
    of_several();
    failed_callback();
    busy();
    busy_with_itself();
    without_itself();
    nobody();
    without_library();
    tracing();
    permission();
    full();
    late();
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    return 0;
}
