/*
 * relocation.h - files that are somewhere else now: paths and what they become
 */
#ifndef BASE_RELOCATION_H
#define BASE_RELOCATION_H

#include "base/array.h"
#include "base/error.h"

struct relocation {
    char *text; /* as it was given, for words */
    char *from, *to;
    size_t from_length;
};

struct relocations {
    ARRAY_OF(struct relocation) array;
};

/*
 * "OLD=NEW": two absolute paths. '\=' stands for '=' and '\\' for '\'. OLD is canonical: without
 * "//", "." and ".." (a slash at its end is forgiven), since what the kernel calls a file is.
 * CRS_USAGE.
 */
int relocations_add(struct relocations *r, const char *text, struct crs_error *err);
void relocations_clear(struct relocations *r);

/* The first that matches whole leading names of an absolute path; NULL: none. */
const struct relocation *relocations_find(const struct relocations *r, const char *path);
/* What the path becomes, allocated; NULL: no memory. */
char *relocation_apply(const struct relocation *relocation, const char *path);

/* The text of a pair, with what must be escaped escaped; allocated; NULL: no memory. */
char *relocation_text(const char *from, const char *to);

#endif
