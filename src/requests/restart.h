/*
 * restart.h - a restart as libcr's interface and cr_restart mean it
 *
 * crs_restart(), and what BLCR's interface promises beyond it: the programs are told who asked, the
 * restart isn't done before their callbacks have come to their end, one that fails fails the
 * restart as a whole, and a signal may follow.
 *
 * Calling sequence: requests_restart() runs in the calling thread; SIGCHLD must not be ignored
 * meanwhile. What was started is a child of the caller, to be waited for by crs_restart_wait(). On
 * failure nothing is left of the program.
 */
#ifndef REQUESTS_RESTART_H
#define REQUESTS_RESTART_H

#include "crs.h"

struct requests_restart_options {
    const char *path; /* of the context; NULL: it is read from */
    int fd;
    const char *name; /* of what fd is, for words; NULL: its path */
    unsigned flags;   /* CR_RSTRT_RESTORE_* */
    int signal;       /* to each process, after its callbacks; below 0: -signal, as soon as they
                         run: then their callbacks aren't waited for; 0: none */
    pid_t requester;  /* who asked, as cr_get_restart_info() tells it; 0: the caller */
    const char *const *relocate; /* as of crs_restart_options */
    size_t n_relocate;
    const char *const *fds; /* likewise */
    size_t n_fds;
    bool detach;     /* the caller will end before the program */
    bool own_clocks; /* as of restart_extras: a checkpoint may take it along with the caller */
    const volatile int *cancel;  /* not NULL: give up when it becomes non-zero; ECANCELED */
    void (*accepted)(void *arg); /* all processes have been made, under their numbers */
    void *accepted_arg;
    crs_progress_fn progress;
    void *progress_arg;
};
#define REQUESTS_RESTART_OPTIONS_INIT                                                              \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

struct requests_restarted {
    struct crs_restarted program;
    bool of_init; /* the root had been a child of init */
    int error;    /* 0, an errno value or CR_E* */
    char *log;    /* a line for each warning and error; NULL: none. Freed by the caller. */
    unsigned n_processes;
};

/*
 * 0, or a negative value: ret->error says how the field calls it, ret->log and err->text say it in
 * words. *ret is set in any case.
 */
int requests_restart(const struct requests_restart_options *options, struct requests_restarted *ret,
                     struct crs_error *err);

/* The errno value or CR_E* that stands for a failed restart. */
int requests_restart_error(const struct crs_error *err);

#endif
