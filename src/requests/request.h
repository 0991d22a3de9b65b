/*
 * request.h - a request and its processes, inside of this layer
 */
#ifndef REQUESTS_REQUEST_H
#define REQUESTS_REQUEST_H

#include "base/cooperation.h"
#include "engine/checkpoint.h"
#include "requests/requests.h"

enum member_state {
    MEMBER_NEW,
    MEMBER_PENDING,  /* it was told; waits until no critical section is held */
    MEMBER_RUNNER,   /* its callbacks of thread context are running */
    MEMBER_CALLED,   /* they have arrived, or there are none: waits for those of the others */
    MEMBER_THREADS,  /* its callbacks of signal context are running */
    MEMBER_READY,    /* nothing is left to wait for before it is saved */
    MEMBER_RELEASED, /* it knows the outcome: its callbacks go on to their end */
    MEMBER_DONE,     /* they have */
    MEMBER_GONE,     /* it has ended, or executed another program */
};

struct member {
    pid_t pid, inner_pid; /* as we see it, and it itself */
    pid_t tid;            /* of a thread that lives: its memory is read through it */
    int pidfd;
    uint64_t block; /* 0: there is none */
    enum member_state state;
    bool takes_part;  /* it has callbacks, and was told */
    bool told;        /* its block has our request */
    bool omitted;     /* by its callback: it is released, and not saved */
    bool told_failed; /* released with a failure */
    bool was_stopped; /* by a signal, when it was told: woken */
    bool signalled;   /* what was asked for was sent */
    pid_t runner_tid; /* as we see it; 0: it has none */
    uint32_t rounds;  /* of the block, when it was told */
    ARRAY_OF(pid_t) called;
};

struct request {
    const struct requests_checkpoint_options *options;
    struct requests_result *result;
    void (*accepted)(int error, void *arg);
    void *accepted_arg;
    bool has_accepted;
    uint64_t deadline_us;
    struct checkpoint_request *request; /* of the engine, while that is at work */

    ARRAY_OF(struct member) members;
    ARRAY_OF(struct tree_root) roots;
    ARRAY_OF(pid_t) omitted;
    pid_t requester;
    pid_t target;       /* the number that was named */
    bool has_called;    /* somebody has callbacks or a critical section to be waited for */
    bool again;         /* the freeze found somebody who has to be waited for */
    bool saved;         /* the snapshot is safe */
    bool knows_tracers; /* who traces others was looked for */
    bool kill;          /* a callback wants all killed */

    int stream_fd;      /* 0: none; owned where own_fd is */
    int own_fd;         /* -1: none */
    int directory_fd;   /* where own_fd's file was made; -1: nowhere */
    char file_name[32]; /* its name there */
    char destination[COOPERATION_PATH];

    char *log;
    size_t log_size;
    FILE *log_file;
};

/* An error code with words: logs a line, returns -code. */
int request_fail(struct request *q, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with an error that has its words already. */
int request_fail_with(struct request *q, int code, const struct crs_error *err);
void request_warn(struct request *q, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What requests call it. */
int request_code(int r, const struct crs_error *err);

/* -ETIMEDOUT, -ECANCELED: it is to be given up. */
int request_check_time(struct request *q);
/* now + 10 s, or when the time given is over */
uint64_t request_hold_until(const struct request *q);
void request_accept(struct request *q, int error);

/* ---- destination.c ---- */

int destination_open(struct request *q);
/* published: else what was made goes. */
void destination_close(struct request *q, bool published);

/* ---- targets.c: who is meant ---- */

/* The root of a scope, 0 target: the requester's own. -EINVAL, -ESRCH. */
int targets_root(struct request *q, unsigned scope, pid_t target, struct tree_root *ret);
/*
 * The processes of `choice`, while they run: may each be saved, and does it want to be? Who doesn't
 * is added to q->omitted. *ret_n: how many there were. CR_ENOSUPPORT, EPERM, EBUSY, EDEADLK, ...
 */
int targets_survey(struct request *q, const struct tree_choice *choice, size_t *ret_n);
/* Does it, which is held, trace others? CR_EPTRACER; 1: it's left out. Where they are known, that
 * was asked before. */
int targets_check_tracer(struct request *q, struct tracee *t);
/* The process with this number in the PID namespace of `of`; 0: there is none. */
pid_t targets_outer_pid(pid_t of, pid_t inner);
/* The number that `pid` has for process `of`; 0: it doesn't see it. */
pid_t targets_seen_by(pid_t of, pid_t pid);

/* ---- members.c: one process and its block ---- */

struct member *member_find(struct request *q, pid_t pid);
struct member *member_add(struct request *q, pid_t pid);
void member_clear(struct member *m);
bool member_has_ended(const struct member *m);
/* The words of the block, without the paths, whether it is held or not. -ESRCH: it isn't there. */
int member_read(const struct member *m, struct cooperation *ret);
/* Has it callbacks; or these, or critical sections to be waited for? */
bool member_has_callbacks(pid_t inner_pid, const struct cooperation *block);
bool member_wants(pid_t inner_pid, const struct cooperation *block);
/* Is it in somebody else's request? */
enum member_use {
    MEMBER_FREE,
    MEMBER_IN_USE,
    MEMBER_STALE, /* its tool is gone, and its callbacks are on their way back */
};
enum member_use member_use(pid_t pid, const struct cooperation *block);
/* The same while it runs: a stale one is waited for. -EBUSY. */
int member_check_free(struct request *q, pid_t pid, uint64_t address,
                      const struct cooperation *block);
/* Hold it. -ESRCH: it has ended, and is GONE now. */
int member_hold(struct request *q, struct member *m, struct tracee **ret);
int member_put(struct tracee *t, const struct member *m, size_t offset, uint32_t value,
               struct crs_error *err);
#define MEMBER_PUT(t, m, field, value, err)                                                        \
    member_put((t), (m), offsetof(struct cooperation, field), (uint32_t)(value), (err))
/* ---- phases.c ---- */

/* All that are held become members; where one of them has to be waited for (*ret_wait), or `all` is
 * set, all are told of the request. On failure nothing of them has changed. */
int phases_tell(struct request *q, struct tree *tree, bool all, bool *ret_wait);
/* Until all are READY. */
int phases_wait(struct request *q);
/* Hold what `choice` says, and tell. */
int phases_take(struct request *q, const struct tree_choice *choice);
/* Sleep a little, longer each time; wake when one ends. */
void phases_sleep(struct request *q, unsigned *sleep_us);

/* ---- forward.c ---- */

/* A callback of m asks for more processes. */
int forward_answer(struct request *q, struct member *m);

/* ---- outcome.c ---- */

/* It is held, and told how it ended; the callbacks go on when it does. */
int outcome_tell(struct request *q, struct member *m, struct tracee *t,
                 enum cooperation_outcome outcome, int code, struct crs_error *err);
/* The context is safe: its callbacks learn it. held: NULL where it goes on. */
void outcome_saved(struct request *q, struct member *m, struct tracee *held);
/* A callback of m wants it left out: it goes on. */
int outcome_omit(struct request *q, struct member *m);
/* All who were told and don't know yet: it failed. */
void outcome_fail_all(struct request *q, int code);
void outcome_kill_all(struct request *q);
/* Until all callbacks have come to their end; then the signal. given_up: no longer than a second,
 * which is no failure then. */
int outcome_wait(struct request *q, bool given_up);
/* One without callbacks gets it at once. */
void outcome_signal(struct request *q, struct member *m);

#endif
