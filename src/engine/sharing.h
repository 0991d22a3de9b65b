/*
 * sharing.h - what processes of a snapshot share without being threads of one
 *
 * In the record it stands with the first process that has it. In memory each of them has the
 * descriptors, so that whoever looks for one finds it with any of them.
 */
#ifndef ENGINE_SHARING_H
#define ENGINE_SHARING_H

#include "kobj/kobj.h"

/* Before the tree is written. */
void sharing_reduce(Crs__Tree *tree);
/* After it was read: check, and fill in. CRS_DAMAGED, `where`: the snapshot. */
int sharing_expand(Crs__Tree *tree, const char *where, struct crs_error *err);

/* Does any process share something? */
bool sharing_is_there(const Crs__Tree *tree);

/*
 * first[i * KOBJ_N_SHARED + what]: the position of the first process of the tree that has the same
 * as process i; i itself where it is that one. The caller frees. NULL: no memory.
 */
size_t *sharing_firsts(const Crs__Tree *tree);

#endif
