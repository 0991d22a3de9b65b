/*
 * snapshot.h - what crs.h calls a snapshot
 */
#ifndef STORE_SNAPSHOT_H
#define STORE_SNAPSHOT_H

#include "store/store.h"

struct crs_snapshot {
    struct store_reader *reader;
};

#endif
