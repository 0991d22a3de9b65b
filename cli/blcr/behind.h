/*
 * behind.h - work that is done in a process of its own behind the tool that the user sees
 *
 * Between a thread's stop and the repair of the system call that the stop interrupted, the death of
 * the tracer would be seen by the program. So the tracer is no process that a user sees and kills,
 * but a child in a session of its own. The end of the tool makes it cancel, clean up and go.
 */
#ifndef CLI_BLCR_BEHIND_H
#define CLI_BLCR_BEHIND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BEHIND_LOG 61440

struct behind_answer { /* in memory that both share */
    bool done;
    bool in_words; /* `words` say all of the failure */
    int error;     /* 0, an errno value or CR_E* */
    unsigned n_processes;
    uint64_t size_bytes, pause_us;
    char words[1024];
    char path[4096]; /* of the context; "": it has none */
    char log[BEHIND_LOG];
};

typedef void (*behind_fn)(struct behind_answer *ret, pid_t tool, const volatile int *cancel,
                          void *arg);

/*
 * Let `work` run there, and wait for it. SIGINT, SIGTERM and SIGHUP cancel it; *ret_signal is the
 * one that came, or 0. NULL: it could not be started (errno). The answer stays.
 */
const struct behind_answer *behind_run(behind_fn work, void *arg, int *ret_signal);

#endif
