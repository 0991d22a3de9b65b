/*
 * relay.h - output of a restored process that goes on in the caller's file
 *
 * What was a pipe has to be something that CRIU can open anew: a file would then be written from
 * its beginning, and a socket can't be opened at all. So the process gets a pipe, and a process
 * beside it writes to the file what comes out of that, until its last writer is gone.
 */
#ifndef OPENPAL_CRIU_RELAY_H
#define OPENPAL_CRIU_RELAY_H

#include <stdbool.h>

#include "base/error.h"

struct relay {
    int pipe_fd;    /* to be written to; -1 */
    int control_fd; /* -1 */
};
#define RELAY_NONE                                                                                 \
    {                                                                                              \
        .pipe_fd = -1, .control_fd = -1                                                            \
    }

/* Does that descriptor of the caller's need one? */
bool relay_is_needed(int fd);

int relay_start(int fd, struct relay *ret, struct crs_error *err);

/* Waits until all that has been written to the pipe is in the file. */
void relay_flush(struct relay *relay);

/* The caller's ends; the relay goes on by itself. */
void relay_close(struct relay *relay);

#endif
