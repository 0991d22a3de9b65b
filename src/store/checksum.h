/*
 * checksum.h - XXH3-128, as it is stored
 *
 * Canonical form: 16 bytes, big endian; in JSON 32 hexadecimal digits in lower case.
 */
#ifndef STORE_CHECKSUM_H
#define STORE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#include "store/layout.h"

#define CHECKSUM_TEXT_SIZE (2 * CHECKSUM_SIZE + 1)

void checksum_of(const void *data, size_t size, uint8_t ret[CHECKSUM_SIZE]);
/* Of the first size bytes of a file. 0 or -errno: a shorter one is -ENODATA. */
int checksum_of_file(int fd, uint64_t size, uint8_t ret[CHECKSUM_SIZE]);
void checksum_text(const uint8_t checksum[CHECKSUM_SIZE], char ret[CHECKSUM_TEXT_SIZE]);

#endif
