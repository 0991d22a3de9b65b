/*
 * maps.h - the text of /proc/PID/maps
 */
#ifndef PROC_MAPS_H
#define PROC_MAPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/array.h"
#include "base/error.h"

/* One mapping. */
struct proc_map {
    uint64_t start, end; /* page-aligned, start < end */
    uint32_t protection; /* PROT_* */
    bool shared;
    uint64_t offset;
    dev_t dev;
    uint64_t inode;   /* 0: no file */
    const char *name; /* a path, "[stack]", ...; "" when there is none. The kernel's escape of a
                       * line feed is undone. Points into the text of the struct proc_maps. */
    const char *end_of_path; /* where " (deleted)" begins in name; its end when there's none */
};

struct proc_maps {
    struct proc_map *items;
    size_t n, room;
    char *text;
};

/* Parse all lines. `text` needs no 0 at its end; it is copied. Mappings are in order of their
 * addresses, and don't overlap. -EINVAL with the line's number in words. */
int proc_maps_parse(const char *text, size_t size, struct proc_maps *ret, struct crs_error *err);
void proc_maps_clear(struct proc_maps *maps);
#define _cleanup_proc_maps_ __attribute__((cleanup(proc_maps_clear)))

/* Parse one line, which is changed (its name is unescaped in place); 0 or -EINVAL. */
int proc_map_parse_line(char *line, struct proc_map *ret);

/* The same mapping of the same thing? */
bool proc_map_equal(const struct proc_map *a, const struct proc_map *b);

/* Does the name end in " (deleted)"? (A file may really be called so.) */
bool proc_map_marked_deleted(const struct proc_map *map);

#endif
