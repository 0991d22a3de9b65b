/* units.c - numbers with units, as people write and read them */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "array.h"
#include "units.h"

/* Digits of `*p`, perhaps with a point and more, as a number times 1000, rounded up. */
static int parse_thousandths(const char **p, uint64_t *ret)
{
    uint64_t whole = 0, fraction = 0, scale = 1, rest = 0;
    const char *s = *p;

    if (!isdigit((unsigned char)*s))
        return -EINVAL;
    for (; isdigit((unsigned char)*s); s++) {
        if (whole > UINT64_MAX / 100000)
            return -ERANGE;
        whole = whole * 10 + (*s - '0');
    }
    if (*s == '.') {
        if (!isdigit((unsigned char)*++s))
            return -EINVAL;
        for (; isdigit((unsigned char)*s); s++)
            if (scale < 1000) {
                fraction = fraction * 10 + (*s - '0');
                scale *= 10;
            } else if (*s != '0') {
                rest = 1;
            }
    }
    *p = s;
    *ret = whole * 1000 + fraction * (1000 / scale) + rest;
    return 0;
}

int parse_duration(const char *text, int *ret_ms)
{
    static const struct {
        const char *name;
        unsigned ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000}};
    uint64_t thousandths;
    int r = parse_thousandths(&text, &thousandths);

    if (r < 0)
        return r;
    for (size_t i = 0; i < ELEMENTS(units); i++) {
        if (strcmp(text, units[i].name) != 0)
            continue;
        if (thousandths > UINT64_MAX / units[i].ms - 999)
            return -ERANGE;
        uint64_t ms = (thousandths * units[i].ms + 999) / 1000;
        if (ms > INT_MAX)
            return -ERANGE;
        *ret_ms = (int)ms;
        return 0;
    }
    return -EINVAL;
}

int parse_size(const char *text, uint64_t *ret_bytes)
{
    static const char units[] = "KMGT";
    uint64_t thousandths;
    unsigned shift = 0;
    int r = parse_thousandths(&text, &thousandths);

    if (r < 0)
        return r;
    const char *unit = *text ? strchr(units, *text) : NULL;
    if (unit) {
        shift = 10 * (unsigned)(unit - units + 1);
        text += strcmp(text + 1, "iB") == 0 ? 3 : 1;
    }
    if (*text)
        return -EINVAL;
    __uint128_t bytes = (((__uint128_t)thousandths << shift) + 999) / 1000;
    if (bytes > INT64_MAX)
        return -ERANGE;
    *ret_bytes = (uint64_t)bytes;
    return 0;
}

int parse_number(const char *text, uint64_t max, uint64_t *ret)
{
    uint64_t n = 0;

    if (!*text)
        return -EINVAL;
    for (const char *s = text; *s; s++)
        if (!isdigit((unsigned char)*s))
            return -EINVAL;
    for (; *text; text++) {
        unsigned digit = *text - '0';
        if (n > (UINT64_MAX - digit) / 10)
            return -ERANGE;
        n = n * 10 + digit;
    }
    if (n > max)
        return -ERANGE;
    *ret = n;
    return 0;
}

/* `value` of `unit`s with one digit after the point below ten, else none. */
static void format_scaled(double value, const char *unit, char text[UNIT_TEXT_SIZE])
{
    snprintf(text, UNIT_TEXT_SIZE, value < 9.95 ? "%.1f %s" : "%.0f %s", value, unit);
}

const char *format_size(uint64_t size_bytes, char text[UNIT_TEXT_SIZE])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)size_bytes / 1024;
    size_t i = 0;

    if (size_bytes < 1024) {
        snprintf(text, UNIT_TEXT_SIZE, "%" PRIu64 " B", size_bytes);
        return text;
    }
    for (; value >= 1023.5 && i + 1 < ELEMENTS(units); i++)
        value /= 1024;
    format_scaled(value, units[i], text);
    return text;
}

const char *format_us(uint64_t us, char text[UNIT_TEXT_SIZE])
{
    uint64_t s = us / 1000000 + (us % 1000000 >= 500000);

    if (us < 1000)
        snprintf(text, UNIT_TEXT_SIZE, "%" PRIu64 " µs", us);
    else if (us < 999500)
        format_scaled((double)us / 1e3, "ms", text);
    else if (s < 60)
        format_scaled((double)us / 1e6, "s", text);
    else if (s < 3600)
        snprintf(text, UNIT_TEXT_SIZE, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
    else
        snprintf(text, UNIT_TEXT_SIZE, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
    return text;
}
