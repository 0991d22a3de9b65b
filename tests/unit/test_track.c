/*
 * test_track.c - which pages a live process writes to; a descriptor that it makes for us, and the
 * tool's death in the middle of that
 *
 * The target is a child of one thread, which writes to the page that it is told to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
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
#include "proc/pagemap.h"
#include "tracee/track.h"

#define PAGE    4096
#define N_PAGES 64

struct shared {
    atomic_int page; /* to be written to; -1: none */
    atomic_ulong beats;
};
static struct shared *shared;
static uint8_t *memory;

static void run_target(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int page = atomic_load(&shared->page);
        if (page >= 0) {
            memory[page * PAGE]++;
            atomic_store(&shared->page, -1);
        }
        if (getpid() == 0) /* a call, as most programs make them */
            _exit(1);
        atomic_fetch_add(&shared->beats, 1);
    }
}

static pid_t start_target(void)
{
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memory = mmap(NULL, N_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    assert_ptr_not_equal(memory, MAP_FAILED);
    memset(memory, 1, N_PAGES / 2 * PAGE);
    atomic_store(&shared->page, -1);
    pid_t pid = fork();
    if (pid == 0)
        run_target();
    return pid;
}

static void assert_alive(pid_t pid)
{
    unsigned long before = atomic_load(&shared->beats);

    for (int turn = 0; turn < 20000 && atomic_load(&shared->beats) < before + 2; turn++)
        usleep(1000);
    assert_true(atomic_load(&shared->beats) >= before + 2);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
}

static void end_target(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    munmap(shared, sizeof(*shared));
    munmap(memory, N_PAGES * PAGE);
}

static void write_to(int page)
{
    atomic_store(&shared->page, page);
    for (int turn = 0; atomic_load(&shared->page) >= 0; turn++) {
        assert_true(turn < 20000);
        usleep(1000);
    }
}

static int count_descriptors(pid_t pid)
{
    char path[40];
    int n = 0;

    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static struct bytes read_maps(pid_t pid)
{
    struct bytes text = {0};
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    assert_int_equal(read_file(AT_FDCWD, path, 1 << 20, &text), 0);
    return text;
}

static struct track *begin(pid_t pid)
{
    struct crs_error err = {0};
    struct track *track = NULL;
    struct tracee *t = NULL;

    assert_int_equal(tracee_freeze(pid, 0, &t, &err), 0);
    if (track_begin(t, &track, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(tracee_thaw(t, false, &err), 0);
    tracee_free(t);
    return track;
}

static int open_pagemap(pid_t pid)
{
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void assert_runs(const struct page_runs *runs, uint64_t first, uint64_t count)
{
    assert_int_equal(runs->n, 1);
    assert_int_equal(runs->last.first, (uintptr_t)memory / PAGE + first);
    assert_int_equal(runs->last.count, count);
}

static void needs_a_kernel(void)
{
    struct crs_error err = {0};

    if (track_check(&err) < 0)
        skip();
}

static void tells_what_is_written(void **state)
{
    needs_a_kernel();
    pid_t pid = start_target();
    int n = count_descriptors(pid), pagemap = open_pagemap(pid);
    uint64_t start = (uintptr_t)memory, end = start + N_PAGES * PAGE;
    struct bytes before = read_maps(pid);
    struct page_runs runs = {0};
    struct track *track = begin(pid);

    assert_int_equal(count_descriptors(pid), n);
    assert_int_equal(pagemap_unprotected(pagemap, start, end, &runs, NULL), -EPERM);
    assert_int_equal(track_add(track, start, end), 0);
    assert_true(track_covers(track, start + PAGE, start + 2 * PAGE));
    assert_false(track_covers(track, end, end + PAGE));
    assert_int_equal(pagemap_protect(pagemap, false, start, end, &runs, NULL), 0);
    assert_runs(&runs, 0, N_PAGES / 2);
    page_runs_clear(&runs);
    assert_int_equal(pagemap_written(pagemap, false, start, end, &runs, NULL), 0);
    assert_int_equal(runs.n, 0);
    write_to(5);
    assert_int_equal(pagemap_written(pagemap, false, start, end, &runs, NULL), 0);
    assert_runs(&runs, 5, 1);
    page_runs_clear(&runs);
    write_to(N_PAGES - 1); /* one that wasn't there */
    assert_int_equal(pagemap_unprotected(pagemap, start, end, &runs, NULL), 0);
    assert_int_equal(runs.n, 2);
    assert_int_equal(page_runs_count(&runs), 1 + N_PAGES / 2);
    page_runs_clear(&runs);

    track_free(track);
    assert_int_equal(pagemap_protect(pagemap, false, start, end, &runs, NULL), 0);
    assert_int_equal(runs.n, 0);
    struct bytes after = read_maps(pid);
    assert_int_equal(after.size, before.size);
    assert_memory_equal(after.data, before.data, before.size);
    bytes_clear(&before);
    bytes_clear(&after);
    assert_alive(pid);
    close(pagemap);
    end_target(pid);
}

/* ---- the tool is killed ---- */

/* Hold it, and have it make descriptors without end; say so after the first. */
static int take_descriptors(pid_t pid, int ready_fd)
{
    struct crs_error err = {0};
    struct tracee *t = NULL;
    int fd, r = tracee_freeze(pid, 0, &t, &err);

    for (bool first = true; r == 0; first = false) {
        r = tracee_take_fd(t, &fd, &err, "make an eventfd", SYS_eventfd2, (const uint64_t[6]){0});
        if (r == 0)
            close(fd);
        if (r == 0 && first && write(ready_fd, "r", 1) != 1)
            return 1;
    }
    if (r != -EAGAIN) /* the thread was still on its way back from the tool before this one */
        print_error("%s\n", err.text);
    return 1;
}

/* Its children, those too that have ended; on kernels that list them. */
static void assert_no_children(pid_t pid)
{
    struct bytes text = {0};
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
    for (int turn = 0; turn < 2000; turn++) {
        bytes_clear(&text);
        if (read_file(AT_FDCWD, path, 4096, &text) < 0 || text.size == 0)
            break;
        usleep(1000);
    }
    assert_int_equal(text.size, 0);
    bytes_clear(&text);
}

static void death_leaves_nothing(void **state)
{
    pid_t pid = start_target();
    int n = count_descriptors(pid), n_taken = 0;

    srandom(1);
    for (int i = 0; i < 200; i++) {
        int ready[2];
        char byte;
        assert_int_equal(pipe(ready), 0);
        pid_t tool = fork();
        if (tool == 0)
            _exit(take_descriptors(pid, ready[1]));
        close(ready[1]);
        n_taken += read(ready[0], &byte, 1) == 1;
        usleep(random() % 3000);
        close(ready[0]);
        kill(tool, SIGKILL);
        waitpid(tool, NULL, 0);
        assert_alive(pid); /* it has come back to its own code */
        assert_int_equal(count_descriptors(pid), n);
        assert_no_children(pid);
    }
    assert_true(n_taken > 100);
    end_target(pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_is_written),
        cmocka_unit_test(death_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
