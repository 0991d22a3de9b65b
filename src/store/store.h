/*
 * store.h - snapshots on disk
 *
 * Purpose: write a snapshot so that it appears whole or not at all; read one without trust.
 * The layout is specified in docs/format.md; the records in proto/.
 *
 * Writing: store_writer_open() makes a hidden directory beside the final one; records, and
 * chunks of memory into packs; store_writer_publish() writes the manifest last, syncs everything
 * and renames the directory. Freeing an unpublished writer removes what it wrote.
 *
 * Reading: store_reader_open() reads the manifest and checks the length of every file;
 * store_get_record() checks the record's checksum, its limits and that nothing critical is
 * unknown; chunks are checked by store_read_chunk().
 *
 * Threads: store_put_chunk() and store_read_chunk() may be called from several threads at once.
 * Everything else from one.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include "base/array.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "content.pb-c.h"

#define STORE_PAGE_SIZE       4096u
#define STORE_CHUNK_PAGES     256u                                  /* at most, in one chunk */
#define STORE_CHUNK_SIZE      (STORE_CHUNK_PAGES * STORE_PAGE_SIZE) /* 1 MiB */
#define STORE_FORMAT_VERSION  1
#define STORE_RECORD_MAX_SIZE (1u << 30)

/* ---- writing ---- */

struct store_writer;

/* `path` is the directory to appear; it must not exist (-EEXIST). `compress` as in crs.h. */
int store_writer_open(const char *path, const char *compress, struct store_writer **ret,
                      struct crs_error *err);

/* How long what reads a stream is waited for. */
struct store_patience {
    const volatile int *cancel; /* NULL, or no longer than until it is non-zero */
    uint64_t deadline_us;       /* of now_us(); 0: none */
};

/* The same in stream form: a file to appear at `path`. */
int store_writer_open_file(const char *path, const char *compress,
                           const struct store_patience *patience, struct store_writer **ret,
                           struct crs_error *err);

/* The same into a descriptor, which stays the caller's: a pipe, a socket, a file, a device. What a
 * writer that fails has written there is no whole stream, for any reader. `path` is for words. */
int store_writer_open_fd(int fd, const char *path, const char *compress,
                         const struct store_patience *patience, struct store_writer **ret,
                         struct crs_error *err);

/* How fast it may write, and who goes before it. */
struct store_pace {
    uint64_t bytes_per_second;      /* to the destination, by all threads together; 0: no limit */
    struct store_patience patience; /* of waiting for the limit */
    bool nice;                      /* threads of the writer's own take the lowest priority */
};

/* Before anything is written, and before there is a base: all of it but the manifest is encrypted
 * with the key in that file. */
int store_writer_encrypt(struct store_writer *w, const char *key_file, struct crs_error *err);

/* Before anything is written. */
void store_writer_pace(struct store_writer *w, const struct store_pace *pace);

/*
 * Before the first chunk: those that the snapshot at `path` has as well aren't written again; the
 * new one gets links of its packs, and is complete by itself. Not for streams. *ret_reason: why
 * packs can't be linked, in words, so that all is written; kind 0: they are, or none is of use.
 */
int store_writer_set_base(struct store_writer *w, const char *path, struct crs_error *ret_reason,
                          struct crs_error *err);
/* The base's path; NULL: there is none, or nothing of it is of use. */
const char *store_writer_base(const struct store_writer *w);
/* Which snapshot that is, whatever its path; NULL: there is none. */
const char *store_writer_base_id(const struct store_writer *w);
/* The same of a snapshot. Allocated; NULL: it can't be read. */
char *store_snapshot_id(const char *path);
/* Is the chunk, which is one of the base, in the new snapshot, too, at the same place? Then records
 * may refer to it as to one that was put. */
bool store_keep_chunk(struct store_writer *w, const Crs__Chunk *chunk);

/* A chunk that was put before is referred to by one more message: it counts for the sizes. */
void store_refer_chunk(struct store_writer *w, const Crs__Chunk *chunk);
/* When published: bytes of files that it shares with others. */
uint64_t store_writer_linked_bytes(const struct store_writer *w);

/* Has anything been written that can't be taken back? */
bool store_writer_has_begun(const struct store_writer *w);
void store_writer_free(struct store_writer *w);
DEFINE_CLEANUP(struct store_writer, store_writer)

/* Write message as NAME.pb. */
int store_put_record(struct store_writer *w, const char *name, const ProtobufCMessage *message,
                     struct crs_error *err);

/*
 * Append one chunk: `raw` holds size bytes, a multiple of the page size, at most STORE_CHUNK_SIZE.
 * One with the same bytes that is there already is used again. Else it compresses where that makes
 * it smaller, checksums, and writes. Fills *ret (place, sizes, codec,
 * checksum of the stored bytes); its `runs` are the caller's. ret->checksum is allocated; free with
 * crs__chunk__free_unpacked or hand it to the message that owns the chunk.
 * `raw` should be page-aligned (faster).
 */
int store_put_chunk(struct store_writer *w, const void *raw, size_t size, Crs__Chunk *ret,
                    struct crs_error *err);

/* Save a file's bytes as content: data of `fd` (its holes take no space), size bytes from 0, as
 * fstat(2) tells. The position of fd stays. -EAGAIN: the file became shorter meanwhile. */
int store_put_content(struct store_writer *w, int fd, uint64_t size, Crs__Content **ret,
                      struct crs_error *err);
/* Only those pages of it, which may overlap and end behind the file; they are sorted. All others
 * are holes. */
int store_put_content_runs(struct store_writer *w, int fd, uint64_t size, Crs__Run *runs, size_t n,
                           Crs__Content **ret, struct crs_error *err);

/* A snapshot that refers to a chunk which was stored by another writer needs its codec, too. */
void store_writer_note_codec(struct store_writer *w, Crs__Codec codec);

/* Memory that the writer has for buffers and for the states of codecs; when nobody writes. */
uint64_t store_writer_buffer_bytes(struct store_writer *w);

/* Raw (uncompressed) and stored bytes of chunks so far. */
void store_writer_sizes(struct store_writer *w, uint64_t *ret_raw, uint64_t *ret_stored);

/*
 * `info` is an object whose members become the manifest's (what was saved: docs/format.md); the
 * writer adds format, files, time. Takes the reference. After this nothing can fail any more:
 * the snapshot is at `path`, synced.
 */
int store_writer_publish(struct store_writer *w, json_t *info, uint64_t *ret_size_bytes,
                         struct crs_error *err);

/* ---- reading ---- */

struct store_reader;

int store_reader_open(const char *path, struct store_reader **ret, struct crs_error *err);
/* A snapshot in stream form (or a directory) that an open descriptor is of, which stays the
 * caller's; `name` is for words. A pipe or a socket is read as far as the stream goes. */
int store_reader_open_fd(int fd, const char *name, struct store_reader **ret,
                         struct crs_error *err);
void store_reader_free(struct store_reader *r);
DEFINE_CLEANUP(struct store_reader, store_reader)

/* Before any record is read: is it encrypted, and do we have its key? Else it is asked for when the
 * first record is. */
bool store_reader_is_encrypted(const struct store_reader *r);
int store_reader_check_key(struct store_reader *r, struct crs_error *err);

const char *store_reader_path(const struct store_reader *r);
json_t *store_reader_manifest(const struct store_reader *r);    /* borrowed */
uint64_t store_reader_size_bytes(const struct store_reader *r); /* of all files */
/* Of these, what other snapshots have as well: removing this one frees the rest. */
uint64_t store_reader_shared_bytes(const struct store_reader *r);

/* Read NAME.pb; *ret is freed by protobuf_c_message_free_unpacked(). Kind CRS_DAMAGED. */
int store_get_record(struct store_reader *r, const char *name,
                     const ProtobufCMessageDescriptor *descriptor, ProtobufCMessage **ret,
                     struct crs_error *err);

bool store_has_record(const struct store_reader *r, const char *name);

/* Unpack a message that was stored as bytes inside another one, with the same checks. */
int store_unpack(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t size,
                 ProtobufCMessage **ret, struct crs_error *err);

/* Read, check and decompress one chunk into raw (chunk->raw_bytes; at most STORE_CHUNK_SIZE). */
int store_read_chunk(struct store_reader *r, const Crs__Chunk *chunk, void *raw,
                     struct crs_error *err);

/* Check a chunk's checksum without giving its data (for packs that are filled by remote pread). */
int store_check_chunk(struct store_reader *r, const Crs__Chunk *chunk, struct crs_error *err);

/* A descriptor of what pack number `pack` is in, owned by the reader. */
int store_reader_pack_fd(struct store_reader *r, uint32_t pack, int *ret_fd, struct crs_error *err);

/* Where in that the stored bytes of the chunk stand. */
int store_chunk_position(struct store_reader *r, const Crs__Chunk *chunk, uint64_t *ret_position,
                         struct crs_error *err);

/* Write content into `fd` (its size set, holes kept). */
int store_get_content(struct store_reader *r, const Crs__Content *content, int fd,
                      struct crs_error *err);

/* The same to `size` bytes of memory, which read as zeros where the content has holes. */
int store_get_content_to_memory(struct store_reader *r, const Crs__Content *content, void *memory,
                                size_t size, struct crs_error *err);

/* Every length and every checksum, of every file and every chunk. */
int store_verify(struct store_reader *r, crs_progress_fn progress, void *arg,
                 struct crs_error *err);

/* Write all of it, verified, into a new writer, and publish that. */
int store_copy(struct store_reader *r, struct store_writer *w, crs_progress_fn progress, void *arg,
               uint64_t *ret_size_bytes, struct crs_error *err);

/* ---- names ---- */

int store_root(const char *store, char **ret, struct crs_error *err); /* not created */
/* A job's name: letters, digits, . _ - +, not starting with . or -, at most 200 bytes. */
int store_check_name(const char *name, struct crs_error *err);
/* Make a directory and those above it, private (0700). Those that exist stay as they are. */
int store_make_directories(const char *path, struct crs_error *err);
/* STORE/NAME/SEQ with the next free SEQ; makes STORE and STORE/NAME (0700). */
int store_next_path(const char *store, const char *name, char **ret_path, unsigned *ret_seq,
                    struct crs_error *err);
/* After a failure: the directory of the job that `path` (of store_next_path) is in goes, where
 * nothing is in it and no job is about to begin there. */
void store_drop_path(const char *path);
/* The newest complete snapshot of that name. -ENOENT: there's none. */
int store_find_latest(const char *store, const char *name, char **ret_path, struct crs_error *err);
int store_resolve(const char *store, const char *spec, char **ret_path, struct crs_error *err);
int store_list(const char *store, const char *name, json_t **ret, struct crs_error *err);
int store_remove(const char *path, struct crs_error *err);

#endif
