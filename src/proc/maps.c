/* maps.c - the text of /proc/PID/maps */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "maps.h"

static const char deleted_suffix[] = " (deleted)";

/* A number in hex (or decimal), at most 16 digits; *p is moved behind it. */
static bool take_number(char **p, int base, uint64_t *ret)
{
    char *start = *p;

    *ret = 0;
    for (;; (*p)++) {
        int c = **p;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
        if (digit >= base)
            break;
        if (*p - start >= (base == 16 ? 16 : 19))
            return false;
        *ret = *ret * base + digit;
    }
    return *p > start;
}

static bool take_char(char **p, char c)
{
    if (**p != c)
        return false;
    (*p)++;
    return true;
}

static bool take_permissions(char **p, struct proc_map *map)
{
    char *c = *p;

    if (strnlen(c, 4) < 4 || (c[3] != 's' && c[3] != 'p'))
        return false;
    map->protection = (c[0] == 'r' ? PROT_READ : 0) | (c[1] == 'w' ? PROT_WRITE : 0) |
                      (c[2] == 'x' ? PROT_EXEC : 0);
    map->shared = c[3] == 's';
    *p += 4;
    return true;
}

/* The kernel writes a line feed in a name as \012, and nothing else that way. */
static void unescape(char *name)
{
    char *to = name;

    for (char *from = name; *from; to++) {
        if (memcmp(from, "\\012", strnlen(from, 4)) == 0 && strnlen(from, 4) == 4) {
            *to = '\n';
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = 0;
}

int proc_map_parse_line(char *line, struct proc_map *ret)
{
    struct proc_map map = {0};
    uint64_t major, minor;
    char *p = line;

    if (!take_number(&p, 16, &map.start) || !take_char(&p, '-') || !take_number(&p, 16, &map.end) ||
        !take_char(&p, ' ') || !take_permissions(&p, &map) || !take_char(&p, ' ') ||
        !take_number(&p, 16, &map.offset) || !take_char(&p, ' ') || !take_number(&p, 16, &major) ||
        !take_char(&p, ':') || !take_number(&p, 16, &minor) || !take_char(&p, ' ') ||
        !take_number(&p, 10, &map.inode))
        return -EINVAL;
    if (map.start >= map.end || (map.start | map.end | map.offset) & 4095)
        return -EINVAL;
    map.dev = makedev(major, minor);
    p += strspn(p, " ");
    unescape(p);
    map.name = p;
    map.end_of_path = p + strlen(p);
    if (proc_map_marked_deleted(&map))
        map.end_of_path -= sizeof(deleted_suffix) - 1;
    *ret = map;
    return 0;
}

bool proc_map_marked_deleted(const struct proc_map *map)
{
    size_t n = strlen(map->name), k = sizeof(deleted_suffix) - 1;

    return n > k && strcmp(map->name + n - k, deleted_suffix) == 0;
}

static int parse_lines(char *text, struct proc_maps *maps)
{
    uint64_t end = 0;

    for (char *line = text, *next; *line; line = next) {
        next = strchrnul(line, '\n');
        if (*next)
            *next++ = 0;
        struct proc_map *map = ARRAY_ADD(maps);
        if (!map)
            return -ENOMEM;
        if (proc_map_parse_line(line, map) < 0 || map->start < end) {
            maps->n--;
            return -EINVAL;
        }
        end = map->end;
    }
    return 0;
}

int proc_maps_parse(const char *text, size_t size, struct proc_maps *ret, struct crs_error *err)
{
    _cleanup_proc_maps_ struct proc_maps maps = {.text = strndup(text, size)};

    if (!maps.text)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of mappings");
    int r = parse_lines(maps.text, &maps);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't understand line %zu of maps", maps.n + 1);
    proc_maps_clear(ret);
    *ret = maps;
    maps = (struct proc_maps){0};
    return 0;
}

void proc_maps_clear(struct proc_maps *maps)
{
    free(maps->items);
    free(maps->text);
    *maps = (struct proc_maps){0};
}

bool proc_map_equal(const struct proc_map *a, const struct proc_map *b)
{
    return a->start == b->start && a->end == b->end && a->protection == b->protection &&
           a->shared == b->shared && a->offset == b->offset && a->dev == b->dev &&
           a->inode == b->inode && strcmp(a->name, b->name) == 0;
}
