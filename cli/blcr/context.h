/*
 * context.h - where a context goes, and what becomes of what is there already
 *
 *     _cleanup_context_ struct context d = CONTEXT_INIT;
 *     r = context_open(&wish, &d, err);
 *     ... write to d.fd (or, with CONTEXT_DIRECTORY, make the directory d.written) ...
 *     r = context_publish(&d, err);     // now, and not before, it is there under its name
 *
 * Without context_publish() what was begun is removed again, and an older file stays as it is.
 * The one exception is asked for: a file that is written in place.
 */
#ifndef CLI_BLCR_CONTEXT_H
#define CLI_BLCR_CONTEXT_H

#include <stdbool.h>

#include "base/error.h"

enum context_kind {
    CONTEXT_FILE = 0,
    CONTEXT_FD,        /* an open descriptor: written as it is, no policy for old files */
    CONTEXT_DIRECTORY, /* a snapshot in its directory form */
};

enum context_policy {
    CONTEXT_ATOMIC = 0, /* a temporary file beside it takes its name when it is complete */
    CONTEXT_BACKUP,     /* the same, and the old file gets another name */
    CONTEXT_CLOBBER,    /* an old file is written over, in place */
    CONTEXT_NOCLOBBER,  /* there must be none */
};

struct context_wish {
    enum context_kind kind;
    const char *path;
    int fd;
    enum context_policy policy;
    const char *backup; /* the old file's new name; NULL: NAME.~N~, N the first that is free */
    bool sync;          /* it, and its name, are on the disk when it is published */
};

struct context {
    struct context_wish wish;
    char *path;    /* absolute, links followed; NULL for a descriptor */
    char *written; /* the path that is written meanwhile; may be `path` */
    int fd;        /* to write to; -1 for a directory */
    bool remove;   /* `written` goes if it isn't published */
    bool in_place; /* it is an older file, device or FIFO */
};

#define CONTEXT_INIT                                                                               \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

int context_open(const struct context_wish *wish, struct context *ret, struct crs_error *err);

/* The request was accepted: an older file that is written in place loses its content now. */
int context_begin(struct context *d, struct crs_error *err);

int context_publish(struct context *d, struct crs_error *err);

/* Remove what was begun, unless it was published. */
void context_close(struct context *d);
#define _cleanup_context_ __attribute__((cleanup(context_close)))

#endif
