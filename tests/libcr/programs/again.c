/* again.c - who asks again soon gets the same crs-request, if it is what a new one would be
 *
 * Its file is a copy of the program's own. When that is gone no new one can be started.
 */
#include <dirent.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "proof.h"

static char dir[] = "/tmp/libcr-again-XXXXXX", file[64];

static void copy(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    char data[65536];
    ssize_t n;

    CHECK(in >= 0 && out >= 0);
    while ((n = read(in, data, sizeof(data))) > 0)
        CHECK(write(out, data, (size_t)n) == n);
    CHECK(n == 0 && close(in) == 0 && close(out) == 0);
}

/* The process that runs the copy; 0: there is none. */
static pid_t helper(void)
{
    DIR *proc = opendir("/proc");
    char path[300], exe[300];
    pid_t pid = 0;

    CHECK(proc != NULL);
    for (struct dirent *e; (e = readdir(proc));) {
        snprintf(path, sizeof(path), "/proc/%s/exe", e->d_name);
        ssize_t n = atoi(e->d_name) > 0 ? readlink(path, exe, sizeof(exe) - 1) : -1;
        if (n > 0 && strncmp(exe, file, strlen(file)) == 0)
            pid = atoi(e->d_name);
    }
    closedir(proc);
    return pid;
}

static int ask(void)
{
    cr_checkpoint_handle_t handle;
    cr_checkpoint_args_t args;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC), r;

    CHECK(fd >= 0);
    cr_initialize_checkpoint_args_t(&args);
    args.cr_scope = CR_SCOPE_PROC;
    args.cr_fd = fd;
    r = cr_request_checkpoint(&args, &handle) < 0 ? errno : 0;
    if (r == 0)
        CHECK_IS(cr_poll_checkpoint(&handle, NULL), 1);
    close(fd);
    return r;
}

/* Two in a row of which the second can have no new one, as nothing is to be changed by `change`.
 * The one that waits may have been too slow, or too late: then it is tried again. */
static int ask_twice(void (*change)(void))
{
    int r = -1;

    for (int tries = 0; tries < 20 && r != 0; tries++) {
        copy(getenv("ORIGINAL"), file);
        CHECK_IS(ask(), 0);
        unlink(file);
        if (change)
            change();
        r = ask();
        if (change)
            break;
    }
    return r;
}

static void change_mask(void)
{
    umask(0135);
}

static void change_limit(void)
{
    struct rlimit limit;

    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur--;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void change_environment(void)
{
    CHECK(setenv("LIBCR_AGAIN", "another", 1) == 0);
}

static void change_priority(void)
{
    CHECK(setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + 1) == 0);
}

/* Each in a process of its own. */
static void expect(void (*change)(void), int code)
{
    pid_t pid = fork();
    int status;

    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK(cr_init() >= 0);
        CHECK_IS(ask_twice(change), code);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    CHECK_IS(WEXITSTATUS(status), 0);
    WAIT_UNTIL(helper() == 0); /* it ends with its program */
}

/* A child has nothing of its parent's. */
static void change_process(void)
{
    pid_t pid = fork();
    int status;

    CHECK(pid >= 0);
    if (pid > 0) {
        CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
        _exit(WEXITSTATUS(status));
    }
    CHECK(cr_init() >= 0);
}

/* The shortest slices are for the time of a wait only. */
static void slices(uint64_t attributes[6])
{
    memset(attributes, 0, 48);
    CHECK(syscall(SYS_sched_getattr, 0, attributes, 48, 0) == 0);
}

int main(void)
{
    uint64_t before[6], after[6];
    char original[300];

    snprintf(original, sizeof(original), "%s/crs-request", getenv("CRS_LIBEXEC"));
    CHECK(mkdtemp(dir) != NULL);
    snprintf(file, sizeof(file), "%s/crs-request", dir);
    CHECK(setenv("ORIGINAL", original, 1) == 0 && setenv("CRS_LIBEXEC", dir, 1) == 0);
    slices(before);
    expect(NULL, 0);
    expect(change_mask, ENOSYS);
    expect(change_limit, ENOSYS);
    expect(change_environment, ENOSYS);
    expect(change_priority, ENOSYS);
    expect(change_process, ENOSYS);
    CHECK(cr_init() >= 0);
    copy(original, file);
    CHECK_IS(ask(), 0);
    slices(after);
    CHECK(memcmp(before, after, sizeof(before)) == 0);
    unlink(file);
    CHECK(rmdir(dir) == 0);
    return 0;
}
