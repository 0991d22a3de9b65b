/*
 * memory_untrack.c - processes that were copied while they ran are tracked no more
 *
 * The kernel takes the marks away page by page, which takes some milliseconds for each 100 MiB. The
 * program runs by then, and nothing of the snapshot depends on it: so it is done beside what is
 * left to do.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/thread.h"
#include "memory_image.h"
#include "memory_live.h"

struct memory_untracking {
    pthread_t thread;
    ARRAY_OF(struct track *) tracks;
};

static void *untrack(void *arg)
{
    struct memory_untracking *u = arg;

    for (size_t i = 0; i < u->tracks.n; i++)
        track_free(u->tracks.items[i]);
    return NULL;
}

static bool is_over(const struct memory_live *live, bool all)
{
    return live && live->track && (all || !live->lasting);
}

void memory_untrack_begin(struct memory_set *set)
{
    struct memory_untracking *u = set->untracking ? NULL : calloc(1, sizeof(*u));

    if (!u) /* they are at the end */
        return;
    for (size_t i = 0; i < set->images.n; i++) {
        struct memory_live *live = set->images.items[i]->live;
        if (!is_over(live, false))
            continue;
        struct track **place = ARRAY_ADD(&u->tracks);
        if (place)
            *place = TAKE_PTR(live->track);
    }
    if (u->tracks.n > 0 && thread_start_worker(&u->thread, untrack, u) == 0) {
        set->untracking = u;
        return;
    }
    untrack(u);
    free(u->tracks.items);
    free(u);
}

void memory_untrack(struct memory_set *set)
{
    if (set->untracking) {
        pthread_join(set->untracking->thread, NULL);
        free(set->untracking->tracks.items);
        free(set->untracking);
        set->untracking = NULL;
    }
    for (size_t i = 0; i < set->images.n; i++)
        if (is_over(set->images.items[i]->live, true))
            track_free(TAKE_PTR(set->images.items[i]->live->track));
}
