/* layout.c - names of files in a snapshot */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"

bool layout_is_record(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_");

    return n > 0 && strlen(name) <= LIMIT_FILE_NAME && strcmp(name + n, RECORD_SUFFIX) == 0;
}

bool layout_is_pack(const char *name, uint32_t *ret_number)
{
    static const char prefix[] = "pages.";
    const char *digits = name + sizeof(prefix) - 1;

    if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
        return false;
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || n > 9 || digits[0] == '0' || strcmp(digits + n, ".pack") != 0)
        return false;
    if (ret_number)
        *ret_number = strtoul(digits, NULL, 10);
    return true;
}

bool layout_is_ours(const char *name)
{
    return layout_is_record(name) || layout_is_pack(name, NULL) ||
           strcmp(name, MANIFEST_NAME) == 0 || strcmp(name, MANIFEST_REMOVED) == 0 ||
           strcmp(name, STREAM_NAME) == 0 || strcmp(name, LOCK_NAME) == 0;
}
