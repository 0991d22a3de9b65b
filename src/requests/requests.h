/*
 * requests.h - a checkpoint as libcr's interface and cr_checkpoint mean it
 *
 * Purpose: the tool's side of base/cooperation.h. Find the processes of a request, have each run
 * its callbacks to their barrier, save all of them, let them go on, and wait until their callbacks
 * have come to their end.
 *
 * Calling sequence: requests_checkpoint() does all of it and returns when it is done. It works in a
 * thread of its own, unless `here` is set; `accepted`, `progress` are called from there. Whatever
 * fails, all processes go on, unless a callback wants them killed.
 *
 * Errors are errno values and CR_E* of libcr.h, positive, in ret->error; in words they are in
 * ret->log, a line each, with the warnings.
 */
#ifndef REQUESTS_REQUESTS_H
#define REQUESTS_REQUESTS_H

#include "base/request_page.h"
#include "crs.h"

struct requests_result;

struct requests_checkpoint_options {
    unsigned scope;  /* CR_SCOPE_* */
    pid_t target;    /* a process, group or session, by the scope; 0: the requester's own */
    pid_t requester; /* who asks; 0: the caller. It may be a target itself. */
    pid_t tool;      /* a process that waits for this call, as of crs_checkpoint_options; 0: none */
    int signal;      /* to each process, after its callbacks; below 0: -signal before they go on
                        from the barrier; 0: none */
    unsigned flags;  /* CR_CHKPT_*, REQUEST_ANY */
    int fd;          /* where the context goes; a directory: context.TARGET in there; -1: */
    const char *output;      /* the path to make */
    enum crs_form form;      /* of `output` */
    const char *destination; /* the path that callbacks are told; NULL: that of fd or output */
    unsigned timeout_s;      /* 0: none */
    const char *compress;    /* as of crs_checkpoint_options */
    crs_progress_fn progress;
    void *progress_arg;
    const volatile int *cancel;
    bool here; /* the calling process has nothing else to do, and ends soon: no thread is made */
    /* The context is whole, and no signal has followed yet: give it its name. Below 0: the request
     * fails with that. In the thread of `accepted`, with its `arg`; NULL: nothing is to be done. */
    int (*safe)(void *arg, struct crs_error *err);
    /* The context is safe, its only process is the requester, and all that is left is that its
     * callbacks come to their ends: then `rounds` of its block isn't this any more. result: as it
     * will be unless they fail. Likewise; NULL: who asked waits for the end of the call. */
    void (*ending)(const struct requests_result *result, uint32_t rounds, void *arg);
};
#define REQUESTS_CHECKPOINT_OPTIONS_INIT                                                           \
    {                                                                                              \
        .fd = -1, .form = CRS_FORM_STREAM                                                          \
    }

struct requests_result {
    int error;            /* 0: done */
    char *log;            /* NULL: no messages */
    unsigned n_processes; /* that were saved */
    uint64_t size_bytes, pause_us;
};
void requests_result_clear(struct requests_result *result);

/*
 * 0, or -1 with ret->error set; *ret is set in any case, and cleared by requests_result_clear().
 * accepted (may be NULL) is called once: with 0 when the targets are known and taken, or with the
 * error that the request fails with before that. With CR_CHKPT_ASYNC_ERR it is 0 at once.
 */
int requests_checkpoint(const struct requests_checkpoint_options *options,
                        struct requests_result *ret, void (*accepted)(int error, void *arg),
                        void *arg);

#endif
