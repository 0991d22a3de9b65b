/*
 * tree_same_pages.c - processes that have most pages in common, but seldom long runs of them: each
 * keeps what it wrote
 */
#include "victim_tree.h"

#define PAGE_SIZE 4096
#define N_PAGES   2048
#define N         3
#define STEP      7 /* every so many pages each has written to */

static unsigned char *memory;
static int mine; /* which process this is */
static int turns;

/* What a page's words begin with: of all, or of the process that has written to it. */
static uint64_t seed_of(int page)
{
    return page % STEP == mine ? 1000003ULL * (mine + 1) + page + 77777ULL * turns : page;
}

static void fill(int page)
{
    uint64_t *words = (uint64_t *)(memory + (size_t)page * PAGE_SIZE), x = seed_of(page) + 1;

    for (size_t i = 0; i < PAGE_SIZE / sizeof(x); i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        words[i] = x;
    }
}

static bool is_right(int page)
{
    const uint64_t *words = (const uint64_t *)(memory + (size_t)page * PAGE_SIZE);
    uint64_t x = seed_of(page) + 1;

    for (size_t i = 0; i < PAGE_SIZE / sizeof(x); i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        if (words[i] != x)
            return false;
    }
    return true;
}

static int n_right(void)
{
    int n = 0;

    for (int i = 0; i < N_PAGES; i++)
        n += is_right(i);
    return n;
}

static void write_mine(void)
{
    for (int i = mine; i < N_PAGES; i += STEP)
        fill(i);
}

static void act(char command, struct tree_answer *answer)
{
    if (command >= '0' && command <= '9') {
        mine = command - '0';
        write_mine();
    }
    if (command == 'c')
        answer->value = n_right();
    if (command == 't') {
        turns++;
        write_mine();
    }
    if (command == 'q')
        answer->value = 0;
}

int main(int argc, char **argv)
{
    struct tree_child children[N];

    victim_init(argc, argv);
    memory =
        mmap(NULL, N_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(memory != MAP_FAILED);
    mine = STEP; /* nobody */
    for (int i = 0; i < N_PAGES; i++)
        fill(i);
    for (int i = 0; i < N; i++)
        children[i] = tree_start(act);
    mine = 0;
    write_mine();
    for (int i = 0; i < N; i++)
        tree_ask(&children[i], (char)('1' + i));
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(n_right(), N_PAGES);
        for (int i = 0; i < N; i++)
            CHECK_EQ(tree_ask(&children[i], 'c').value, N_PAGES);
        turns++;
        write_mine();
        for (int i = 0; i < N; i++)
            tree_ask(&children[i], 't');
    }
    for (int i = 0; i < N; i++)
        CHECK_EQ(WEXITSTATUS(tree_end(&children[i])), 0);
    return tree_result();
}
