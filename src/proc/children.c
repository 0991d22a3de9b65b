/* children.c - /proc/PID/task/TID/children: text in, struct out */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "children.h"

int proc_children_parse(const char *text, pid_t **ret, size_t *ret_n)
{
    size_t n = 0, room = strlen(text) / 2 + 1; /* a digit and a space for each, at least */
    pid_t *children = NULL;
    char *end;

    for (;; text = end) {
        text += strspn(text, " \n");
        if (!*text)
            break;
        long pid = strtol(text, &end, 10);
        if (end == text || pid <= 0 || pid > INT_MAX) {
            free(children);
            return -EINVAL;
        }
        if (!children && !(children = calloc(room, sizeof(*children))))
            return -ENOMEM;
        children[n++] = pid;
    }
    *ret = children;
    *ret_n = n;
    return 0;
}
