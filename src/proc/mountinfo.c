/* mountinfo.c - a line of /proc/PID/mountinfo */
#include <stdio.h>
#include <sys/sysmacros.h>

#include "mountinfo.h"

static void unescape(char *path)
{
    unsigned code;
    size_t n = 0;

    for (const char *p = path; *p; n++) {
        if (*p == '\\' && sscanf(p, "\\%3o", &code) == 1) {
            path[n] = code;
            p += 4;
        } else {
            path[n] = *p++;
        }
    }
    path[n] = 0;
}

bool proc_mount_parse(const char *line, struct proc_mount *ret)
{
    unsigned major_number, minor_number;

    if (sscanf(line, "%u %*d %u:%u %4095s %4095s", &ret->id, &major_number, &minor_number,
               ret->root, ret->path) != 5)
        return false;
    ret->device = makedev(major_number, minor_number);
    unescape(ret->root);
    unescape(ret->path);
    return true;
}
