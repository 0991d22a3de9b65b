/*
 * hydra.c - the way in which an MPI's process manager uses the interface: a proxy asks for its tree
 * and leaves itself out; another proxy asks for the restart, closes the file at once, and never
 * waits for the request; the restarted processes look for the proxy that asked
 */
#include "proof.h"

#define N_RANKS 3

static int context_fd = -1;

/* ---- a rank ---- */

static pid_t restarted_by;

static int on_checkpoint(void *arg)
{
    int r = cr_checkpoint(CR_CHECKPOINT_READY);

    CHECK(r >= 0);
    if (r > 0) {
        const struct cr_restart_info *info = cr_get_restart_info();
        CHECK(info != NULL);
        __atomic_store_n(&restarted_by, info->requester, __ATOMIC_SEQ_CST);
    }
    return 0;
}

/* After the restart: it leaves a file whose name is its proxy's number and its own. */
static int rank(int number, int to)
{
    char name[60];

    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(on_checkpoint, NULL, CR_THREAD_CONTEXT) >= 0);
    say(to, 'r');
    close(to);
    WAIT_UNTIL(__atomic_load_n(&restarted_by, __ATOMIC_SEQ_CST) != 0);
    snprintf(name, sizeof(name), "rank-%d-%d", (int)restarted_by, number);
    close(create(name));
    return 0;
}

/* ---- the proxy ---- */

static int omitted;

static int leave_out(void *arg)
{
    int r = cr_checkpoint(CR_CHECKPOINT_OMIT);

    CHECK_IS(r, -CR_EOMITTED);
    omitted++;
    return 0;
}

static void start_ranks(pid_t *pids)
{
    int ends[2], null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    CHECK(pipe2(ends, O_CLOEXEC) == 0 && null_fd >= 0);
    for (int i = 0; i < N_RANKS; i++) {
        pids[i] = fork();
        CHECK(pids[i] >= 0);
        if (pids[i] == 0) {
            close(ends[0]);
            CHECK(dup2(null_fd, 0) == 0 && dup2(null_fd, 1) == 1);
            close(null_fd);
            CHECK(freopen("ranks.log", "a", stderr) != NULL);
            exit(rank(i, ends[1]));
        }
    }
    close(null_fd);
    close(ends[1]);
    for (int i = 0; i < N_RANKS; i++)
        CHECK(hear(ends[0]) == 'r');
    close(ends[0]);
}

static void checkpoint_tree(void)
{
    cr_checkpoint_args_t args;

    fill(&args, CR_SCOPE_TREE, getpid(), create("hydra_context"));
    CHECK_IS(request(&args), 0);
    CHECK_IS(omitted, 1);
    close(args.cr_fd);
}

static void first_proxy(int from, int to)
{
    pid_t pids[N_RANKS];

    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(leave_out, NULL, CR_SIGNAL_CONTEXT) >= 0);
    start_ranks(pids);
    checkpoint_tree();
    for (int i = 0; i < N_RANKS; i++) {
        CHECK(kill(pids[i], SIGKILL) == 0);
        CHECK(waitpid(pids[i], NULL, 0) == pids[i]);
    }
}

static int all_ranks_are_there(pid_t proxy)
{
    char name[60];

    for (int i = 0; i < N_RANKS; i++) {
        snprintf(name, sizeof(name), "rank-%d-%d", (int)proxy, i);
        if (access(name, F_OK) < 0)
            return 0;
    }
    return 1;
}

static unsigned restart_flags;

/* Neither waits for its request, nor reaps it. Who can't choose PIDs has the job in a namespace:
 * one child, and the ranks know the proxy's number all the same. */
static void second_proxy(int from, int to)
{
    int n_children = geteuid() == 0 || restart_flags == 0 ? N_RANKS : 1;
    cr_restart_handle_t handle;
    cr_restart_args_t args;

    CHECK(cr_init() >= 0);
    CHECK(cr_initialize_restart_args_t(&args) == 0);
    context_fd = open("hydra_context", O_RDONLY | O_CLOEXEC);
    CHECK(context_fd >= 0);
    args.cr_fd = context_fd;
    args.cr_flags = restart_flags;
    CHECK(cr_request_restart(&args, &handle) == 0);
    close(context_fd);
    WAIT_UNTIL(all_ranks_are_there(getpid()));
    for (int i = 0; i < n_children; i++) /* they become that as soon as the request is done */
        WAIT_UNTIL(waitpid(-1, NULL, WNOHANG) > 0);
    CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
}

int main(void)
{
    struct child proxy = start(first_proxy);

    end_well(&proxy);
    for (int i = 0; i < 4; i++) { /* a context may be used often */
        restart_flags = i % 2 ? CR_RSTRT_RESTORE_PID : 0;
        proxy = start(second_proxy);
        end_well(&proxy);
    }
    return 0;
}
