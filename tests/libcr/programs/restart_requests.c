/* restart_requests.c - restarts that a program asks for: the result, the wait, what can't be done
 */
#include <sys/personality.h>

#include "proof.h"

#define WENT_ON   50
#define RESTARTED 51
#define BECOME    52

/* ---- the job ---- */

static int fails; /* its callback, after a restart */

static int on_checkpoint(void *arg)
{
    return cr_checkpoint(CR_CHECKPOINT_READY) > 0 && fails;
}

/* As LAM's mpirun does it: what was restarted becomes another program, in the callback. */
static int become_another(void *arg)
{
    if (cr_checkpoint(CR_CHECKPOINT_READY) > 0)
        execl("/proc/self/exe", "another", NULL);
    return 0;
}

static int job(const char *name)
{
    cr_checkpoint_args_t args;
    int r;

    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(on_checkpoint, NULL, CR_THREAD_CONTEXT) >= 0);
    if (strcmp(name, "becoming") == 0)
        CHECK(cr_register_callback(become_another, NULL, CR_SIGNAL_CONTEXT) >= 0);
    fails = strcmp(name, "failing") == 0;
    fill(&args, CR_SCOPE_PROC, 0, create(name));
    r = request(&args);
    CHECK(r == 0 || r == CR_ERESTARTED);
    while (r && strcmp(name, "patient") == 0)
        pause();
    return r ? RESTARTED : WENT_ON;
}

static void make_context(const char *name)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        execl("/proc/self/exe", "job", name, NULL);
        _exit(126);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status));
    CHECK_IS(WEXITSTATUS(status), WENT_ON);
}

/* ---- requests ---- */

static void fill_restart(cr_restart_args_t *args, const char *name)
{
    CHECK(cr_initialize_restart_args_t(args) == 0);
    args->cr_fd = open(name, O_RDONLY | O_CLOEXEC);
    CHECK(args->cr_fd >= 0);
    if (geteuid() != 0)
        args->cr_flags = 0; /* only root can choose PIDs */
}

/* More than 0: the PID. Less: the error. */
static int restart(cr_restart_args_t *args)
{
    cr_restart_handle_t handle;
    int r = cr_request_restart(args, &handle);

    close(args->cr_fd);
    if (r < 0)
        return -errno;
    do
        r = cr_poll_restart(&handle, NULL);
    while (r == CR_POLL_RSTRT_ERR_PRE && errno == EINTR);
    CHECK(r > 0 || r == CR_POLL_RSTRT_ERR_POST);
    return r > 0 ? r : -errno;
}

static int restart_file(const char *name)
{
    cr_restart_args_t args;

    fill_restart(&args, name);
    return restart(&args);
}

static void expect_exit(pid_t pid, int code)
{
    int status;

    CHECK(waitpid(pid, &status, 0) == pid); /* it is our child */
    CHECK(WIFEXITED(status));
    CHECK_IS(WEXITSTATUS(status), code);
}

static void in_one(void)
{
    int pid = restart_file("good");

    CHECK(pid > 0);
    expect_exit(pid, RESTARTED);
}

/* With and without addresses at random: the same library may lie where it was. */
static void becomes_another(void)
{
    make_context("becoming");
    int pid = restart_file("becoming");

    CHECK(pid > 0);
    expect_exit(pid, BECOME);
}

static void step_by_step(void)
{
    struct timeval long_time = {1000, 0};
    cr_restart_handle_t handle, copy;
    cr_restart_args_t args;
    char *log = NULL;
    int pid;

    fill_restart(&args, "good");
    CHECK(cr_request_restart(&args, &handle) == 0);
    close(args.cr_fd);
    copy = handle;
    while (cr_wait_restart(&handle, &long_time) <= 0)
        CHECK(errno == EINTR);
    CHECK(long_time.tv_sec < 1000);
    CHECK(cr_log_restart(&handle, 0, NULL) >= 0);
    pid = cr_reap_restart(&handle);
    CHECK(pid > 0 && handle == (cr_restart_handle_t)-1);
    CHECK(cr_reap_restart(&copy) == -1 && errno == EINVAL);
    expect_exit(pid, RESTARTED);

    fill_restart(&args, "good");
    CHECK(cr_request_restart(&args, &handle) == 0);
    close(args.cr_fd);
    pid = cr_poll_restart_msg(&handle, NULL, &log);
    CHECK(pid > 0);
    free(log);
    expect_exit(pid, RESTARTED);
}

static void with_signal(void)
{
    cr_restart_args_t args;
    int pid, status;

    make_context("patient");
    fill_restart(&args, "patient");
    args.cr_signal = SIGKILL;
    pid = restart(&args);
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ---- what can't be done ---- */

static void put(const char *name, const char *text)
{
    int fd = create(name);

    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void damage(void)
{
    char text[64];
    int fd;

    make_context("damaged");
    fd = open("damaged", O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0 && pread(fd, text, sizeof(text), 5000) == sizeof(text));
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)~text[i];
    CHECK(pwrite(fd, text, sizeof(text), 5000) == sizeof(text));
    close(fd);
}

static void refusals(void)
{
    cr_restart_handle_t handle = 777;
    cr_restart_args_t args;

    CHECK_IS(restart_file("/dev/null"), -EIO);
    put("short", "C");
    CHECK_IS(restart_file("short"), -EIO);
    damage();
    CHECK_IS(restart_file("damaged"), -EINVAL);
    make_context("failing");
    CHECK_IS(restart_file("failing"), -CR_ERSTRTABRT);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    CHECK(cr_initialize_restart_args_t(&args) == 0);
    CHECK(cr_request_restart(&args, &handle) == -1 && errno == EBADF);
    fill_restart(&args, "good");
    args.cr_flags = 0x80000000u;
    CHECK_IS(restart(&args), -EINVAL);
    fill_restart(&args, "good");
    args.cr_signal = 65;
    CHECK_IS(restart(&args), -EINVAL);
    CHECK(cr_wait_restart(&handle, NULL) == -1 && errno == EINVAL);
    CHECK(cr_poll_restart(&handle, NULL) == CR_POLL_RSTRT_ERR_PRE && errno == EINVAL);
}

int main(int argc, char **argv)
{
    int before;

    if (argc > 1)
        return job(argv[1]);
    if (strcmp(argv[0], "another") == 0)
        return BECOME;
    make_context("good");
    in_one();
    becomes_another();
    before = personality(0xffffffff);
    CHECK(before >= 0 && personality(before | ADDR_NO_RANDOMIZE) >= 0);
    becomes_another();
    CHECK(personality(before) >= 0);
    step_by_step();
    with_signal();
    refusals();
    return 0;
}
