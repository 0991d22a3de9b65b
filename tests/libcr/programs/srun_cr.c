/*
 * srun_cr.c - the way in which a batch system's wrapper of its launcher uses the interface: it
 * starts the launcher in a critical section, finds the place for the steps' contexts beside its
 * own, cancels for good where they can't be made, starts the launcher anew after a restart, and
 * finds that the other end of its socket is gone
 */
#include <libgen.h>
#include <sys/socket.h>

#include "proof.h"

#define ENDED     30
#define RESTARTED 31

static cr_client_id_t client;
static pid_t launcher;
static int control; /* a socket, whose other end is the launcher's */
static int after_restart;

/* It ends when its control does. */
static void start_launcher(void)
{
    int ends[2];

    CHECK(cr_enter_cs(client) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    launcher = fork();
    CHECK(launcher >= 0);
    if (launcher == 0) {
        CHECK(dup2(ends[1], 0) == 0);
        execlp("cat", "cat", NULL);
        _exit(126);
    }
    close(ends[1]);
    control = ends[0];
    CHECK(cr_leave_cs(client) == 0);
}

static void end_launcher(void)
{
    close(control);
    CHECK(waitpid(launcher, NULL, 0) == launcher);
}

/* Another program has to do its part, beside the file of ours. */
static int save_steps(const char *destination)
{
    char path[4096], beside[4200];
    int status;
    pid_t pid;

    snprintf(path, sizeof(path), "%s", destination);
    snprintf(beside, sizeof(beside), "%s/steps", dirname(path));
    pid = fork();
    if (pid == 0) {
        execlp("mkdir", "mkdir", beside, NULL);
        _exit(126);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int start_anew(void)
{
    const struct cr_restart_info *info = cr_get_restart_info();
    char path[4096], steps[4200];

    CHECK(info && info->requester >= 0);
    snprintf(path, sizeof(path), "%s", info->src);
    snprintf(steps, sizeof(steps), "%s/steps", dirname(path));
    CHECK(access(steps, F_OK) == 0);
    CHECK(read(control, path, 1) == 0); /* nobody has the other end any more */
    close(control);
    start_launcher();
    after_restart = 1;
    return 0;
}

static int on_checkpoint(void *arg)
{
    const struct cr_checkpoint_info *info = cr_get_checkpoint_info();
    int r;

    CHECK(info != NULL);
    r = save_steps(info->dest);
    r = cr_checkpoint(r == 0 ? CR_CHECKPOINT_READY : CR_CHECKPOINT_PERM_FAILURE);
    return r > 0 ? start_anew() : 0;
}

static int wrapper(void)
{
    cr_checkpoint_args_t args;

    client = cr_init();
    CHECK(cr_register_callback(on_checkpoint, NULL, CR_THREAD_CONTEXT) >= 0);
    start_launcher();
    fill(&args, CR_SCOPE_PROC, 0, create("wrapper_context"));
    request(&args);
    close(args.cr_fd);
    end_launcher();
    return after_restart ? RESTARTED : ENDED;
}

static int run(const char *const *command)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        execv(command[0], (char *const *)command);
        _exit(126);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int main(int argc, char **argv)
{
    const char *const start_it[] = {"/proc/self/exe", "wrapper", NULL};
    const char *const restart[] = {getenv("CRS"), "restart", "./wrapper_context", NULL};

    if (argc > 1)
        return wrapper();
    CHECK(restart[0] != NULL);
    CHECK_IS(run(start_it), ENDED);
    CHECK_IS(run(restart), RESTARTED);
    CHECK_IS(run(start_it), -SIGKILL); /* the steps are there already: cancelled for good */
    return 0;
}
