/*
 * snapshot.h - the records of a snapshot, loaded and checked against each other
 */
#ifndef ENGINE_SNAPSHOT_H
#define ENGINE_SNAPSHOT_H

#include "kobj/kobj.h"

struct loaded {
    struct store_reader *reader;
    bool lent; /* the reader is somebody else's */
    Crs__Tree *tree;
    Crs__Files *files;
    Crs__Memory *memory;
};

/* Open (or use `lent`, where not NULL, which stays the caller's), read the three records, check
 * that they fit together. CRS_DAMAGED. */
int loaded_open(const char *path, struct store_reader *lent, struct loaded *ret,
                struct crs_error *err);
void loaded_clear(struct loaded *loaded);

Crs__AddressSpace *loaded_space(const struct loaded *loaded, uint32_t id);

#endif
