/* pipe_places.c - the pipes of a snapshot, by their inodes: what was made, and who has the contents
 */
#include <stdlib.h>
#include <string.h>

#include "kobj/pipe.h"

struct pipe_place {
    uint64_t inode;
    const Crs__OpenFile *contents; /* the record that has them; NULL: none */
    struct pipe_made *made;        /* NULL: not yet */
};

struct pipe_places {
    size_t n;
    struct pipe_place items[]; /* by inode, each once */
};

static int compare(const void *a, const void *b)
{
    const struct pipe_place *x = a, *y = b;

    return (x->inode > y->inode) - (x->inode < y->inode);
}

/* Sorted: of those of one pipe the one with the contents stays. */
static void unite(struct pipe_places *places)
{
    size_t n = 0;

    qsort(places->items, places->n, sizeof(places->items[0]), compare);
    for (size_t i = 0; i < places->n; i++) {
        const struct pipe_place *place = &places->items[i];
        struct pipe_place *last = n > 0 ? &places->items[n - 1] : NULL;
        if (!last || last->inode != place->inode)
            places->items[n++] = *place;
        else if (!last->contents)
            last->contents = place->contents;
    }
    places->n = n;
}

/* A record that can't be unpacked is met again, and told of, when it is restored itself. */
static struct pipe_places *list_places(const Crs__Files *files)
{
    struct pipe_places *places =
        malloc(sizeof(*places) + files->n_files * sizeof(places->items[0]));

    if (!places)
        return NULL;
    places->n = 0;
    for (size_t i = 0; i < files->n_files; i++) {
        const Crs__OpenFile *record = files->files[i];
        Crs__Pipe *m;
        if (strcmp(record->kind, kobj_pipe.name) != 0 && strcmp(record->kind, kobj_fifo.name) != 0)
            continue;
        if (pipe_unpack(record, &m, NULL) < 0)
            continue;
        places->items[places->n++] =
            (struct pipe_place){.inode = m->inode, .contents = m->contents ? record : NULL};
        crs__pipe__free_unpacked(m, NULL);
    }
    unite(places);
    return places;
}

/* NULL: there's no memory, or no such pipe. */
static struct pipe_place *find_place(struct kobj_restore *ctx, uint64_t inode)
{
    const struct pipe_place key = {.inode = inode};

    if (!ctx->pipes)
        ctx->pipes = list_places(ctx->files);
    struct pipe_places *places = ctx->pipes;
    return places && places->n > 0 ? bsearch(&key, places->items, places->n, sizeof(key), compare)
                                   : NULL;
}

struct pipe_made *pipe_find_made(struct kobj_restore *ctx, uint64_t inode)
{
    const struct pipe_place *place = find_place(ctx, inode);

    return place ? place->made : NULL;
}

struct pipe_made *pipe_add_made(struct kobj_restore *ctx, uint64_t inode)
{
    struct pipe_place *place = find_place(ctx, inode);

    if (!place)
        return NULL;
    struct pipe_made *p = malloc(sizeof(*p));
    if (!p)
        return NULL;
    *p = (struct pipe_made){.inode = inode, .reader = -1, .writer = -1, .next = place->made};
    place->made = p;
    return p;
}

const Crs__PipeContents *pipe_find_contents(struct kobj_restore *ctx, uint64_t inode,
                                            Crs__Pipe **ret_owner)
{
    const struct pipe_place *place = find_place(ctx, inode);
    Crs__Pipe *m;

    if (!place || !place->contents || pipe_unpack(place->contents, &m, NULL) < 0)
        return NULL;
    *ret_owner = m;
    return m->contents;
}

void pipe_restore_end(struct kobj_restore *ctx)
{
    struct pipe_places *places = ctx->pipes;

    for (size_t i = 0; places && i < places->n; i++)
        while (places->items[i].made) {
            struct pipe_made *p = places->items[i].made;
            places->items[i].made = p->next;
            cleanup_close(&p->reader);
            cleanup_close(&p->writer);
            free(p);
        }
    free(places);
    ctx->pipes = NULL;
}
