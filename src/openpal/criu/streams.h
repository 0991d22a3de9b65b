/*
 * streams.h - standard input, output and error that are pipes to somebody else
 *
 * CRIU restores such a pipe without its other end: the first line of output would end the program.
 * So their names are noted beside the image, and the restored process gets those of who restores
 * it.
 */
#ifndef OPENPAL_CRIU_STREAMS_H
#define OPENPAL_CRIU_STREAMS_H

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

#define STREAMS_FILE  "criu-streams"
#define STREAMS_COUNT 3

/* Of the process `pid` (0: the caller), into the directory. */
int streams_note(const char *directory, pid_t pid, struct crs_error *err);

struct streams_pipes {
    size_t n;
    int number[STREAMS_COUNT];   /* 0, 1 or 2 */
    char key[STREAMS_COUNT][48]; /* "pipe:[INODE]", each once */
};

/* Those that the caller has something for. -EBADMSG. */
int streams_read(const char *directory, struct streams_pipes *ret);

#endif
