/*
 * requester.c - a program with callbacks, which tools that save it and bring it back are killed at
 *
 *     requester            counts in ./progress until ./end exists; its exit code is 7
 *                          takes ./ask away where it is, asks for its own checkpoint, and notes in
 *                          ./asked how that ended
 *     requester restart    asks for a restart of ./context for each line on its standard input, and
 *                          says how it ended: 0 and the PID of what it got, or the error
 *
 * What must not happen (a call that ends with EINTR, an unknown outcome) is counted in ./progress,
 * beside the rounds of each thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <libcr.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct progress {
    uint32_t pid, main_rounds, thread_rounds, continued, restarted, failed, problems;
} progress;
static int progress_fd;

static void problem(const char *what, int code)
{
    dprintf(2, "requester: %s: %d (%s)\n", what, code, cr_strerror(code < 0 ? -code : code));
    __atomic_fetch_add(&progress.problems, 1, __ATOMIC_SEQ_CST);
}

static void show(void)
{
    if (pwrite(progress_fd, &progress, sizeof(progress), 0) != sizeof(progress))
        _exit(1);
}

static void rest(void)
{
    struct timespec time = {0, 1000000};

    if (nanosleep(&time, NULL) != 0)
        problem("nanosleep", errno);
}

static int callback(void *arg)
{
    int r = cr_checkpoint(CR_CHECKPOINT_READY);

    (void)arg;
    __atomic_fetch_add(r == 0  ? &progress.continued
                       : r > 0 ? &progress.restarted
                               : &progress.failed,
                       1, __ATOMIC_SEQ_CST);
    return 0;
}

static void *count(void *arg)
{
    if (cr_init() < 0 || cr_register_callback(callback, NULL, CR_SIGNAL_CONTEXT) < 0)
        problem("cr_register_callback", errno);
    for (;;) {
        cr_enter_cs(0);
        __atomic_fetch_add(&progress.thread_rounds, 1, __ATOMIC_SEQ_CST);
        cr_leave_cs(0);
        rest();
    }
    return arg;
}

/* 0, or the error. */
static int save_self(void)
{
    cr_checkpoint_handle_t handle;
    cr_checkpoint_args_t args;
    int r;

    cr_initialize_checkpoint_args_t(&args);
    args.cr_scope = CR_SCOPE_PROC;
    args.cr_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    r = cr_request_checkpoint(&args, &handle);
    close(args.cr_fd);
    if (r < 0)
        return errno;
    do
        r = cr_poll_checkpoint(&handle, NULL);
    while (r == CR_POLL_CHKPT_ERR_PRE && errno == EINTR);
    return r < 0 ? errno : 0;
}

static void ask(void)
{
    int r = save_self();
    FILE *asked = fopen("asked", "a");

    if (asked) {
        fprintf(asked, "%d\n", r);
        fclose(asked);
    }
}

static int run(void)
{
    pthread_t thread;

    progress_fd = open("progress", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (cr_init() < 0 || cr_register_callback(callback, NULL, CR_THREAD_CONTEXT) < 0 ||
        pthread_create(&thread, NULL, count, NULL) != 0)
        return 1;
    while (access("end", F_OK) != 0) {
        progress.pid = (uint32_t)getpid();
        progress.main_rounds++;
        show();
        if (unlink("ask") == 0)
            ask();
        rest();
    }
    return progress.problems ? 1 : 7;
}

/* 0 and the PID; else the error. */
static int restart(int *ret_pid)
{
    cr_restart_handle_t handle;
    cr_restart_args_t args;
    int r;

    cr_initialize_restart_args_t(&args);
    args.cr_fd = open("context", O_RDONLY | O_CLOEXEC);
    r = cr_request_restart(&args, &handle);
    close(args.cr_fd);
    if (r < 0)
        return errno;
    do
        r = cr_poll_restart(&handle, NULL);
    while (r == CR_POLL_RSTRT_ERR_PRE && errno == EINTR);
    *ret_pid = r;
    return r < 0 ? errno : 0;
}

static int serve(void)
{
    char line[64];

    while (fgets(line, sizeof(line), stdin)) {
        int pid = 0, r = restart(&pid), status = -1;
        if (r == 0 && kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) != pid)
            r = errno; /* it isn't our child */
        printf("%d %d\n", r, status);
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    return argc == 2 && strcmp(argv[1], "restart") == 0 ? serve() : run();
}
