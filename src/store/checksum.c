/* checksum.c - XXH3-128, as it is stored */
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "checksum.h"

void checksum_of(const void *data, size_t size, uint8_t ret[CHECKSUM_SIZE])
{
    XXH128_canonical_t canonical;

    XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, size));
    memcpy(ret, canonical.digest, CHECKSUM_SIZE);
}

void checksum_text(const uint8_t checksum[CHECKSUM_SIZE], char ret[CHECKSUM_TEXT_SIZE])
{
    for (size_t i = 0; i < CHECKSUM_SIZE; i++)
        snprintf(ret + 2 * i, 3, "%02x", checksum[i]);
}
