/*
 * ask.h - asking a process for a checkpoint of itself
 */
#ifndef CLI_OPENPAL_ASK_H
#define CLI_OPENPAL_ASK_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "cli/openpal/target.h"

enum ask_state {
    ASK_REQUESTED = 1,
    ASK_PENDING, /* `words`: why */
    ASK_RUNNING,
    ASK_ESTABLISHED,
    ASK_CONTINUING,
    ASK_STOPPED,
    ASK_TERMINATED,
    ASK_ERROR,
};

struct ask {
    unsigned flags;      /* PROTOCOL_* */
    uint64_t timeout_ms; /* until the save begins; 0: without limit */
    const char *name, *where, *tmp_dir;
    void (*each)(enum ask_state state, const char *words, void *arg);
    void *arg;
};

struct ask_result {
    char handle[PATH_MAX];
    bool established; /* there is a snapshot, also where an error came afterwards */
    bool saving;      /* the save has begun: nothing cancels it any more */
    int signal;       /* the one that ended the wait; 0 */
};

/* 0, or -errno with words; -EINTR: a signal came. */
int ask_process(const struct target *target, const struct ask *ask, struct ask_result *ret,
                struct crs_error *err);

#endif
