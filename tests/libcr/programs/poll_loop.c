/*
 * poll_loop.c - the loop in which programs wait for a checkpoint, as BLCR's authors advised it:
 * of oneself or somebody else, bounded or not, with several under way; the context gets its name
 * when it is whole
 */
#include "proof.h"

#define N_TARGETS 3

enum outcome { CONTINUED = 1, RESTARTED = 2 };

struct under_way {
    cr_checkpoint_handle_t handle;
    int fd;
    char draft[64], name[56];
};

static void begin(struct under_way *u, cr_scope_t scope, pid_t target, const char *name)
{
    cr_checkpoint_args_t args;

    snprintf(u->name, sizeof(u->name), "%s", name);
    snprintf(u->draft, sizeof(u->draft), ".%s.new", name);
    u->fd = create(u->draft);
    fill(&args, scope, target, u->fd);
    CHECK(cr_request_checkpoint(&args, &u->handle) == 0);
}

static void publish(struct under_way *u)
{
    CHECK(fsync(u->fd) == 0);
    CHECK(close(u->fd) == 0);
    CHECK(rename(u->draft, u->name) == 0);
}

/* The reason in words, or NULL: the loop goes on. */
static const char *reason_of(int poll_result, int errnum)
{
    if (poll_result == CR_POLL_CHKPT_ERR_PRE)
        return errnum == EINTR ? NULL : "the wait failed";
    switch (errnum) {
    case CR_ETEMPFAIL:
        return "cancelled: try again later";
    case CR_EPERMFAIL:
        return "cancelled for good";
    case CR_ENOSUPPORT:
        return "no support in the application";
    case ESRCH:
        return "nobody was checkpointed";
    default:
        return cr_strerror(errnum);
    }
}

/* In steps of `step_ms`, or at once (0: without limit). */
static enum outcome wait_for(struct under_way *u, long step_ms, int *n_steps, const char **reason)
{
    *n_steps = 0;
    *reason = NULL;
    for (;;) {
        struct timeval step = {step_ms / 1000, step_ms % 1000 * 1000};
        int r = cr_poll_checkpoint(&u->handle, step_ms ? &step : NULL);

        if (r > 0)
            return CONTINUED;
        if (r == CR_POLL_CHKPT_ERR_POST && errno == CR_ERESTARTED)
            return RESTARTED;
        if (r < 0 && (*reason = reason_of(r, errno)))
            return CONTINUED;
        CHECK(r < 0 || step_ms); /* without limit it isn't 0 */
        ++*n_steps;
    }
}

/* ---- others ---- */

/* It holds checkpoints off until it hears, then refuses or not. */
static int answer;

static int give_answer(void *arg)
{
    cr_checkpoint(answer);
    return 0;
}

static void hold_off(int from, int to)
{
    int id = cr_init(), flags;

    CHECK(cr_register_callback(give_answer, NULL, CR_SIGNAL_CONTEXT) >= 0);
    CHECK(cr_enter_cs(id) == 0);
    say(to, 'r');
    flags = hear(from) == 'r' ? CR_CHECKPOINT_TEMP_FAILURE : CR_CHECKPOINT_READY;
    __atomic_store_n(&answer, flags, __ATOMIC_SEQ_CST);
    CHECK(cr_leave_cs(id) == 0);
    hear(from);
}

static void several(void)
{
    struct child children[N_TARGETS];
    struct under_way u[N_TARGETS];
    struct timeval none = {0, 0};
    const char *reason;
    struct stat st;
    int n;

    for (int i = 0; i < N_TARGETS; i++) {
        char name[20];
        children[i] = start(hold_off);
        CHECK(hear(children[i].from) == 'r');
        snprintf(name, sizeof(name), "target.%d", i);
        begin(&u[i], CR_SCOPE_TREE, children[i].pid, name);
    }
    for (int i = 0; i < N_TARGETS; i++) {
        CHECK_IS(cr_poll_checkpoint(&u[i].handle, &none), 0);
        CHECK(stat(u[i].name, &st) == -1);
    }
    for (int i = N_TARGETS - 1; i >= 0; i--) { /* a later one has the pipes of those before */
        say(children[i].to, 'l');
        CHECK_IS(wait_for(&u[i], 5, &n, &reason), CONTINUED);
        CHECK(!reason);
        publish(&u[i]);
        CHECK(stat(u[i].name, &st) == 0 && st.st_size > 4096);
        end_well(&children[i]);
    }
}

static void without_end_in_time(void)
{
    struct child child = start(hold_off);
    struct timeval moment = {0, 20000};
    struct under_way u;
    const char *reason;
    int n;

    CHECK(hear(child.from) == 'r');
    begin(&u, CR_SCOPE_PROC, child.pid, "late");
    CHECK_IS(cr_poll_checkpoint(&u.handle, &moment), 0); /* not now; the request stays */
    say(child.to, 'l');
    CHECK_IS(wait_for(&u, 0, &n, &reason), CONTINUED);
    CHECK(!reason && n == 0);
    publish(&u);
    end_well(&child);
}

static void refused(void)
{
    struct child child = start(hold_off);
    struct under_way u;
    const char *reason;
    int n;

    CHECK(hear(child.from) == 'r');
    begin(&u, CR_SCOPE_PROC, child.pid, "refused");
    say(child.to, 'r');
    CHECK_IS(wait_for(&u, 5, &n, &reason), CONTINUED);
    CHECK(reason && strcmp(reason, "cancelled: try again later") == 0);
    CHECK(close(u.fd) == 0 && unlink(u.draft) == 0);
    end_well(&child);
}

/* ---- oneself, and what a restart makes of the loop ---- */

static int one_cycle(void)
{
    struct under_way u;
    const char *reason;
    int n;

    begin(&u, CR_SCOPE_PROC, 0, "self");
    if (wait_for(&u, 0, &n, &reason) == RESTARTED) {
        CHECK(strcmp(u.name, "self") == 0);
        return 42;
    }
    CHECK(!reason);
    publish(&u);
    return 41;
}

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

static void oneself(void)
{
    const char *const job[] = {"/proc/self/exe", "cycle", NULL};
    const char *const restart[] = {getenv("CRS"), "restart", "./self", NULL};

    CHECK(restart[0] != NULL);
    CHECK_IS(run(job), 41);
    CHECK_IS(run(restart), 42);
    CHECK_IS(run(restart), 42);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return one_cycle();
    several();
    without_end_in_time();
    refused();
    oneself();
    return 0;
}
