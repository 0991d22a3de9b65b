/*
 * layout.h - names of files in a snapshot, and the limits a reader insists on
 *
 * docs/format.md tells the same in words; change both.
 */
#ifndef STORE_LAYOUT_H
#define STORE_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#define MANIFEST_NAME    "manifest.json"
#define MANIFEST_REMOVED "manifest.json.removed" /* what remove() makes of it first */
#define LOCK_NAME        ".lock"                 /* held by the writer of a temporary directory */
#define STREAM_NAME      "stream"                /* a stream, in its temporary directory */
#define RECORD_SUFFIX    ".pb"
#define PACKS_RECORD     "packs"

#define FORMAT_NAME         "opencrs-snapshot"
#define MANIFEST_ENCRYPTION "encryption" /* a member of the manifest */
#define FEATURE_ENCRYPTION  "encryption" /* in its `requires` */

#define CHECKSUM_SIZE 16 /* XXH3-128, big endian */

#define LIMIT_MANIFEST_SIZE (16u << 20)
#define LIMIT_FILES         4096u /* in one snapshot */
#define LIMIT_PACKS         1024u
#define LIMIT_FILE_NAME     64u
#define LIMIT_CONTENT_SIZE  (1ull << 53) /* of a saved file */
#define LIMIT_PAGE          (1ull << 52) /* page numbers are below */
#define LIMIT_INLINE_SIZE   65536u
#define LIMIT_JOB_NAME      200u
#define LIMIT_SEQ           999999999u

/* Is it a name that a snapshot's files may have? NAME.pb; pages.N.pack */
bool layout_is_record(const char *name);
bool layout_is_pack(const char *name, uint32_t *ret_number);

/* Any file that may stand in the directory of a snapshot, finished or not. */
bool layout_is_ours(const char *name);

#endif
