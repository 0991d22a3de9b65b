/*
 * bytes_json.h - strings of any bytes in JSON, and back
 *
 * Names of files and command lines are bytes, JSON has Unicode text only. UTF-8 stays as it is; a
 * byte that is no part of it becomes U+0001 and the character of the byte's number, and U+0001
 * itself is doubled. So every string comes back as it was. For messages and files between our own
 * processes; what users read has question marks instead.
 */
#ifndef SERVICE_BYTES_JSON_H
#define SERVICE_BYTES_JSON_H

#include <jansson.h>

/* NULL without memory. */
json_t *bytes_to_json(const char *bytes);

/* Allocated. NULL where it is no such string, or without memory. */
char *bytes_from_json(const json_t *text);

#endif
