/*
 * numbers.h - lists of numbers that are small most of the time, in as few bytes as they need
 *
 * Coded as protobuf has them (varint): seven bits in a byte, the lowest first, and the eighth set
 * where more follow.
 */
#ifndef BASE_NUMBERS_H
#define BASE_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NUMBER_MAX_BYTES 10

struct numbers {
    uint8_t *data;
    size_t size, room;
};

/* Add one at the end. 0 or -ENOMEM. */
int numbers_add(struct numbers *numbers, uint64_t value);
void numbers_clear(struct numbers *numbers);

/* The number at *at, which is behind it then. False: there is no whole one before `end`, or it has
 * more than 64 bits. */
static inline bool number_get(const uint8_t **at, const uint8_t *end, uint64_t *ret)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return true;
        }
    }
    return false;
}

/* How many bytes, NUMBER_MAX_BYTES at most. */
static inline size_t number_put(uint8_t *to, uint64_t value)
{
    size_t n = 0;

    for (; value >= 0x80; value >>= 7)
        to[n++] = value | 0x80;
    to[n++] = value;
    return n;
}

/* Differences, of either sign (zigzag): small ones are small numbers. They wrap around. */
static inline uint64_t number_of_difference(uint64_t from, uint64_t to)
{
    uint64_t difference = to - from;

    return difference << 1 ^ (difference >> 63 ? UINT64_MAX : 0);
}

static inline uint64_t number_apply_difference(uint64_t from, uint64_t number)
{
    return from + (number >> 1 ^ (number & 1 ? UINT64_MAX : 0));
}

#endif
