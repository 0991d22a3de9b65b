/*
 * test_taken_events.c - a thread that waits for events of asynchronous I/O is held when it has some
 * of them: it gets as many as it waits for, each once
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "tracee/tracee.h"

#define N 4 /* pipes that become readable one by one */

struct ring_head {
    uint32_t id, n_places, head, tail;
};

struct target {
    aio_context_t context;
    int pipes[N][2];
    int before; /* so many events come and are taken first: the ring is read round its end */
    bool with_mask, with_time;
};

static int submit(struct target *t, int i)
{
    struct iocb iocb = {.aio_lio_opcode = IOCB_CMD_POLL,
                        .aio_fildes = t->pipes[i][0],
                        .aio_buf = POLLIN,
                        .aio_data = i},
                *pointer = &iocb;

    return syscall(SYS_io_submit, t->context, 1, &pointer) == 1 ? 0 : -1;
}

static long get_events(struct target *t, struct io_event *events)
{
    struct timespec time = {1000, 0}, *timeout = t->with_time ? &time : NULL;
    unsigned long mask = 1ul << (SIGUSR1 - 1);
    struct {
        void *mask;
        size_t size;
    } sigset = {&mask, 8};

    return t->with_mask ? syscall(SYS_io_pgetevents, t->context, N, N, events, timeout, &sigset)
                        : syscall(SYS_io_getevents, t->context, N, N, events, timeout);
}

/* 0: each of the events came once. */
static int wait_for_all(struct target *t)
{
    struct io_event events[N];
    unsigned seen = 0;

    for (int i = 0; i < N; i++)
        if (submit(t, i) < 0)
            return 2;
    long n = get_events(t, events);
    if (n != N)
        return 10 + (n < 0 ? 9 : n);
    for (int i = 0; i < N; i++)
        seen |= 1u << events[i].data;
    return seen == (1u << N) - 1 ? 0 : 3;
}

static void make_first(struct target *t)
{
    struct io_event event;
    char byte = 1;

    for (int i = 0; i < t->before; i++) {
        assert_int_equal(write(t->pipes[0][1], &byte, 1), 1);
        assert_int_equal(submit(t, 0), 0);
        assert_int_equal(syscall(SYS_io_getevents, t->context, 1, 1, &event, NULL), 1);
        assert_int_equal(read(t->pipes[0][0], &byte, 1), 1);
    }
}

static void read_head(pid_t pid, const struct target *t, struct ring_head *ret)
{
    struct iovec local = {ret, sizeof(*ret)}, remote = {(void *)t->context, sizeof(*ret)};

    assert_int_equal(process_vm_readv(pid, &local, 1, &remote, 1, 0), sizeof(*ret));
}

/* Until n of them have come and the call sleeps. Old kernels take them as they come, newer ones
 * when it has all, or is interrupted. */
static void wait_until_come(pid_t pid, const struct target *t, uint32_t begin, uint32_t n)
{
    struct ring_head head;
    char path[40], call[40] = "";

    snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
    for (;; usleep(200)) {
        _cleanup_bytes_ struct bytes text = {0};
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
        read_head(pid, t, &head);
        if (read_file(-1, path, 4096, &text) < 0)
            continue;
        snprintf(call, sizeof(call), "%.30s", (char *)text.data);
        if (head.tail == (begin + n) % head.n_places &&
            atol(call) == (t->with_mask ? SYS_io_pgetevents : SYS_io_getevents))
            return;
    }
}

static void hold_once(pid_t pid)
{
    _cleanup_(cleanup_tracee) struct tracee *held = NULL;
    struct crs_error error = {0};
    int64_t result;

    if (tracee_freeze(pid, 0, &held, &error) < 0)
        fail_msg("%s", error.text);
    assert_int_equal(REMOTE(tracee_main(held), &result, &error, SYS_getppid), 0);
    assert_int_equal(tracee_thaw(held, false, &error), 0);
}

static void play(int before, bool with_mask, bool with_time)
{
    struct target t = {.before = before, .with_mask = with_mask, .with_time = with_time};
    struct ring_head head;
    int ready[2], status;
    char byte = 1;

    assert_int_equal(pipe(ready), 0);
    for (int i = 0; i < N; i++)
        assert_int_equal(pipe(t.pipes[i]), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (syscall(SYS_io_setup, N, &t.context) < 0)
            _exit(errno == ENOSYS ? 77 : 1);
        make_first(&t);
        if (write(ready[1], &t.context, sizeof(t.context)) != sizeof(t.context))
            _exit(1);
        _exit(wait_for_all(&t));
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &t.context, sizeof(t.context)), sizeof(t.context));
    read_head(pid, &t, &head);
    for (int i = 0; i < N; i++) {
        if (i > 0) /* i of them are the call's */
            wait_until_come(pid, &t, before, i);
        if (i > 0 && !with_time)
            hold_once(pid);
        if (i == N - 1 && with_time)
            hold_once(pid);
        assert_int_equal(write(t.pipes[i][1], &byte, 1), 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(ready[0]);
    for (int i = 0; i < N; i++)
        close(t.pipes[i][0]), close(t.pipes[i][1]);
}

static void events_are_put_back(void **state)
{
    play(0, false, false);
}

static void with_a_signal_mask(void **state)
{
    play(0, true, false);
}

static void with_a_time(void **state)
{
    play(0, false, true);
}

static void round_the_end(void **state)
{
    aio_context_t context = 0;

    assert_int_equal(syscall(SYS_io_setup, N, &context), 0);
    uint32_t n_places = ((struct ring_head *)context)->n_places;
    assert_int_equal(syscall(SYS_io_destroy, context), 0);
    play(n_places - 1, false, false);
}

int main(void)
{
    aio_context_t context = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_put_back),
        cmocka_unit_test(with_a_signal_mask),
        cmocka_unit_test(with_a_time),
        cmocka_unit_test(round_the_end),
    };

    if (syscall(SYS_io_setup, N, &context) < 0) {
        puts("no asynchronous I/O here");
        return 77;
    }
    syscall(SYS_io_destroy, context);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
