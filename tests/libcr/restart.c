/*
 * restart.c - requests for restarts: whose child the program becomes, what its callbacks are told
 *
 * The target is saved and killed; what is restarted says further letters to the same pipe, which
 * leads outside of the snapshot: the requester has it under the same number.
 */
#include "target.h"

#include <sys/mman.h>
#include <sys/prctl.h>

#define WORDS_FD 77 /* the same in the target and in the test, for the restarted one */

/* What the callbacks saw, in the target's own memory; it is told through the pipe. */
static int told_pid(void)
{
    const struct cr_restart_info *info = cr_get_restart_info();

    return info ? info->requester : -1;
}

static int after_restart; /* what a callback returns then */

static int tell_restart(void *arg)
{
    say('t');
    int r = cr_checkpoint(CR_CHECKPOINT_READY);
    if (r > 0) {
        say('r');
        say(told_pid() == r ? 'i' : 'w');
        return after_restart;
    }
    say(r == 0 ? '=' : '-');
    return 0;
}

static int tell_restart_signal(void *arg)
{
    say('s');
    int r = cr_checkpoint(CR_CHECKPOINT_READY);
    say(r > 0 ? 'R' : r == 0 ? '=' : '-');
    return 0;
}

ROLE restartable(void *arg)
{
    int low = words;

    words = dup2(low, WORDS_FD);
    close(low);
    nothing(NULL);
    if (arg)
        CHECK(cr_register_callback(tell_restart, NULL, CR_THREAD_CONTEXT) >= 0);
}

ROLE restartable_signal(void *arg)
{
    restartable(NULL);
    CHECK(cr_register_callback(tell_restart_signal, NULL, CR_SIGNAL_CONTEXT) >= 0);
}

ROLE restartable_failing(void *arg)
{
    after_restart = 1;
    restartable(arg);
}

/* A target of that role, saved in a file without a name, and killed. *ret_fd reads it; the end for
 * the restarted one's words stays open under WORDS_FD. */
static struct target save(void (*role)(void *arg), bool callbacks, const char *letters, int *ret_fd)
{
    int fds[2];
    struct target target;
    struct wishes w = {.signal = SIGKILL};
    char path[] = "/tmp/crs-test-context-XXXXXX";

    target = start(role, callbacks ? path : NULL);
    w.fd = mkstemp(path);
    CHECK(w.fd >= 0);
    CHECK(request(CR_SCOPE_TREE, target.pid, &w) == 0);
    expect(&target, letters);
    expect_killed(&target, SIGKILL);
    close(w.fd);
    *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(*ret_fd >= 0);
    unlink(path);
    CHECK(pipe(fds) == 0 && dup2(fds[1], WORDS_FD) == WORDS_FD);
    close(fds[1]);
    target.words = fds[0];
    return target;
}

static cr_restart_args_t arguments(int fd)
{
    cr_restart_args_t args;

    cr_initialize_restart_args_t(&args);
    args.cr_fd = fd;
    return args;
}

/* The PID, or minus an errno. */
static int poll_restart(cr_restart_handle_t *handle)
{
    char *log = NULL;
    int r;

    do
        r = cr_poll_restart_msg(handle, NULL, &log);
    while (r == CR_POLL_RSTRT_ERR_PRE && errno == EINTR);
    r = r < 0 ? -errno : r;
    snprintf(last_log, sizeof(last_log), "%s", log ? log : "");
    free(log);
    return r;
}

static int restart(cr_restart_args_t *args)
{
    cr_restart_handle_t handle;

    return cr_request_restart(args, &handle) < 0 ? -errno : poll_restart(&handle);
}

/* As an ordinary user the numbers are those of a namespace, and the child is its first process. */
static void expect_child(const struct target *target, pid_t pid)
{
    CHECK(pid > 0);
    if (geteuid() == 0)
        CHECK(pid == target->pid);
    CHECK(waitpid(pid, NULL, WNOHANG) == 0);
}

static void end_child(pid_t pid)
{
    int status;

    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    CHECK(waitpid(-1, NULL, __WALL) < 0 && errno == ECHILD);
}

/* Without namespaces there is no restart under the saved numbers for an ordinary user. */
static bool can_restart(int r)
{
    if (r == -EPERM && geteuid() != 0 && strstr(last_log, "namespace")) {
        fprintf(stderr, "skipped: %s", last_log);
        return false;
    }
    return true;
}

/* ---- cases ---- */

static void callbacks_are_waited_for(void)
{
    int fd;
    struct target target = save(restartable, true, "t", &fd);
    cr_restart_args_t args = arguments(fd);

    /* any number of times */
    for (int i = 0; i < 2; i++) {
        CHECK(lseek(fd, 0, SEEK_SET) == 0);
        pid_t pid = restart(&args);
        if (!can_restart(pid))
            return;
        expect_child(&target, pid);
        expect(&target, "ri");
        expect_silence(&target);
        end_child(pid);
    }
}

static void new_numbers(void)
{
    int fd;
    struct target target = save(restartable, true, "t", &fd);
    cr_restart_args_t args = arguments(fd);

    args.cr_flags = 0;
    pid_t pid = restart(&args);
    CHECK(pid > 0 && waitpid(pid, NULL, WNOHANG) == 0);
    CHECK(getpgid(pid) == getpgrp() && getsid(pid) == getsid(0));
    expect(&target, "ri");
    end_child(pid);
}

static void signal_context(void)
{
    int fd;
    struct target target = save(restartable_signal, true, "s", &fd);
    cr_restart_args_t args = arguments(fd);

    args.cr_flags = 0;
    pid_t pid = restart(&args);
    CHECK(pid > 0);
    expect(&target, "R");
    end_child(pid);
}

static void without_callbacks(void)
{
    int fd, subreaper = 1;
    save(restartable, false, "", &fd);
    cr_restart_args_t args = arguments(fd);

    args.cr_flags = 0;
    pid_t pid = restart(&args);
    CHECK(pid > 0 && waitpid(pid, NULL, WNOHANG) == 0);
    CHECK(prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && subreaper == 0);
    end_child(pid);
}

static void nobody_waits(void)
{
    int fd;
    struct target target = save(restartable, true, "t", &fd);
    cr_restart_args_t args = arguments(fd);
    cr_restart_handle_t handle;
    int status;

    args.cr_flags = 0;
    CHECK(cr_request_restart(&args, &handle) == 0);
    close(fd); /* at once */
    expect(&target, "ri");
    siginfo_t info = {0};
    WAIT_FOR(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0);
    CHECK(info.si_pid == 0); /* it runs */
    WAIT_FOR(cr_wait_restart(&handle, &(struct timeval){0}) == 1);
    int pid = cr_reap_restart(&handle);
    CHECK(pid > 0 && kill(pid, SIGTERM) == 0);
    CHECK(wait(&status) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    CHECK(cr_reap_restart(&handle) < 0 && errno == EINVAL);
}

static volatile sig_atomic_t n_children;

static void on_child(int sig)
{
    n_children++;
}

/* A program that waits for any child all the time sees the restarted one's end, and nothing else.
 */
static void waits_for_any(void)
{
    int fd, n = 0;
    struct target target = save(restartable, true, "t", &fd);
    cr_restart_args_t args = arguments(fd);
    cr_restart_handle_t handle;

    args.cr_flags = CR_RSTRT_ASYNC_ERR;
    signal(SIGCHLD, on_child);
    CHECK(cr_request_restart(&args, &handle) == 0);
    while (cr_wait_restart(&handle, &(struct timeval){0}) == 0) {
        int status;
        pid_t r = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED);
        CHECK(r == 0 || (r < 0 && errno == ECHILD));
        n++;
    }
    CHECK(n > 0);
    pid_t pid = poll_restart(&handle);
    CHECK(pid > 0 && n_children == 0);
    expect(&target, "ri");
    end_child(pid);
}

static void callback_fails(void)
{
    int fd;
    struct target target = save(restartable_failing, true, "t", &fd);
    cr_restart_args_t args = arguments(fd);

    args.cr_flags = 0;
    CHECK(restart(&args) == -CR_ERSTRTABRT);
    CHECK(strstr(last_log, "callback"));
    expect(&target, "ri");
    CHECK(waitpid(-1, NULL, __WALL) < 0 && errno == ECHILD);
    close(WORDS_FD);
    char letter;
    CHECK(read(target.words, &letter, 1) == 0); /* nobody has it any more */
}

static void signal_follows(void)
{
    int fd, status;
    struct target target = save(restartable, true, "t", &fd);
    cr_restart_args_t args = arguments(fd);

    args.cr_flags = 0;
    args.cr_signal = SIGSTOP;
    pid_t pid = restart(&args);
    CHECK(pid > 0);
    expect(&target, "ri");
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    end_child(pid);
}

static void number_in_use(void)
{
    int fd;
    struct target target = save(restartable, false, "", &fd);
    cr_restart_args_t args = arguments(fd);

    if (geteuid() != 0)
        return;
    pid_t pid = restart(&args);
    expect_child(&target, pid);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    CHECK(restart(&args) == -EBUSY);
    end_child(pid);
}

static int broken(const void *data, size_t size)
{
    int fd = memfd_create("broken", MFD_CLOEXEC);
    cr_restart_args_t args = arguments(fd);

    CHECK(write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
    int r = restart(&args);
    close(fd);
    return r;
}

static void errors(void)
{
    static char text[10000];
    cr_restart_args_t args = arguments(-1);
    cr_restart_handle_t handle;
    int fd;

    CHECK(restart(&args) == -EBADF);
    args.cr_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(restart(&args) == -EIO);
    args.cr_flags = CR_RSTRT_ASYNC_ERR;
    CHECK(cr_request_restart(&args, &handle) == 0 && poll_restart(&handle) == -EIO);
    args.cr_flags = 0x1000;
    CHECK(restart(&args) == -EINVAL);
    args.cr_flags = 0;
    args.cr_signal = 1000;
    CHECK(restart(&args) == -EINVAL);
    args.cr_version = 2;
    CHECK(restart(&args) == -EINVAL);
    CHECK(cr_request_restart(NULL, &handle) < 0 && errno == EFAULT);
    CHECK(broken("", 0) == -EIO);
    CHECK(broken("no context", 10) == -EINVAL || broken("no context", 10) == -EIO);
    memset(text, 'x', sizeof(text));
    CHECK(broken(text, sizeof(text)) == -EINVAL);
    save(restartable, false, "", &fd);
    ssize_t n = read(fd, text, sizeof(text));
    CHECK(n == sizeof(text) && broken(text, n) == -EIO); /* cut off */
    CHECK(waitpid(-1, NULL, __WALL) < 0 && errno == ECHILD);
}

/* crs-request isn't there; or is killed: nobody waits for ever. */
static void without_tool(void)
{
    char place[] = "/tmp/crs-test-tool-XXXXXX", path[64];
    cr_restart_args_t args = arguments(open("/dev/null", O_RDONLY | O_CLOEXEC));
    FILE *file;

    CHECK(mkdtemp(place) && setenv("CRS_LIBEXEC", place, 1) == 0);
    CHECK(restart(&args) == -ENOSYS);
    snprintf(path, sizeof(path), "%s/crs-request", place);
    file = fopen(path, "w");
    CHECK(file && fputs("#!/bin/sh\nkill -9 $$\n", file) >= 0 && fclose(file) == 0);
    CHECK(chmod(path, 0755) == 0);
    CHECK(restart(&args) == -EIO);
    args.cr_flags |= CR_RSTRT_ASYNC_ERR;
    CHECK(restart(&args) == -EIO);
    CHECK(unlink(path) == 0 && rmdir(place) == 0);
    CHECK(waitpid(-1, NULL, __WALL) < 0 && errno == ECHILD);
}

int main(void)
{
    static const struct test_case cases[] = {
        CASE(callbacks_are_waited_for),
        CASE(new_numbers),
        CASE(signal_context),
        CASE(without_callbacks),
        CASE(nobody_waits),
        CASE(waits_for_any),
        CASE(callback_fails),
        CASE(signal_follows),
        CASE(number_in_use),
        CASE(errors),
        CASE(without_tool),
    };

    return RUN_CASES(cases);
}
