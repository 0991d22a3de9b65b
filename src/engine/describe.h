/*
 * describe.h - what a snapshot holds, as JSON
 */
#ifndef ENGINE_DESCRIBE_H
#define ENGINE_DESCRIBE_H

#include <jansson.h>
#include "memory.pb-c.h"

/* Text from a program or a file name; what isn't UTF-8 becomes question marks. */
json_t *describe_text(const char *text);

/* Address spaces by kind: how many mappings, their bytes, and how many of those were saved. */
json_t *describe_memory(const Crs__Memory *memory);

/* The files that must be there at a restart. */
json_t *describe_mapped_files(const Crs__Memory *memory);

#endif
