/* checksum.c - XXH3-128, as it is stored */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#if HAVE_XXH_DISPATCH
#include <xxh_x86dispatch.h> /* the same functions, by what this processor has: 4 times as fast */
#endif

#include "base/cleanup.h"
#include "base/io.h"
#include "checksum.h"

#define PIECE_SIZE (256u << 10)

void checksum_of(const void *data, size_t size, uint8_t ret[CHECKSUM_SIZE])
{
    XXH128_canonical_t canonical;

    XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, size));
    memcpy(ret, canonical.digest, CHECKSUM_SIZE);
}

int checksum_of_file(int fd, uint64_t size, uint8_t ret[CHECKSUM_SIZE])
{
    XXH3_state_t *state = XXH3_createState();
    _cleanup_free_ uint8_t *buffer = malloc(PIECE_SIZE);
    XXH128_canonical_t canonical;
    int r = state && buffer ? 0 : -ENOMEM;

    if (r == 0)
        XXH3_128bits_reset(state);
    for (uint64_t at = 0; r == 0 && at < size;) {
        size_t n = size - at < PIECE_SIZE ? size - at : PIECE_SIZE;
        r = pread_full(fd, buffer, n, at);
        if (r == 0)
            XXH3_128bits_update(state, buffer, n);
        at += n;
    }
    if (r == 0) {
        XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
        memcpy(ret, canonical.digest, CHECKSUM_SIZE);
    }
    XXH3_freeState(state);
    return r;
}

void checksum_text(const uint8_t checksum[CHECKSUM_SIZE], char ret[CHECKSUM_TEXT_SIZE])
{
    for (size_t i = 0; i < CHECKSUM_SIZE; i++)
        snprintf(ret + 2 * i, 3, "%02x", checksum[i]);
}
