/* undo.c - the changes made to a process, taken back newest first */
#include <stdlib.h>

#include "tracee/tracee.h"

struct undo {
    void (*function)(struct tracee *t, void *arg);
    void *arg;
    struct undo *older;
};

int tracee_undo_push(struct tracee *t, void (*undo)(struct tracee *t, void *arg), void *arg)
{
    struct undo *u = malloc(sizeof(*u));

    if (!u)
        return -ENOMEM;
    *u = (struct undo){undo, arg, t->undo};
    t->undo = u;
    return 0;
}

int tracee_undo_all(struct tracee *t, struct crs_error *err)
{
    int r = arch_calls_end(t->memory_of ? t->memory_of : t, err);

    if (t->memory_of) { /* what was changed in its memory is on the other's list */
        t->calls = NULL;
        t->scratch = t->scratch_size = 0;
    }
    while (t->undo) {
        struct undo *u = t->undo;

        t->undo = u->older;
        u->function(t, u->arg);
        free(u);
    }
    return r;
}
