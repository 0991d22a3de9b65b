/*
 * holder.c - a program that holds memory and other things, and sees each moment it didn't run
 *
 *     holder DIR [--mib N] [--fill random|heap] [--huge] [--gap-us N] [--nap-us N]
 *                [--threads N] [--mappings N] [--descriptors N] [--rate N | --rewrite]
 *
 * Its only work is to read the clock, again and again: it keeps a processor busy. With --nap-us it
 * sleeps so long between two looks, which a gap may then be longer by. With --rate it writes to N
 * of its pages in a second, anywhere; with --rewrite to all of them, one after the other, as fast
 * as it can. Each write changes every word of the page, and is counted elsewhere: pages and counts
 * that are not of the same instant are found. What it sees and does is in files of DIR, none of
 * which it keeps open, so that it holds nothing but what it was told to: ready      its PID, once
 * everything is set up gaps       a line for each gap in its running: CLOCK_MONOTONIC when it began
 * and how long it was, in nanoseconds; written at each order order      read at a SIGUSR1: `write
 * PATH` or `write-sync PATH` writes its memory to a new file, in pieces of 1 MiB, with fdatasync(2)
 * at the end for the second; `change N` writes to N in a million of its pages, scattered; `check`
 * compares all memory; any other word does nothing answer     how long writing took, in
 * nanoseconds; of the others, how many pages were changed, and were wrong; all earlier gaps are in
 * `gaps` then restarted  made by whoever restarts it, with CLOCK_REALTIME (ns): after the next gap
 * it touches all its memory, checks it, and writes touched    CLOCK_REALTIME of its first
 * instruction, of the moment when all memory had been touched, and the number of pages that aren't
 * as they were CLOCK_REALTIME is what a restart doesn't turn back.
 */
#include "dialogue.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define PAGE       4096u
#define PAGE_WORDS (PAGE / sizeof(uint64_t))
#define PIECE      (1u << 20)
#define MOST_GAPS  65536u
#define AT_ONCE    8                        /* pages between two looks at the clock */
#define LIFE_NS    (30 * 60 * 1000000000ll) /* should nobody be left to end it */

static struct {
    bool like_heap, huge, rewrite;
    uint64_t mib, gap_us, nap_us, n_threads, n_mappings, n_descriptors, rate;
} options = {.gap_us = 100};

static uint64_t *heap;
static uint32_t *versions; /* how often each page was written to */
static size_t heap_pages;
static struct gap {
    int64_t begin_ns, length_ns;
} gaps[MOST_GAPS]; /* since the last order */
static size_t n_gaps;
static volatile sig_atomic_t ordered;

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
    versions = calloc(heap_pages, sizeof(*versions));
    if (!versions)
        die("no memory for %zu counts", heap_pages);
    for (size_t page = 0; page < heap_pages; page++)
        for (size_t word = 0; word < PAGE_WORDS; word++)
            heap[page * PAGE_WORDS + word] = word_of(page, word);
}

static void change_page(size_t page)
{
    uint64_t *words = &heap[page * PAGE_WORDS];

    for (size_t word = 0; word < PAGE_WORDS; word++)
        words[word]++;
    versions[page]++;
}

static size_t change_some(uint64_t in_a_million)
{
    static uint64_t n_orders;
    size_t n_changed = 0;

    n_orders++;
    for (size_t page = 0; page < heap_pages; page++) {
        if (mix(page ^ (n_orders << 40)) % 1000000 < in_a_million) {
            change_page(page);
            n_changed++;
        }
    }
    return n_changed;
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
        while (word < PAGE_WORDS &&
               heap[page * PAGE_WORDS + word] == word_of(page, word) + versions[page])
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

/* Whether it was asked for. */
static bool answer_restart(int64_t first_ns)
{
    char text[128];

    if (!take("restarted", text, sizeof(text)))
        return false;
    if (first_ns < strtoll(text, NULL, 10)) /* saved between the look at the clock and here */
        first_ns = clock_ns(CLOCK_REALTIME);
    touch_heap();
    int64_t touched_ns = clock_ns(CLOCK_REALTIME);
    snprintf(text, sizeof(text), "%lld %lld %zu\n", (long long)first_ns, (long long)touched_ns,
             count_bad_pages());
    put("touched", text);
    return true;
}

static void note_gap(int64_t begin_ns, int64_t length_ns)
{
    if (n_gaps < MOST_GAPS)
        gaps[n_gaps++] = (struct gap){begin_ns, length_ns};
}

static void write_gaps(void)
{
    char path[PATH_MAX];

    path_of(path, "gaps");
    FILE *file = fopen(path, "ae");
    if (!file)
        die("can't write %s", path);
    for (size_t i = 0; i < n_gaps; i++)
        fprintf(file, "%lld %lld\n", (long long)gaps[i].begin_ns, (long long)gaps[i].length_ns);
    if (fclose(file) != 0)
        die("can't write %s", path);
    n_gaps = 0;
}

static void obey(void)
{
    char order[PATH_MAX + 32], text[64];

    ordered = 0;
    if (!take("order", order, sizeof(order)))
        return;
    char *rest = strchr(order, ' ');
    int64_t answer = 0;
    if (strcmp(order, "check") == 0)
        answer = (int64_t)count_bad_pages();
    else if (rest && strncmp(order, "change ", 7) == 0)
        answer = (int64_t)change_some(strtoull(rest + 1, NULL, 10));
    else if (rest)
        answer = write_heap(rest + 1, strncmp(order, "write-sync ", 11) == 0);
    write_gaps();
    snprintf(text, sizeof(text), "%lld\n", (long long)answer);
    put("answer", text);
}

/* Pages that are due by now; after a gap only those of its last 10 ms. */
static void write_due(int64_t now)
{
    static int64_t written_until;
    static uint64_t n;
    int64_t each = 1000000000 / (int64_t)options.rate;

    if (now - written_until > 10000000)
        written_until = now - 10000000;
    for (unsigned i = 0; i < AT_ONCE && written_until + each <= now; i++) {
        change_page(mix(++n) % heap_pages);
        written_until += each;
    }
}

static void rewrite_next(void)
{
    static size_t next;

    for (unsigned i = 0; i < AT_ONCE; i++)
        change_page(next++ % heap_pages);
}

static void work(int64_t now)
{
    if (options.rewrite)
        rewrite_next();
    else if (options.rate > 0)
        write_due(now);
}

static void nap(void)
{
    struct timespec time = {.tv_nsec = (long)options.nap_us * 1000};

    if (options.nap_us > 0)
        nanosleep(&time, NULL);
}

static void run(void)
{
    int64_t gap_ns = (options.gap_us + options.nap_us) * 1000,
            end = clock_ns(CLOCK_REALTIME) + LIFE_NS;
    int64_t last = clock_ns(CLOCK_MONOTONIC), last_real = clock_ns(CLOCK_REALTIME);

    while (last_real < end) {
        int64_t begin = last, length = -last, real_length = -last_real;
        bool busy = false;
        last = clock_ns(CLOCK_MONOTONIC);
        last_real = clock_ns(CLOCK_REALTIME);
        length += last;
        real_length += last_real;
        length = length > real_length ? length : real_length; /* it may lie between the two */
        if (length >= gap_ns) {
            note_gap(begin, length);
            busy = answer_restart(last_real);
        }
        if (ordered) {
            obey();
            busy = true;
        }
        if (busy) {
            last = clock_ns(CLOCK_MONOTONIC);
            last_real = clock_ns(CLOCK_REALTIME);
        } else if (heap_pages > 0) {
            work(last);
        }
        nap();
    }
}

/* ---- options ---- */

static void parse(char **argv)
{
    static const struct {
        const char *name;
        uint64_t *to;
    } numbers[] = {{"--mib", &options.mib},
                   {"--gap-us", &options.gap_us},
                   {"--nap-us", &options.nap_us},
                   {"--threads", &options.n_threads},
                   {"--mappings", &options.n_mappings},
                   {"--descriptors", &options.n_descriptors},
                   {"--rate", &options.rate}};

    dialogue_dir = *argv++;
    for (; *argv; argv++) {
        uint64_t *to = NULL;
        for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
            if (strcmp(*argv, numbers[i].name) == 0)
                to = numbers[i].to;
        errno = EINVAL;
        if (to)
            *to = number_of(*++argv);
        else if (strcmp(*argv, "--huge") == 0)
            options.huge = true;
        else if (strcmp(*argv, "--rewrite") == 0)
            options.rewrite = true;
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
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
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
