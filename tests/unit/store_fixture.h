/*
 * store_fixture.h - what the tests of snapshots on disk share
 *
 * fixture_snapshot() writes a small snapshot with everything in it: a tree, files, memory in
 * chunks of the codec, a file's content. All functions end the test when they can't.
 */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <cmocka.h>

#include "store/store.h"

enum fill { FILL_ZERO, FILL_TEXT, FILL_RANDOM, FILL_HALF };

/* A new directory; fixture_remove() takes it away with all that is in it. */
char *fixture_directory(void);
void fixture_remove(char *directory);
char *fixture_path(const char *directory, const char *name);

void fixture_fill(void *data, size_t size, enum fill fill, uint64_t seed);

/* Fails the test with the words of the error. */
void fixture_ok(int r, const struct crs_error *err, const char *what);

/* A chunk of `pages` pages filled like that, put; its run starts at page `first`. */
Crs__Chunk *fixture_chunk(struct store_writer *w, uint64_t first, size_t pages, enum fill fill,
                          uint64_t seed);

/* Put the records and chunks of the small snapshot. 0 or what the store said. */
int fixture_put(struct store_writer *w, struct crs_error *err);
json_t *fixture_info(void);

/* The small snapshot at `path`, complete. 0 or what the store said. */
int fixture_snapshot(const char *path, const char *compress, struct crs_error *err);

/* The same as a stream in the file `path`. */
int fixture_stream(const char *path, const char *compress, struct crs_error *err);

/* Open, verify and read everything of the snapshot at path. 0 or what the store said. */
int fixture_read(const char *path, struct crs_error *err);
int fixture_read_opened(struct store_reader *reader, struct crs_error *err);

/* Entries of a directory besides . and .., and of those what a reader opens as a snapshot. */
void fixture_count(const char *directory, unsigned *ret_entries, unsigned *ret_snapshots);

/* A whole file, read and written. */
void *fixture_load(const char *path, size_t *ret_size);
void fixture_save(const char *path, const void *data, size_t size);

#endif
