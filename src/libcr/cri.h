/*
 * cri.h - what the files of libcr share
 *
 * Everything here is hidden from programs. Most of it may run in a callback's context, which can be
 * in the middle of anything the program does: no memory is allocated there, no descriptor opened,
 * errno is kept, and nothing is locked. What changes tables (callbacks, hooks) does so inside of a
 * critical section, while no callback can run.
 */
#ifndef LIBCR_CRI_H
#define LIBCR_CRI_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cooperation.h"
#include "libcr.h"

/* How often a wait looks whether the tool lives, and how often at most where it can't be seen. */
#define CRI_LOOK_MS      250
#define CRI_LOOKS_UNSEEN 240
#define CRI_LOOKS_HELD   40

struct cri_callback {
    cr_callback_t func; /* NULL: disabled */
    void *arg;
};

struct cri_callbacks {
    struct cri_callback *list;
    unsigned count, room;
};

/* A callback that runs: on the stack of its thread. */
struct cri_frame {
    struct cri_frame *up;
    unsigned index;
    bool called; /* cr_checkpoint(), by it or for it */
};

/* One thread's callbacks in one round, and where it is in them. */
struct cri_group {
    struct cri_callbacks *callbacks;
    struct cri_frame *frame; /* the innermost that runs */
    unsigned next;           /* callbacks below this one have not run */
    int context;             /* CR_THREAD_CONTEXT, CR_SIGNAL_CONTEXT, 0: no callbacks */
    uint32_t outcome;        /* COOPERATION_NONE: not known yet */
    int result;              /* what cr_checkpoint() returns */
    int errnum;              /* of the program */
    uint32_t rounds;         /* the block's, until the round ends */
    unsigned n_forks;        /* a callback may fork: the child isn't in the round */
};

struct cri_thread {
    bool initialized;
    int tid;
    uint32_t restarts; /* for which `tid` is right */
    int n_inits;
    int hold; /* CR_HOLD_* */
    int persist;
    volatile unsigned depth; /* of critical sections */
    volatile unsigned extra; /* those of a signal handler that came amidst enter or leave */
    volatile bool counted;   /* in cri_block.sections */
    volatile bool asks;      /* for a checkpoint, which is not accepted yet */
    uint32_t round;          /* which it took part in last; 0: none */
    int round_tid;           /* as which thread */
    struct cri_callbacks signal_callbacks;
    struct cri_group *group; /* in a round */
    struct cr_checkpoint_info checkpoint_info;
    struct cr_restart_info restart_info;
};

extern struct cooperation cri_block;
extern _Thread_local struct cri_thread cri_me;

/* thread.c */
extern unsigned cri_n_forks;  /* how often this process' image was forked off */
int cri_need_init(void);      /* 0, or -1 with CR_ENOINIT */
bool cri_thread_begin(void);  /* the calling thread is initialised */
bool cri_thread_is_own(void); /* false: it shares cri_me with the thread that it belongs to */
void cri_thread_forked(void);
void cri_thread_setup(void); /* once, at the start */

/* section.c: for the library's own tables; waits while a request is pending, nests. */
void cri_section_begin(void);
void cri_section_end(void);
void cri_sections_drop(void); /* at the end of a thread */
void cri_sections_forked(void);
/* Around a request of this process for itself, until it is accepted or refused. */
void cri_asking_begin(void);
void cri_asking_end(void);
/* Around a wait for its end; and when it has ended, before anybody else goes on. */
void cri_waiting_begin(void);
void cri_waiting_end(void);
void cri_waiting_let_go(void);

/* owner.c */
struct cri_patience {
    unsigned n_looks;
};
bool cri_process_lives(pid_t pid);
/* Wait while *word == value, for a moment at most. False: the tool that owns the request is dead,
 * or has not been seen for a minute. */
bool cri_wait(uint32_t *word, uint32_t value, struct cri_patience *patience);
/* Then: the request has failed. */
void cri_give_up(void);

/* round.c */
bool cri_round_join(bool own_thread);
void cri_round_finish(void);
void cri_round_close(void);
/* At its end, where the process is to be stopped: nobody goes on before it is. */
void cri_round_wait_for_stop(void);
bool cri_round_left_over(void); /* a request has ended before anybody took part */
void cri_round_given_up(void);
void cri_round_forked(void);

/* group.c: all of one thread's part in a round that it has joined. */
void cri_group_run(struct cri_callbacks *callbacks, int context, bool own_thread);
void cri_group_abandon(void); /* the thread ends in the middle of it */

/* callback.c */
extern struct cri_callbacks cri_thread_callbacks;
void cri_wishes_update(void);         /* what the block tells the tool of threads and the runner */
void cri_signal_callbacks_drop(void); /* the calling thread's */
void cri_callbacks_forked(void);

/* runner.c: makes the thread unless it is there; 0 or an errno value. */
int cri_runner_start(void);
int cri_runner_tid(void);
void cri_runner_restarted(void);
void cri_runner_ends(void);
void cri_runner_forked(void);

/* hook.c, hold.c */
void cri_hook_run(const struct cri_group *group);
bool cri_hooks_want_threads(void);
void cri_hooks_forked(void);
void cri_hold(const struct cri_group *group, bool own_thread);
bool cri_hold_wants_threads(void);
void cri_hold_thread_ends(void);
void cri_hold_forked(void);

/* info.c */
void cri_forward_forked(void);

/* entry.c: run in each thread, as a signal handler is. */
void cri_entry(struct cooperation *block, siginfo_t *info, void *context);
void cri_restorer(void);

/* handle.c */
void cri_requests_restarted(void);
void cri_requests_forked(void);

#endif
