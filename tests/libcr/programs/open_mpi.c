/*
 * open_mpi.c - the way in which an MPI library's checkpoint component uses the interface: a
 * callback of each context, a thread that is told from outside and asks for the checkpoint of its
 * own process, and callbacks that leave the process out of everybody else's
 */
#include "proof.h"

#define WENT_ON   20
#define RESTARTED 21

static cr_callback_id_t thread_id, signal_id;
static cr_client_id_t main_client;
static int returned[2]; /* by cr_checkpoint(), of each context */
static int hooked[CR_NUM_HOOKS];

/* ---- what the component registers ---- */

static int own_request(void)
{
    const struct cr_checkpoint_info *info = cr_get_checkpoint_info();

    CHECK(info != NULL);
    return info->requester == getpid();
}

static int in_thread_context(void *arg)
{
    returned[0] = cr_checkpoint(own_request() ? CR_CHECKPOINT_READY : CR_CHECKPOINT_OMIT);
    return 0;
}

static int in_signal_context(void *arg)
{
    returned[1] = cr_checkpoint(own_request() ? CR_CHECKPOINT_READY : CR_CHECKPOINT_OMIT);
    return 0;
}

static void for_debuggers(cr_hook_event_t event)
{
    __atomic_fetch_add(&hooked[event], 1, __ATOMIC_SEQ_CST);
}

static void initialise(void)
{
    main_client = cr_init();
    CHECK(main_client >= 0);
    thread_id = cr_register_callback(in_thread_context, NULL, CR_THREAD_CONTEXT);
    signal_id = cr_register_callback(in_signal_context, NULL, CR_SIGNAL_CONTEXT);
    CHECK(thread_id >= 0 && signal_id >= 0);
    cr_register_hook(CR_HOOK_CONT_SIGNAL_CONTEXT, for_debuggers);
    cr_register_hook(CR_HOOK_CONT_THREAD_CONTEXT, for_debuggers);
    cr_register_hook(CR_HOOK_RSTRT_SIGNAL_CONTEXT, for_debuggers);
    cr_register_hook(CR_HOOK_RSTRT_THREAD_CONTEXT, for_debuggers);
}

static void finalise(void)
{
    CHECK(cr_replace_callback(thread_id, NULL, NULL, CR_THREAD_CONTEXT) == 0);
    CHECK(cr_replace_callback(signal_id, NULL, NULL, CR_SIGNAL_CONTEXT) == 0);
    returned[0] = returned[1] = -1;
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0);
    CHECK(returned[0] == -1 && returned[1] == -1);
}

/* ---- the thread that is told ---- */

struct told {
    const char *name; /* of the file; NULL: nowhere */
    int sig, result;
};

static void *checkpoint_self(void *arg)
{
    struct told *told = (struct told *)arg;
    cr_checkpoint_handle_t handle;
    cr_checkpoint_args_t args;
    int r;

    CHECK(cr_init() >= 0);
    fill(&args, CR_SCOPE_PROC, getpid(), told->name ? create(told->name) : open_nowhere());
    args.cr_signal = told->sig;
    CHECK(cr_request_checkpoint(&args, &handle) == 0);
    do
        r = cr_poll_checkpoint(&handle, NULL);
    while (r == CR_POLL_CHKPT_ERR_PRE && errno == EINTR);
    told->result =
        r > 0 ? WENT_ON : (r == CR_POLL_CHKPT_ERR_POST && errno == CR_ERESTARTED ? RESTARTED : r);
    close(args.cr_fd);
    return NULL;
}

static int tell(const char *name, int sig)
{
    struct told told = {name, sig, 0};
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, checkpoint_self, &told) == 0);
    CHECK(cr_enter_cs(main_client) == 0); /* in the middle of a message */
    nap();
    CHECK(cr_leave_cs(main_client) == 0);
    pthread_join(thread, NULL);
    return told.result;
}

static int job(void)
{
    int r;

    initialise();
    CHECK_IS(tell(NULL, 0), WENT_ON);
    CHECK(returned[0] == 0 && returned[1] == 0);
    CHECK(hooked[CR_HOOK_CONT_SIGNAL_CONTEXT] && hooked[CR_HOOK_CONT_THREAD_CONTEXT]);
    r = tell("ompi_context", 0);
    if (r == RESTARTED) {
        CHECK(returned[0] > 0 && returned[1] > 0);
        CHECK(hooked[CR_HOOK_RSTRT_SIGNAL_CONTEXT] && hooked[CR_HOOK_RSTRT_THREAD_CONTEXT]);
    }
    finalise();
    return r;
}

/* ---- from outside ---- */

static int run(const char *const *command)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        execv(command[0], (char *const *)command);
        _exit(126);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void wait_for_others(int from, int to)
{
    initialise();
    say(to, 'r');
    hear(from);
    CHECK_IS(returned[0], -CR_EOMITTED);
    CHECK_IS(tell(NULL, SIGSTOP), WENT_ON);
    CHECK_IS(returned[0], 0);
    finalise();
}

/* Somebody else's request passes it by; its own stops it. */
static void foreign_request(void)
{
    struct child child = start(wait_for_others);
    int status;

    CHECK(hear(child.from) == 'r');
    CHECK_IS(checkpoint(CR_SCOPE_PROC, child.pid), ESRCH);
    CHECK_IS(checkpoint(CR_SCOPE_TREE, child.pid), ESRCH);
    say(child.to, 'g');
    CHECK(waitpid(child.pid, &status, WUNTRACED) == child.pid && WIFSTOPPED(status));
    CHECK(kill(child.pid, SIGCONT) == 0);
    end_well(&child);
}

int main(int argc, char **argv)
{
    const char *const start_job[] = {"/proc/self/exe", "job", NULL};
    const char *const restart[] = {getenv("CRS"), "restart", "./ompi_context", NULL};

    if (argc > 1)
        return job();
    CHECK(restart[0] != NULL);
    CHECK_IS(run(start_job), WENT_ON);
    CHECK_IS(run(restart), RESTARTED);
    foreign_request();
    return 0;
}
