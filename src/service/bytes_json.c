/* bytes_json.c - strings of any bytes in JSON, and back */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "bytes_json.h"

#define ESCAPE 1

/* The length of the UTF-8 character at p, 0 where it's none. The shortest form only, as JSON's
 * readers demand. */
static size_t character_length(const unsigned char *p)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (p[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] >= 0xa0;
    bool beyond = p[0] == 0xf4 && p[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : n;
}

json_t *bytes_to_json(const char *bytes)
{
    _cleanup_free_ char *text = malloc(3 * strlen(bytes) + 1);
    char *to = text;

    if (!text)
        return NULL;
    for (const unsigned char *p = (const unsigned char *)bytes; *p;) {
        size_t n = character_length(p);
        if (n == 0) {
            *to++ = ESCAPE;
            *to++ = (char)(0xc0 | *p >> 6);
            *to++ = (char)(0x80 | (*p & 0x3f));
            p++;
            continue;
        }
        if (*p == ESCAPE)
            *to++ = ESCAPE;
        memcpy(to, p, n);
        to += n;
        p += n;
    }
    return json_stringn(text, to - text);
}

char *bytes_from_json(const json_t *text)
{
    const char *from = json_string_value(text);
    char *bytes = from ? malloc(strlen(from) + 1) : NULL, *to = bytes;

    if (!bytes || strlen(from) != json_string_length(text)) {
        free(bytes);
        return NULL;
    }
    while (*from) {
        const unsigned char *p = (const unsigned char *)from;
        if (p[0] != ESCAPE) {
            *to++ = *from++;
        } else if (p[1] == ESCAPE) {
            *to++ = ESCAPE;
            from += 2;
        } else if ((p[1] & 0xfc) == 0xc0 && p[2]) {
            *to++ = (char)(p[1] << 6 | (p[2] & 0x3f));
            from += 3;
        } else {
            free(bytes);
            return NULL;
        }
    }
    *to = 0;
    return bytes;
}
