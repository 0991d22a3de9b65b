/*
 * foreground.h - a program in the foreground is a job: known by name, supervised, ended with
 */
#ifndef CLI_FOREGROUND_H
#define CLI_FOREGROUND_H

#include <stdbool.h>

#include "base/error.h"
#include "service/job.h"

struct foreground {
    const char *command; /* "run" or "restart", for messages */
    bool json;
    char *name;
    char *store;             /* absolute */
    struct job_claim *claim; /* NULL: not known by name */
    struct job_claim *sign;  /* the same name in the default store, when this is another one */
    int listen_fd;
};

/* Make the program known as `name` in the store; supervised: by us, and listen for requests. */
int foreground_open(struct foreground *f, const char *store, const char *name, pid_t pid,
                    bool supervised, const char *program_words, struct crs_error *err);

/* The job stays known when this is closed: the program goes on without us. */
void foreground_keep(struct foreground *f);

/* Stay with the program until it ends, and end as it ended; takes the job away. Returns an exit
 * code only where that failed. */
int foreground_stay(struct foreground *f, struct crs_restarted *program);

void foreground_close(struct foreground *f);

/* The exit code of a failure of ours where other codes are the program's: usage and busy keep
 * theirs, and the others become 125. */
int foreground_exit_code(int code);

#endif
