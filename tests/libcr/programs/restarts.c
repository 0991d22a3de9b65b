/* restarts.c - what a program sees of its own restart: return values, callbacks, hooks, counters
 *
 * A job asks for its own checkpoint and ends; it is restarted by $CRS from its context file, asks
 * for another one, and so on. It is the same program with an argument: so nothing of its parent is
 * in it. What it finds wrong is its exit code 1.
 */
#include "proof.h"

#define N_CYCLES  3
#define CONTINUED 10 /* + the cycle: exit codes */

/* ---- the job ---- */

static int results[4], n_results, hooked[CR_NUM_HOOKS];
static char file[40];

static void expect_info(void)
{
    const struct cr_restart_info *info = cr_get_restart_info();

    CHECK(cr_get_checkpoint_info() == NULL);
    CHECK(info && info->src && info->requester >= 0);
    if (info->src[0])
        CHECK(strstr(info->src, file));
}

static int keep_result(void *arg)
{
    const struct cr_checkpoint_info *info = cr_get_checkpoint_info();
    int r;

    CHECK(info && info->requester == getpid() && strstr(info->dest, file));
    r = cr_checkpoint(CR_CHECKPOINT_READY);
    if (r < 0)
        return 0;
    if (r > 0)
        expect_info();
    else
        CHECK(cr_get_restart_info() == NULL);
    results[__atomic_fetch_add(&n_results, 1, __ATOMIC_SEQ_CST)] = r;
    return 0;
}

static void on_hook(cr_hook_event_t event)
{
    __atomic_fetch_add(&hooked[event], 1, __ATOMIC_SEQ_CST);
}

/* A thread that has callbacks of its own. */
static int state;

static void *be_there(void *arg)
{
    CHECK(cr_init() == 0);
    CHECK(cr_register_callback(keep_result, NULL, CR_SIGNAL_CONTEXT) == CR_SIGNAL_CONTEXT);
    __atomic_store_n(&state, 1, __ATOMIC_SEQ_CST);
    WAIT_UNTIL(__atomic_load_n(&state, __ATOMIC_SEQ_CST) == 2);
    return NULL;
}

static void set_up(void)
{
    CHECK(cr_init() == 0);
    CHECK(cr_register_callback(keep_result, NULL, CR_THREAD_CONTEXT) >= 0);
    CHECK(cr_register_callback(keep_result, NULL, CR_SIGNAL_CONTEXT) >= 0);
    for (int event = 0; event < CR_NUM_HOOKS; event++)
        CHECK(cr_register_hook((cr_hook_event_t)event, on_hook) == NULL);
}

/* Of the three groups; `restarted`: they returned more than 0, and the RSTRT hooks ran. */
static void expect_results(int restarted)
{
    int first = restarted ? CR_HOOK_RSTRT_SIGNAL_CONTEXT : CR_HOOK_CONT_SIGNAL_CONTEXT;

    CHECK_IS(n_results, 3);
    for (int i = 0; i < 3; i++)
        CHECK((results[i] > 0) == restarted);
    CHECK_IS(hooked[first], 2);     /* main and the other thread */
    CHECK_IS(hooked[first + 1], 1); /* the thread of the library's */
    CHECK_IS(hooked[0] + hooked[1] + hooked[2] + hooked[3] + hooked[4] + hooked[5], 3);
    n_results = 0;
    memset(hooked, 0, sizeof(hooked));
}

/* Returns whether this is the restarted process. */
static int take_checkpoint(int cycle)
{
    cr_checkpoint_handle_t handle;
    cr_checkpoint_args_t args;
    char *log = NULL;
    int r;

    snprintf(file, sizeof(file), "context.%d", cycle);
    fill(&args, CR_SCOPE_PROC, 0, create(file));
    CHECK(cr_request_checkpoint(&args, &handle) == 0);
    r = finish_with_log(&handle, &log);
    if (r != 0 && log)
        dprintf(2, "%s", log);
    free(log);
    CHECK(r == 0 || r == CR_ERESTARTED);
    close(args.cr_fd);
    return r == CR_ERESTARTED;
}

static int job(void)
{
    pthread_t thread;
    int cycle;

    CHECK(freopen("job.log", "a", stderr) != NULL);
    set_up();
    CHECK(pthread_create(&thread, NULL, be_there, NULL) == 0);
    WAIT_UNTIL(__atomic_load_n(&state, __ATOMIC_SEQ_CST) == 1);
    for (cycle = 0; cycle < N_CYCLES; cycle++) {
        int restarted = take_checkpoint(cycle);
        expect_results(restarted);
        CHECK_IS(cr_status(), CR_STATE_IDLE);
        CHECK(cr_enter_cs(0) == 0 && cr_leave_cs(0) == 0);
        if (!restarted)
            return CONTINUED + cycle;
    }
    __atomic_store_n(&state, 2, __ATOMIC_SEQ_CST);
    pthread_join(thread, NULL);
    strcpy(file, "null");
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0); /* one more, here */
    return CONTINUED + cycle;
}

/* ---- who restarts it ---- */

static int run(const char *const *command)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        execvp(command[0], (char *const *)command);
        _exit(126);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Words of the job on its end. */
static void expect_exit(int got, int expected)
{
    char text[2000] = "";
    int fd = open("job.log", O_RDONLY);

    if (got == expected) {
        close(fd);
        return;
    }
    if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
        dprintf(2, "%s", text);
    CHECK_IS(got, expected);
}

static void restart(const char *pids, int cycle)
{
    char name[40];
    const char *const command[] = {getenv("CRS"), "restart", pids, name, NULL};

    CHECK(command[0] != NULL);
    snprintf(name, sizeof(name), "./context.%d", cycle);
    expect_exit(run(command), CONTINUED + cycle + 1);
}

int main(int argc, char **argv)
{
    const char *const start[] = {"/proc/self/exe", "job", NULL};
    static const char *const policies[] = {"--pids=new", "--pids=namespace", "--pids=same"};

    if (argc > 1)
        return job();
    for (int i = geteuid() == 0 ? 2 : 1; i >= 0; i--) {
        expect_exit(run(start), CONTINUED);
        for (int cycle = 0; cycle < N_CYCLES; cycle++)
            restart(policies[i], cycle);
        restart(policies[i], 0); /* a context may be used often */
    }
    return 0;
}
