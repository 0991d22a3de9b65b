/*
 * live_writers.c - memory that is written to all the time, saved while it is
 *
 * Each writer goes round its pages and gives each the next number of one sequence; that is kept in
 * memory, too. Before it writes to a page it looks whether the page holds what it wrote there last.
 * So a snapshot of pages that never were together is noticed by the writer within a round.
 *
 * checkpoint: --freeze=live
 * needs: 200 MiB
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sched.h>
#include <sys/mman.h>
#include "victim_smaps.h"

#define PAGE  4096
#define WORDS (PAGE / sizeof(uint64_t))
#define STILL (16u << 20)

struct writer {
    size_t n_pages, stride; /* stride: without a common factor with n_pages */
    unsigned rest;          /* after so many pages it sleeps; 0: never */
    bool huge;
    uint64_t (*pages)[WORDS];
    uint64_t *sequence; /* in a page of its own: how many were written */
    atomic_bool stop, stopped;
    atomic_uint faults;
};

static struct writer writers[] = {
    {.n_pages = 512, .stride = 7},                /* all of it within less than any round */
    {.n_pages = 4096, .stride = 1001, .rest = 3}, /* some in each */
    {.n_pages = 4096, .stride = 5, .rest = 1, .huge = true},
};
static uint8_t *still;

static void *get_pages(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    MUST(p != MAP_FAILED);
    return p;
}

static uint64_t word(uint64_t number, size_t i)
{
    return (number + 1) * 0x9e3779b97f4a7c15ull ^ i;
}

/* Number `number` of the sequence goes to one page; what the page holds then. */
static uint64_t *page_of(const struct writer *w, uint64_t number)
{
    return w->pages[number * w->stride % w->n_pages];
}

static bool holds(const uint64_t *page, uint64_t number)
{
    for (size_t i = 0; i < WORDS; i += 73) /* the first, some between */
        if (page[i] != word(number, i))
            return false;
    return true;
}

static void write_next(struct writer *w)
{
    uint64_t number = *w->sequence;
    uint64_t *page = page_of(w, number);

    if (number >= w->n_pages && !holds(page, number - w->n_pages))
        atomic_fetch_add(&w->faults, 1);
    for (size_t i = 0; i < WORDS; i += 73)
        page[i] = word(number, i);
    *w->sequence = number + 1;
}

static void *write_all(void *arg)
{
    struct writer *w = arg;
    const struct timespec moment = {0, 20000};

    for (;;) {
        while (atomic_load(&w->stop)) {
            atomic_store(&w->stopped, true);
            nanosleep(&moment, NULL);
        }
        atomic_store(&w->stopped, false);
        for (unsigned i = 0; i < (w->rest ? w->rest : 64); i++)
            write_next(w);
        if (w->rest)
            nanosleep(&moment, NULL);
        else
            sched_yield();
    }
    return NULL;
}

static void start(struct writer *w)
{
    pthread_t thread;

    w->pages = get_pages(w->n_pages * PAGE + (2u << 20));
    if (w->huge) {
        w->pages = (void *)(((uintptr_t)w->pages + (2u << 20) - 1) & ~(uintptr_t)((2u << 20) - 1));
        madvise(w->pages, w->n_pages * PAGE, MADV_HUGEPAGE);
    }
    w->sequence = get_pages(PAGE);
    for (size_t i = 0; i < 2 * w->n_pages; i++)
        write_next(w);
    MUST(pthread_create(&thread, NULL, write_all, w) == 0);
}

static void check(struct writer *w)
{
    atomic_store(&w->stop, true);
    while (!atomic_load(&w->stopped))
        victim_sleep_ms(1);
    uint64_t n = *w->sequence;
    for (size_t i = 1; i <= w->n_pages; i++)
        CHECK(holds(page_of(w, n - i), n - i));
    CHECK_EQ(atomic_load(&w->faults), 0);
    atomic_store(&w->stopped, false);
    atomic_store(&w->stop, false);
}

/* It goes on after the checkpoint, or restart. */
static void wait_for_progress(const struct writer *w)
{
    const volatile uint64_t *sequence = w->sequence;
    uint64_t n = *sequence;

    while (*sequence < n + 64)
        victim_sleep_ms(1);
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    still = get_pages(STILL);
    victim_fill(still, STILL, 5);
    for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++)
        start(&writers[i]);
    victim_ready();
    while (victim_wait()) {
        for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++) {
            wait_for_progress(&writers[i]);
            check(&writers[i]);
        }
        CHECK(victim_same(still, STILL, 5));
    }
    return 0;
}
