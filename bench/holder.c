/*
 * holder.c - a program that holds memory and other things, and sees each moment it didn't run
 *
 *     holder DIR [--mib N] [--fill random|heap] [--huge] [--gap-us N]
 *                [--threads N] [--mappings N] [--descriptors N] [--write N]
 *
 * Its only work is to read the clock, again and again, and with --write to write to N of its pages
 * in every millisecond, anywhere, what they hold. What it sees and does is in files of DIR,
 * none of which it keeps open, so that it holds nothing but what it was told to:
 *     ready      its PID, once everything is set up
 *     gaps       a line for each gap in its running: CLOCK_MONOTONIC when it began, how long it
 *                was, CLOCK_REALTIME when it ended, all in nanoseconds
 *     order      read at a SIGUSR1: `write PATH` or `write-sync PATH` writes its memory to a new
 *                file, in pieces of 1 MiB, with fdatasync(2) at the end for the second; any
 *                other word does nothing
 *     answer     how long that took, in nanoseconds; all earlier gaps are in `gaps` then
 *     restarted  made by whoever restarts it: after the next gap it touches all its memory, checks
 *                it, and writes
 *     touched    CLOCK_REALTIME of its first instruction, of the moment when all memory had been
 *                touched, and the number of pages that aren't as they were
 * CLOCK_REALTIME is what a restart doesn't turn back.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PAGE       4096u
#define PAGE_WORDS (PAGE / sizeof(uint64_t))
#define PIECE      (1u << 20)
#define LIFE_NS    (30 * 60 * 1000000000ll) /* should nobody be left to end it */

static struct {
    const char *dir;
    bool like_heap, huge;
    uint64_t mib, gap_us, n_threads, n_mappings, n_descriptors, n_writes;
} options = {.gap_us = 100};

static uint64_t *heap;
static size_t heap_pages;
static volatile sig_atomic_t ordered;

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
    int saved = errno;
    va_list ap;

    va_start(ap, format);
    fputs("holder: ", stderr);
    vfprintf(stderr, format, ap);
    fprintf(stderr, ": %s\n", strerror(saved));
    exit(1);
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* ---- files of DIR ---- */

static void path_of(char path[PATH_MAX], const char *name)
{
    snprintf(path, PATH_MAX, "%s/%s", options.dir, name);
}

static void append(const char *name, const char *text)
{
    char path[PATH_MAX];

    path_of(path, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        die("can't write %s", path);
    close(fd);
}

/* Appears whole. */
static void put(const char *name, const char *text)
{
    char temporary[PATH_MAX], path[PATH_MAX], hidden[64];

    snprintf(hidden, sizeof(hidden), ".%s", name);
    append(hidden, text);
    path_of(temporary, hidden);
    path_of(path, name);
    if (rename(temporary, path) < 0)
        die("can't rename %s", temporary);
}

/* Take a file away; false when there is none. */
static bool take(const char *name, char *text, size_t size)
{
    char path[PATH_MAX];

    path_of(path, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    unlink(path);
    text[n < 0 ? 0 : n] = 0;
    text[strcspn(text, "\n")] = 0;
    return true;
}

/* ---- memory ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Incompressible; with --fill heap like structures: a number of 64 random bits (say, a double), a
 * pointer, a small integer, a zero. */
static uint64_t word_of(size_t page, size_t word)
{
    uint64_t random = mix((page * PAGE_WORDS + word + 1) * 0x9e3779b97f4a7c15u);

    if (!options.like_heap || word % 4 == 0)
        return random;
    if (word % 4 == 1)
        return 0x00007f3a00000000u + (random % (256u << 20) & ~15ull);
    return word % 4 == 2 ? random % 1000 : 0;
}

static void make_heap(void)
{
    size_t size = options.mib << 20;

    if (size == 0)
        return;
    heap = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (heap == MAP_FAILED)
        die("no memory for %llu MiB", (unsigned long long)options.mib);
    if (options.huge)
        madvise(heap, size, MADV_HUGEPAGE);
    heap_pages = size / PAGE;
    for (size_t page = 0; page < heap_pages; page++)
        for (size_t word = 0; word < PAGE_WORDS; word++)
            heap[page * PAGE_WORDS + word] = word_of(page, word);
}

/* Read and write each page, so that nothing can still be on its way. */
static void touch_heap(void)
{
    for (size_t page = 0; page < heap_pages; page++) {
        volatile uint64_t *word = &heap[page * PAGE_WORDS];
        *word = *word;
    }
}

static size_t count_bad_pages(void)
{
    size_t bad = 0;

    for (size_t page = 0; page < heap_pages; page++) {
        size_t word = 0;
        while (word < PAGE_WORDS && heap[page * PAGE_WORDS + word] == word_of(page, word))
            word++;
        bad += word < PAGE_WORDS;
    }
    return bad;
}

static int64_t write_heap(const char *path, bool sync)
{
    int64_t begin = clock_ns(CLOCK_MONOTONIC);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        die("can't create %s", path);
    for (size_t at = 0; at < heap_pages * PAGE;) {
        ssize_t n = write(fd, (char *)heap + at, PIECE);
        if (n <= 0)
            die("can't write %s", path);
        at += n;
    }
    if (sync && fdatasync(fd) < 0)
        die("can't sync %s", path);
    int64_t end = clock_ns(CLOCK_MONOTONIC);
    close(fd);
    return end - begin;
}

/* ---- other things ---- */

static void *wait_for_ever(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static void make_threads(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL); /* signals are for the first thread */
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    for (uint64_t i = 0; i < options.n_threads; i++) {
        errno = pthread_create(&thread, &attributes, wait_for_ever, NULL);
        if (errno)
            die("can't start thread %llu", (unsigned long long)i);
    }
    pthread_sigmask(SIG_UNBLOCK, &all, NULL);
}

/* Of one page each, touched, with protections that keep neighbours from becoming one. */
static void make_mappings(void)
{
    char *area;

    if (options.n_mappings == 0)
        return;
    area = mmap(NULL, options.n_mappings * PAGE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        die("no memory for mappings");
    for (uint64_t i = 0; i < options.n_mappings; i++) {
        memset(area + i * PAGE, 1 + i % 255, 64);
        if (i % 2 && mprotect(area + i * PAGE, PAGE, PROT_READ) < 0)
            die("can't make %llu mappings", (unsigned long long)options.n_mappings);
    }
}

/* In turn: a regular file, an eventfd, the two ends of a pipe. */
static void make_descriptors(void)
{
    struct rlimit limit;
    char path[PATH_MAX];
    int ends[2];

    if (options.n_descriptors == 0)
        return;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    append("file", "a line\n");
    path_of(path, "file");
    for (uint64_t i = 0; i < options.n_descriptors; i++) {
        if (i % 4 < 2) {
            if ((i % 4 ? eventfd(i, 0) : open(path, O_RDONLY)) < 0)
                die("can't open descriptor %llu", (unsigned long long)i);
        } else if (i % 4 == 2 && pipe(ends) < 0) {
            die("can't make a pipe");
        }
    }
}

/* ---- the loop ---- */

static void on_order(int sig)
{
    ordered = 1;
}

static void obey(void)
{
    char order[PATH_MAX + 32], text[64];

    ordered = 0;
    if (!take("order", order, sizeof(order)))
        return;
    char *path = strchr(order, ' ');
    bool sync = strncmp(order, "write-sync ", 11) == 0;
    int64_t took = path ? write_heap(path + 1, sync) : 0;
    snprintf(text, sizeof(text), "%lld\n", (long long)took);
    put("answer", text);
}

static void answer_restart(int64_t first_ns)
{
    char text[128];

    if (!take("restarted", text, sizeof(text)))
        return;
    touch_heap();
    int64_t touched_ns = clock_ns(CLOCK_REALTIME);
    snprintf(text, sizeof(text), "%lld %lld %zu\n", (long long)first_ns, (long long)touched_ns,
             count_bad_pages());
    put("touched", text);
}

static void note_gap(int64_t begin, int64_t length, int64_t real_end)
{
    char text[128];

    snprintf(text, sizeof(text), "%lld %lld %lld\n", (long long)begin, (long long)length,
             (long long)real_end);
    append("gaps", text);
}

static void write_some(int64_t now)
{
    static int64_t next_ns;
    static uint64_t n;

    if (now < next_ns)
        return;
    next_ns = now + 1000000;
    for (uint64_t i = 0; i < options.n_writes; i++) {
        volatile uint64_t *word = &heap[mix(n++) % heap_pages * PAGE_WORDS];
        *word = *word;
    }
}

static void run(void)
{
    int64_t gap_ns = options.gap_us * 1000;
    int64_t last = clock_ns(CLOCK_MONOTONIC), last_real = clock_ns(CLOCK_REALTIME);

    for (int64_t end = last_real + LIFE_NS; last_real < end;) {
        int64_t now = clock_ns(CLOCK_MONOTONIC), real = clock_ns(CLOCK_REALTIME);
        if (now - last < gap_ns && real - last_real < gap_ns && !ordered) {
            last = now;
            last_real = real;
            if (heap_pages > 0 && options.n_writes > 0)
                write_some(now);
            continue;
        }
        int64_t length = now - last, real_length = real - last_real;
        length = length > real_length ? length : real_length; /* it may lie between the two */
        if (length >= gap_ns) {
            note_gap(last, length, real);
            answer_restart(real);
        }
        if (ordered)
            obey();
        last = clock_ns(CLOCK_MONOTONIC);
        last_real = clock_ns(CLOCK_REALTIME);
    }
}

/* ---- options ---- */

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long n = text ? strtoull(text, &end, 10) : 0;

    errno = EINVAL;
    if (!text || !*text || *end)
        die("a number is missing or wrong");
    return n;
}

static void parse(char **argv)
{
    static const struct {
        const char *name;
        uint64_t *to;
    } numbers[] = {{"--mib", &options.mib},
                   {"--gap-us", &options.gap_us},
                   {"--threads", &options.n_threads},
                   {"--mappings", &options.n_mappings},
                   {"--descriptors", &options.n_descriptors},
                   {"--write", &options.n_writes}};

    options.dir = *argv++;
    for (; *argv; argv++) {
        uint64_t *to = NULL;
        for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
            if (strcmp(*argv, numbers[i].name) == 0)
                to = numbers[i].to;
        errno = EINVAL;
        if (to)
            *to = number(*++argv);
        else if (strcmp(*argv, "--huge") == 0)
            options.huge = true;
        else if (strcmp(*argv, "--fill") == 0 && argv[1])
            options.like_heap = strcmp(*++argv, "heap") == 0;
        else
            die("what is %s?", *argv);
    }
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_order, .sa_flags = SA_RESTART};
    char text[32];

    if (argc < 2) {
        fprintf(stderr, "usage: holder DIR [OPTION...]\n");
        return 2;
    }
    parse(argv + 1);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* where Yama lets only ancestors trace */
    sigaction(SIGUSR1, &action, NULL);
    make_heap();
    make_mappings();
    make_descriptors();
    make_threads();
    snprintf(text, sizeof(text), "%d\n", (int)getpid());
    put("ready", text);
    if (!freopen("/dev/null", "w", stderr))
        return 1;
    run();
    return 0;
}
