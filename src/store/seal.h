/*
 * seal.h - encryption of what a snapshot holds
 *
 * Records and chunks are sealed each by itself: XChaCha20-Poly1305 with a random nonce, so that
 * nobody without the key can read them, nor change them unseen. The data key is random. It stands
 * in the manifest, sealed in its turn with the user's key, and is handed on to snapshots that share
 * packs. docs/format.md has the details.
 *
 * libsodium is loaded when it is needed first; a machine without it is told so.
 *
 * Threads: seal_data() and seal_open_data() may be called by several at once.
 */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

#define SEAL_BYTES     40u /* more than there was before */
#define SEAL_KEY_BYTES 32u

/* The user's key. */
struct seal_key {
    uint8_t bytes[SEAL_KEY_BYTES];
};

/* From a file of 32 bytes at least, all of which count. */
int seal_key_load(const char *path, struct seal_key *ret, struct crs_error *err);
/* For all snapshots that are read from now on by whoever names no key; NULL: $CRS_KEY_FILE. */
int seal_use_key_file(const char *path, struct crs_error *err);

/* Of one snapshot. */
struct seal;

int seal_new(const struct seal_key *key, struct seal **ret, struct crs_error *err);
/* The data key of a snapshot whose packs are used on. */
void seal_share(struct seal *seal, const struct seal *other);
/* For the manifest; NULL: no memory. */
json_t *seal_describe(const struct seal *seal);
/* What seal_describe() gave, of the snapshot at `path` (for words). key NULL: the one in use.
 * Kinds: CRS_NOT_PERMITTED: there is no key, or another one. */
int seal_from(const json_t *described, const char *path, const struct seal_key *key,
              struct seal **ret, struct crs_error *err);
void seal_free(struct seal *seal); /* NULL is nothing */
DEFINE_CLEANUP(struct seal, seal)

/* `out` has room for size + SEAL_BYTES, and may be `data`. `name` is what the bytes are: NULL for
 * chunks, which any snapshot with the same data key may have; else it is of this snapshot alone. */
void seal_data(const struct seal *seal, const char *name, const void *data, size_t size, void *out);
/* The other way round: size - SEAL_BYTES bytes come out. -EBADMSG: they have been changed. */
int seal_open_data(const struct seal *seal, const char *name, const void *data, size_t size,
                   void *out);

#endif
