/*
 * message.h - protobuf messages from a hostile world
 *
 * message_scan() walks the bytes by the descriptor before anything is allocated: lengths, counts,
 * strings, enums, and nothing unknown with a number below 1000. message_unpack() scans, unpacks,
 * and checks what all messages with chunks have in common.
 */
#ifndef STORE_MESSAGE_H
#define STORE_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "base/error.h"
#include "content.pb-c.h"

/* What a pack has, to check chunks against; 0: no such pack. */
typedef uint64_t (*pack_size_fn)(void *arg, uint32_t number);

/* `kind` is the class of the failure: CRS_DAMAGED when reading. What is unknown makes it
 * CRS_CANT_RESTART then: the checksum has shown that it is meant. */
int message_scan(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t size,
                 enum crs_kind kind, struct crs_error *err);

/* pack_size NULL: chunks are checked for what they say of themselves only. */
int message_unpack(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t size,
                   pack_size_fn pack_size, void *arg, ProtobufCMessage **ret,
                   struct crs_error *err);

/* Check every list of chunks in the message, at any depth. */
int message_check_chunks(const ProtobufCMessage *message, pack_size_fn pack_size, void *arg,
                         struct crs_error *err);

/* What a chunk says of itself: sizes, alignment, runs. Its codec is a known one (scanned). */
int chunk_check(const Crs__Chunk *chunk, struct crs_error *err);

#endif
