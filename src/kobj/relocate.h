/*
 * relocate.h - the records of a snapshot, for files that are somewhere else now
 *
 * The table of kinds says where a payload has paths.
 */
#ifndef KOBJ_RELOCATE_H
#define KOBJ_RELOCATE_H

#include "base/relocation.h"
#include "kobj/kobj.h"

/* A path that was changed, for words. */
struct kobj_moved {
    char *from, *to;
    const struct relocation *by;
};

struct kobj_relocating {
    const struct relocations *pairs;
    ARRAY_OF(struct kobj_moved) moved; /* each once */
};
void kobj_relocating_clear(struct kobj_relocating *r);

/* If one of the pairs matches *path, which is allocated: replace it. 0 or -ENOMEM with words. */
int kobj_relocate_path(struct kobj_relocating *r, char **path, struct crs_error *err);
/* All paths of a file, of a process's properties and of those of its threads. */
int kobj_relocate_file(struct kobj_relocating *r, Crs__OpenFile *record, struct crs_error *err);
int kobj_relocate_process(struct kobj_relocating *r, Crs__Process *process, struct crs_error *err);

#endif
