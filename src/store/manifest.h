/*
 * manifest.h - the file that makes a directory a snapshot
 *
 * A JSON object. Its last member is the checksum of all bytes before the comma in front of it, so
 * that it can be checked before it is parsed.
 */
#ifndef STORE_MANIFEST_H
#define STORE_MANIFEST_H

#include <jansson.h>

#include "base/array.h"
#include "base/error.h"
#include "store/checksum.h"
#include "store/layout.h"

struct manifest_file {
    char name[LIMIT_FILE_NAME + 1];
    uint64_t size_bytes;
    uint8_t checksum[CHECKSUM_SIZE];
    bool has_checksum;
    uint32_t pack; /* number; 0: a record */
};

struct manifest {
    json_t *json;
    ARRAY_OF(struct manifest_file) files;
    uint64_t memory_bytes;
    size_t size_bytes; /* of the manifest itself */
};

void manifest_clear(struct manifest *manifest);

/* The text of the manifest, with its checksum. */
int manifest_seal(const json_t *json, struct bytes *ret, struct crs_error *err);

/* Check and parse. CRS_DAMAGED; CRS_CANT_RESTART for what a newer version wrote. */
int manifest_parse(const void *text, size_t size, struct manifest *ret, struct crs_error *err);

#endif
