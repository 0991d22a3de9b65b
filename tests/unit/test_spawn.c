/*
 * test_spawn.c - processes that a live one makes for the tool: what they see, that the program
 * doesn't see them, and the tool's death in the middle of it
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "beats.h"
#include "tracee/spawn.h"

#define PAGE 4096

struct shared {
    atomic_ulong beats;
};
static struct shared *shared;
static volatile uint64_t *counter; /* private memory of the target */
static int pipe_ends[2];

static void on_child(int number)
{
    _exit(number);
}

/* It counts, and ends if it ever sees a child, or a signal of one. */
static void run_target(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGCHLD, on_child);
    for (;;) {
        ++*counter;
        if (waitpid(-1, NULL, WNOHANG) != -1)
            _exit(1);
        atomic_fetch_add(&shared->beats, 1);
    }
}

static pid_t start_target(void)
{
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    counter = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    assert_ptr_not_equal(counter, MAP_FAILED);
    assert_int_equal(pipe(pipe_ends), 0);
    pid_t pid = fork();
    if (pid == 0)
        run_target();
    close(pipe_ends[1]); /* the target has the only end */
    return pid;
}

static void end_target(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    munmap(shared, sizeof(*shared));
    munmap((void *)counter, PAGE);
    close(pipe_ends[0]);
}

static void assert_alive(pid_t pid)
{
    assert_beats(pid, &shared->beats);
}

static bool has_children(pid_t pid)
{
    struct bytes text = {0};
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
    bool has = read_file(AT_FDCWD, path, 4096, &text) == 0 && text.size > 0;
    bytes_clear(&text);
    return has;
}

static void make_apart(struct tracee *t, bool copy, struct tracee **ret)
{
    struct crs_error err = {0};

    if (tracee_spawn_apart(t, copy, ret, &err) < 0)
        fail_msg("%s", err.text);
}

static uint64_t read_counter(struct tracee *t)
{
    uint64_t value = 0;

    assert_int_equal(tracee_read(t, (uintptr_t)counter, &value, sizeof(value), NULL), 0);
    return value;
}

static void copy_stays_as_it_is(void **state)
{
    pid_t pid = start_target();
    struct tracee *t, *copy;

    assert_int_equal(tracee_freeze(pid, 0, &t, NULL), 0);
    uint64_t then = read_counter(t);
    make_apart(t, true, &copy);
    assert_false(has_children(pid));
    assert_int_equal(tracee_thaw(t, false, NULL), 0);
    tracee_free(t);
    assert_alive(pid);
    assert_int_equal(read_counter(copy), then);
    tracee_end_apart(copy);
    assert_alive(pid);
    end_target(pid);
}

static void sharer_sees_what_changes(void **state)
{
    pid_t pid = start_target();
    struct crs_error err = {0};
    struct tracee *t, *sharer;
    int64_t result;

    assert_int_equal(tracee_freeze(pid, 0, &t, NULL), 0);
    uint64_t then = read_counter(t);
    make_apart(t, false, &sharer);
    assert_int_equal(tracee_thaw(t, false, NULL), 0);
    tracee_free(t);
    assert_alive(pid);
    assert_true(read_counter(sharer) > then);
    /* A call in it, while the program runs. */
    assert_int_equal(REMOTE(tracee_main(sharer), &result, &err, SYS_madvise, (uintptr_t)counter,
                            PAGE, MADV_WILLNEED),
                     0);
    assert_int_equal(result, 0);
    assert_int_equal(REMOTE(tracee_main(sharer), &result, &err, SYS_fcntl, 0, F_GETFD), 0);
    assert_int_equal(result, -EBADF); /* it has no descriptor */
    assert_alive(pid);
    tracee_end_apart(sharer);
    assert_false(has_children(pid));
    assert_alive(pid);
    end_target(pid);
}

/* The pipe's other end is the target's alone. */
static void pipe_is_not_held(void **state)
{
    pid_t pid = start_target();
    struct tracee *t, *copy;
    char byte;

    assert_int_equal(tracee_freeze(pid, 0, &t, NULL), 0);
    make_apart(t, true, &copy);
    assert_int_equal(tracee_thaw(t, false, NULL), 0);
    tracee_free(t);
    kill(pid, SIGKILL);
    assert_int_equal(read(pipe_ends[0], &byte, 1), 0);
    tracee_end_apart(copy);
    end_target(pid);
}

/* Without end; its number after the first, and after that of a sharer. */
static int spawn_all_the_time(pid_t pid, int ready_fd)
{
    struct crs_error err = {0};
    struct tracee *t = NULL, *apart = NULL;
    int r = tracee_freeze(pid, 0, &t, &err);

    for (int i = 0; r == 0; i++) {
        r = tracee_spawn_apart(t, i % 2, &apart, &err);
        if (r == 0 && write(ready_fd, &apart->pid, sizeof(apart->pid)) < 0)
            return 1;
        if (r == 0 && i % 3)
            tracee_end_apart(apart);
    }
    if (r != -EAGAIN) /* a thread was still on its way back from the tool before this one */
        print_error("%s\n", err.text);
    return 1;
}

static void death_leaves_nothing(void **state)
{
    pid_t pid = start_target(), made;
    int n_made = 0;

    srandom(2);
    for (int i = 0; i < 150; i++) {
        int ready[2];
        assert_int_equal(pipe(ready), 0);
        pid_t tool = fork();
        if (tool == 0)
            _exit(spawn_all_the_time(pid, ready[1]));
        close(ready[1]);
        bool some = read(ready[0], &made, sizeof(made)) == sizeof(made);
        n_made += some;
        usleep(random() % 4000);
        kill(tool, SIGKILL);
        waitpid(tool, NULL, 0);
        assert_alive(pid);
        for (int turn = 0; has_children(pid) && turn < 20000; turn++)
            usleep(1000);
        assert_false(has_children(pid));
        /* Those that it left went with it. */
        if (some)
            assert_int_equal(waitpid(made, NULL, 0), made);
        while (some && read(ready[0], &made, sizeof(made)) == sizeof(made))
            assert_int_equal(waitpid(made, NULL, 0), made);
        close(ready[0]);
    }
    assert_true(n_made > 75);
    end_target(pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_stays_as_it_is),
        cmocka_unit_test(sharer_sees_what_changes),
        cmocka_unit_test(pipe_is_not_held),
        cmocka_unit_test(death_leaves_nothing),
    };

    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* orphans come to us */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
