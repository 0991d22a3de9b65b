/*
 * request_killed.c - the program that makes checkpoints is killed, at any moment
 *
 * What it held goes on, and the next request works.
 */
#include <sys/mman.h>

#include "base/request_page.h"
#include "target.h"

#define N_ROUNDS 100

static volatile unsigned *count; /* shared with the target, which counts */

static void counting(void *arg)
{
    with_both(NULL);
    say('!');
    for (;;) {
        ++*count;
        CHECK(usleep(1000) == 0); /* no EINTR */
    }
}

/* With a number that is nobody else's. */
static int out_of_the_way(int fd)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 100);

    CHECK(fd >= 0 && high >= 0);
    close(fd);
    return high;
}

/* crs-request as a child of the test, so that it can be told when it's there, and killed. */
static pid_t start_request(pid_t target, struct request_page **ret)
{
    int page_fd = out_of_the_way(memfd_create("page", 0)),
        null_fd = out_of_the_way(open("/dev/null", O_WRONLY));
    const char *directory = getenv("CRS_LIBEXEC");
    struct request_page *page;
    char path[4096];

    CHECK(directory);
    snprintf(path, sizeof(path), "%s/crs-request", directory);
    CHECK(ftruncate(page_fd, sizeof(*page)) == 0);
    page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
    CHECK(page != MAP_FAILED);
    page->magic = REQUEST_MAGIC;
    page->version = REQUEST_VERSION;
    page->requester = getpid();
    page->target = target;
    page->scope = CR_SCOPE_PROC;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        dup2(page_fd, REQUEST_PAGE_FD);
        dup2(null_fd, REQUEST_DESTINATION_FD);
        execl(path, "crs-request", NULL);
        _exit(127);
    }
    close(page_fd);
    close(null_fd);
    *ret = page;
    return pid;
}

/* After so long; longer than a request takes, now and then. */
static void kill_one(pid_t target, unsigned after_us)
{
    struct request_page *page;
    pid_t pid = start_request(target, &page);
    int status;

    usleep(after_us);
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) || page->state == REQUEST_DONE);
    munmap(page, sizeof(*page));
}

static void expect_counting(void)
{
    unsigned before = *count;

    WAIT_FOR(*count != before);
}

/* How long one takes here, from its start to its end. */
static unsigned measure_us(pid_t target)
{
    struct timespec from, to;
    struct request_page *page;

    clock_gettime(CLOCK_MONOTONIC, &from);
    pid_t pid = start_request(target, &page);
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(page->state == REQUEST_DONE && page->error == 0);
    clock_gettime(CLOCK_MONOTONIC, &to);
    munmap(page, sizeof(*page));
    return (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000;
}

/* Whatever it says, with a "=" for the last request. */
static void drain_words(const struct target *t)
{
    struct pollfd word = {.fd = t->words, .events = POLLIN};
    char letters[256];

    while (poll(&word, 1, 0) == 1)
        CHECK(read(t->words, letters, sizeof(letters)) > 0);
}

static void killed(void)
{
    count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(count != MAP_FAILED);
    struct target t = start(counting, NULL);
    unsigned longest_us = measure_us(t.pid);

    srand(4711);
    for (int i = 0; i < N_ROUNDS; i++) {
        kill_one(t.pid, rand() % (longest_us + longest_us / 4));
        expect_counting();
    }
    drain_words(&t);
    CHECK(request(CR_SCOPE_PROC, t.pid, NULL) == 0);
    expect_counting();
    drain_words(&t);
    CHECK(request(CR_SCOPE_PROC, t.pid, NULL) == 0);
    expect(&t, "ts==");
    CHECK(kill(t.pid, SIGKILL) == 0);
    expect_killed(&t, SIGKILL);
}

int main(void)
{
    static const struct test_case cases[] = {CASE(killed)};

    return RUN_CASES(cases);
}
