/*
 * live_mappings.c - mappings that come, go, move, and lose their pages, saved while they do
 *
 * A thread does something at random to one of its mappings, which it has looked at before, and
 * notes what it holds now. Mappings also change places, so that the pages of one are found where
 * those of another were.
 *
 * situations: -new
 * checkpoint: --freeze=live
 * needs: 200 MiB
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "victim.h"

#define PAGE    4096ul
#define N_SLOTS 48
#define N_PAGES 96 /* of each */
#define SIZE    (N_PAGES * PAGE)

/* Page i of a slot holds pages[i] in its first and last word; 0: it was never written to. */
struct slot {
    uint8_t *at;
    uint64_t pages[N_PAGES];
};

static struct slot slots[N_SLOTS];
static uint64_t next_value = 1;
static unsigned long random_state = 12345;
static uint8_t *aside; /* where one may be moved to */
static atomic_bool stop, stopped;
static atomic_uint faults;
static atomic_ulong done;

static unsigned roll(unsigned n)
{
    random_state = random_state * 6364136223846793005ul + 1442695040888963407ul;
    return (unsigned)(random_state >> 33) % n;
}

static volatile uint64_t *word(const struct slot *s, size_t page, bool last)
{
    return (uint64_t *)(s->at + page * PAGE + (last ? PAGE - 8 : 0));
}

static bool is_right(const struct slot *s)
{
    for (size_t i = 0; i < N_PAGES; i++)
        if (*word(s, i, false) != s->pages[i] || *word(s, i, true) != s->pages[i])
            return false;
    return true;
}

static void put(struct slot *s, size_t page)
{
    uint64_t value = next_value++;

    *word(s, page, false) = value;
    *word(s, page, true) = value;
    s->pages[page] = value;
}

static void map_at(uint8_t *at, int protection)
{
    MUST(mmap(at, SIZE, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
}

/* ---- what is done ---- */

static void write_some(struct slot *s, struct slot *other)
{
    for (unsigned n = roll(N_PAGES); n > 0; n--)
        put(s, roll(N_PAGES));
}

static void map_anew(struct slot *s, struct slot *other)
{
    if (roll(2))
        MUST(munmap(s->at, SIZE) == 0);
    map_at(s->at, PROT_READ | PROT_WRITE);
    memset(s->pages, 0, sizeof(s->pages));
}

static void discard(struct slot *s, struct slot *other)
{
    size_t first = roll(N_PAGES), n = 1 + roll(N_PAGES - (unsigned)first);

    MUST(madvise(s->at + first * PAGE, n * PAGE, MADV_DONTNEED) == 0);
    memset(s->pages + first, 0, n * sizeof(s->pages[0]));
}

static void move(uint8_t *from, uint8_t *to)
{
    MUST(mremap(from, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
}

static void change_places(struct slot *s, struct slot *other)
{
    uint64_t pages[N_PAGES];

    if (s == other)
        return;
    move(s->at, aside);
    move(other->at, s->at);
    move(aside, other->at);
    map_at(aside, PROT_NONE);
    memcpy(pages, s->pages, sizeof(pages));
    memcpy(s->pages, other->pages, sizeof(pages));
    memcpy(other->pages, pages, sizeof(pages));
}

/* All of it: what was restarted as several mappings can't be moved as one. */
static void protect(struct slot *s, struct slot *other)
{
    MUST(mprotect(s->at, SIZE, roll(2) ? PROT_READ : PROT_NONE) == 0);
    sched_yield();
    MUST(mprotect(s->at, SIZE, PROT_READ | PROT_WRITE) == 0);
}

/* The child has the same pages; both write to some. */
static void fork_and_write(struct slot *s, struct slot *other)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        bool right = is_right(s) && is_right(other);
        put(s, roll(N_PAGES));
        _exit(right && is_right(s) ? 0 : 1);
    }
    if (child < 0) /* no more processes for this user: nothing was done */
        return;
    put(s, roll(N_PAGES));
    MUST(waitpid(child, &status, 0) == child);
    if (status != 0)
        atomic_fetch_add(&faults, 1);
}

static void read_only(struct slot *s, struct slot *other)
{
    if (!is_right(s)) /* pages that aren't there become the page of zeros */
        atomic_fetch_add(&faults, 1);
}

static void (*const changes[])(struct slot *s, struct slot *other) = {
    write_some, write_some, write_some, map_anew,      discard,
    discard,    read_only,  protect,    change_places, fork_and_write,
};

static void *change_all(void *arg)
{
    for (;;) {
        while (atomic_load(&stop)) {
            atomic_store(&stopped, true);
            victim_sleep_ms(1);
        }
        atomic_store(&stopped, false);
        struct slot *s = &slots[roll(N_SLOTS)], *other = &slots[roll(N_SLOTS)];
        if (!is_right(s))
            atomic_fetch_add(&faults, 1);
        changes[roll(sizeof(changes) / sizeof(changes[0]))](s, other);
        atomic_fetch_add(&done, 1);
    }
    return NULL;
}

static void check(void)
{
    unsigned long n = atomic_load(&done);

    while (atomic_load(&done) < n + 20)
        victim_sleep_ms(1);
    atomic_store(&stop, true);
    while (!atomic_load(&stopped))
        victim_sleep_ms(1);
    for (size_t i = 0; i < N_SLOTS; i++)
        CHECK(is_right(&slots[i]));
    CHECK_EQ(atomic_load(&faults), 0);
    atomic_store(&stopped, false);
    atomic_store(&stop, false);
}

int main(int argc, char **argv)
{
    pthread_t thread;

    victim_init(argc, argv);
    uint8_t *room =
        mmap(NULL, (2 * N_SLOTS + 1) * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(room != MAP_FAILED);
    aside = room + 2 * N_SLOTS * SIZE;
    for (size_t i = 0; i < N_SLOTS; i++) { /* every second pair of them side by side */
        slots[i].at = room + (i + i / 2) * SIZE;
        map_at(slots[i].at, PROT_READ | PROT_WRITE);
        for (size_t k = 0; k < N_PAGES; k++)
            put(&slots[i], k);
    }
    MUST(pthread_create(&thread, NULL, change_all, NULL) == 0);
    victim_ready();
    while (victim_wait())
        check();
    return 0;
}
