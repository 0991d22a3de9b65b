/*
 * checkpoint.h - a checkpoint, for those who take part in it
 *
 * crs_checkpoint() and the requests of programs that cooperate are both made of this. The hooks are
 * called while all processes stand still, from the thread that holds them; where the engine tries
 * again, because something was in the way for a moment, they are called again. What one returns
 * below 0 is the checkpoint's failure.
 */
#ifndef ENGINE_CHECKPOINT_H
#define ENGINE_CHECKPOINT_H

#include "engine/tree.h"

typedef int (*checkpoint_hook)(struct tree *tree, void *arg, struct crs_error *err);

struct checkpoint_request {
    const struct crs_checkpoint_options *options; /* all of this version's */
    const struct tree_choice *choice;             /* NULL: what the scope says */

    checkpoint_hook frozen; /* nothing was collected yet: what they write is saved */
    checkpoint_hook copied; /* all was, and they are about to go on */
    checkpoint_hook safe;   /* the snapshot is safe: they have gone on, unless: */
    void *arg;
    bool stream_left_out;           /* the processes' own descriptors of stream_fd aren't saved */
    bool tell_closed;               /* warn of connections that are saved as closed */
    struct memory_session *session; /* NULL: none */
    bool held_until_safe;           /* they go on only then; `frozen` may still set it */
};

/* CRS_USAGE: they exclude each other, or are none. */
int checkpoint_check_options(const struct crs_checkpoint_options *options, struct crs_error *err);
int checkpoint_check_pid(pid_t pid, const struct crs_checkpoint_options *options,
                         struct crs_error *err);

/* crs_checkpoint(), which goes by the session and leaves to it what the next one needs. One at a
 * time. */
struct memory_session;
int checkpoint_in_session(pid_t pid, const struct crs_checkpoint_options *options,
                          struct memory_session *session, struct crs_checkpoint_result *ret,
                          struct crs_error *err);

/* In the calling thread, which holds them with ptrace. `pid`: the first of them, for words. */
int checkpoint_run(pid_t pid, struct checkpoint_request *request, struct crs_checkpoint_result *ret,
                   struct crs_error *err);

#endif
