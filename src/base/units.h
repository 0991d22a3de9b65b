/*
 * units.h - numbers with units, as people write and read them
 *
 *     int timeout_ms;
 *     r = parse_duration("1.5m", &timeout_ms);      // 90000
 *     char text[UNIT_TEXT_SIZE];
 *     printf("%s\n", format_size(1536, text));      // "1.5 KiB"
 */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stdint.h>

#define UNIT_TEXT_SIZE 32

/* A duration: a number, perhaps with a fraction, and ms, s, m or h; without a unit: seconds.
 * Rounded up to whole milliseconds. -EINVAL: no such thing (empty, sign, unknown unit, rest);
 * -ERANGE: more than an int of milliseconds holds (24 days). */
int parse_duration(const char *text, int *ret_ms);

/* A whole number without sign in decimal, up to `max`. -EINVAL, -ERANGE. */
int parse_number(const char *text, uint64_t max, uint64_t *ret);

/* A size: a number, perhaps with a fraction, and K, M, G or T, powers of 1024 (KiB, MiB, ... as
 * well); without a unit: bytes. Rounded up. -EINVAL: no such thing; -ERANGE: too much (2^63
 * bytes at the latest).
 */
int parse_size(const char *text, uint64_t *ret_bytes);

/* "17 B", "1.5 KiB", "2.3 GiB": three digits or so, binary units. Returns text. */
const char *format_size(uint64_t size_bytes, char text[UNIT_TEXT_SIZE]);

/* "730 µs", "4.2 ms", "1.7 s", "3 min 5 s", "2 h 12 min". Returns text. */
const char *format_us(uint64_t us, char text[UNIT_TEXT_SIZE]);

#endif
