/* igmp.c - /proc/net/igmp and igmp6: text in, array out */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "igmp.h"

static int add(const struct multicast_group *group, struct multicast_group **ret, size_t *ret_n)
{
    struct multicast_group *more = reallocarray(*ret, *ret_n + 1, sizeof(*more));

    if (!more)
        return -ENOMEM;
    more[*ret_n] = *group;
    *ret = more;
    *ret_n += 1;
    return 0;
}

static const char *next_line(const char *text)
{
    text += strcspn(text, "\n");
    return text + (*text == '\n');
}

/* "2\teth0      :     1      V3", then its groups: "\t\t\t\t010000E0     1 0:00000000\t\t0" */
int proc_igmp_parse(const char *text, struct multicast_group **ret, size_t *ret_n)
{
    struct multicast_group group = {.size = 4};
    uint32_t word;
    int r = 0;

    for (text = next_line(text); r == 0 && *text; text = next_line(text)) {
        if (*text != '\t') {
            if (sscanf(text, "%" SCNu32, &group.interface) != 1)
                return -EINVAL;
            continue;
        }
        if (sscanf(text, " %8" SCNx32, &word) != 1 || group.interface == 0)
            return -EINVAL;
        memcpy(group.address, &word, sizeof(word)); /* as it stands in memory */
        r = add(&group, ret, ret_n);
    }
    return r;
}

/* "2    eth0            ff020000000000000000000000000001     1 0000000C 0" */
int proc_igmp6_parse(const char *text, struct multicast_group **ret, size_t *ret_n)
{
    struct multicast_group group = {.size = 16};
    char digits[33];
    int r = 0;

    for (; r == 0 && *text; text = next_line(text)) {
        if (sscanf(text, "%" SCNu32 " %*s %32[0-9a-f]", &group.interface, digits) != 2 ||
            strlen(digits) != 32)
            return -EINVAL;
        for (int i = 0; i < 16; i++)
            sscanf(digits + 2 * i, "%2" SCNx8, &group.address[i]);
        r = add(&group, ret, ret_n);
    }
    return r;
}
