/*
 * memory_hot.c - which pages are written to while a process is copied
 *
 * A restart that fills memory as it is used, or in the background, begins with these.
 */
#include <stdlib.h>

#include "memory_live.h"

#define MAX_RUNS 4096

int live_note_round(struct memory_live *live)
{
    struct page_runs *round = ARRAY_ADD(&live->rounds);

    if (!round)
        return -ENOMEM;
    *round = (struct page_runs){0};
    return page_runs_unite(round, &live->marked);
}

void live_forget_rounds(struct memory_live *live)
{
    for (size_t i = 0; i < live->rounds.n; i++)
        page_runs_clear(&live->rounds.items[i]);
    free(live->rounds.items);
}

static int add_run(Crs__AddressSpace *space, const struct page_run *pages)
{
    Crs__Run *run = malloc(sizeof(*run));

    if (!run)
        return -ENOMEM;
    crs__run__init(run);
    run->first = pages->first;
    run->count = pages->count;
    space->hot[space->n_hot++] = run;
    return 0;
}

/* Those of the round that weren't written to later. */
static int add_round(Crs__AddressSpace *space, const struct page_runs *round,
                     struct page_runs *known)
{
    _cleanup_page_runs_ struct page_runs more = {0};
    int r = page_runs_subtract(round, known, &more);
    struct page_runs_at at = page_runs_begin(&more);
    struct page_run run;

    while (r == 0 && space->n_hot < MAX_RUNS && page_runs_next(&at, &run))
        r = add_run(space, &run);
    return r == 0 ? page_runs_unite(known, &more) : r;
}

int live_record_hot(const struct memory_live *live, Crs__AddressSpace *space)
{
    _cleanup_page_runs_ struct page_runs known = {0};

    space->hot = calloc(MAX_RUNS, sizeof(*space->hot));
    if (!space->hot)
        return -ENOMEM;
    int r = add_round(space, &live->late, &known);
    for (size_t i = live->rounds.n; r == 0 && i-- > 0;)
        r = add_round(space, &live->rounds.items[i], &known);
    return r;
}
