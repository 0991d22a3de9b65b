/*
 * request_page.h - a request for a checkpoint, between who asks and the program that does it
 *
 * libcr's cr_request_checkpoint() starts the program crs-request, which is no child that the
 * caller's own wait(2) would see, and shares one page of memory with it: a memfd, which crs-request
 * gets as descriptor REQUEST_PAGE_FD and the caller keeps only as a mapping. So the caller has no
 * descriptor and no child of ours, may go on, wait, or end. The descriptor that the context goes to
 * is REQUEST_DESTINATION_FD. All others are closed.
 *
 * cr_request_restart() starts it as "crs-request restart PAGE CONTEXT": the numbers of the page and
 * of what the context is read from. All other descriptors are the caller's, which the restarted
 * program may get. The program is to become the caller's child: crs-request is a child of a process
 * that the caller has made, and when the program runs and is to stay it asks to leave and waits
 * until it may. Its end makes the program an orphan, and who takes orphans in is the caller by
 * then.
 */
#ifndef BASE_REQUEST_PAGE_H
#define BASE_REQUEST_PAGE_H

#include <signal.h>
#include <stdint.h>

#define REQUEST_PAGE_FD        3
#define REQUEST_DESTINATION_FD 4

#define REQUEST_MAGIC   0x7165725352504f43ull
#define REQUEST_VERSION 1
#define REQUEST_SIZE    65536

enum request_state { /* of the word `state`, by futex(2), shared */
                     REQUEST_STARTING = 0,
                     REQUEST_ACCEPTED =
                         1, /* the targets are known and taken: cr_request_checkpoint() returns */
                     REQUEST_DONE = 2, /* `error` says how it ended, `log` is complete */
};

/*
 * Set in `state` beside REQUEST_ACCEPTED, for who asks for itself alone and says that it knows
 * this: the context is safe, `error` is 0 and `log` is complete, and its callbacks have been told.
 * The request has ended when the `rounds` of its own block (base/cooperation.h) is not that of the
 * page any more; it need not wait until crs-request has seen that as well. REQUEST_DONE follows as
 * ever.
 */
#define REQUEST_ENDING 0x80000000u

/*
 * A crs-request whose request has come to its end waits REQUEST_AGAIN_MS for another one of the
 * same process, which spares it a start. It holds nothing of the process meanwhile: no page, no
 * descriptor but a pidfd, by which it sees its end. Who asks sends it REQUEST_AGAIN_SIGNAL, which
 * is ignored by who doesn't know it, with a value: the thread that asks << 32, and its descriptor
 * of the new page. crs-request fetches page and destination from there, and refuses where it is
 * not what a new crs-request would be (user, limits, namespaces, ...).
 */
#define REQUEST_AGAIN_SIGNAL SIGURG
#define REQUEST_AGAIN_MS     250

/* In flags, beside CR_CHKPT_* below 0x10000. */
#define REQUEST_ANY 0x10000u /* processes without a checkpoint library as well */

struct request_page {
    uint64_t magic;
    uint32_t version;
    uint32_t state;
    /* in */
    int32_t requester; /* the process that asks */
    int32_t target;    /* 0: itself */
    uint32_t scope;    /* CR_SCOPE_* */
    int32_t signal;
    uint32_t timeout_s; /* 0: none */
    uint32_t flags;
    /* out */
    int32_t error;        /* 0 or a positive errno or CR_E* */
    uint32_t n_processes; /* that were saved */
    uint32_t log_size;    /* with the final NUL; 0: no messages */
    uint32_t accepted;    /* 1 from REQUEST_ACCEPTED on: tells an early error from a late one */
    /* of a restart */
    uint32_t n_moved; /* in: so many texts OLD=NEW stand in `log`, each with its 0 */
    int32_t root;     /* out: the PID of the program's first process; 0: it is to be an orphan */
    uint32_t leaving; /* enum request_leaving, by futex(2), shared */
    char log[REQUEST_SIZE - 104];
    /* of a checkpoint, see REQUEST_ENDING; 0 in pages of those who don't know it */
    uint32_t knows_end; /* in */
    uint32_t rounds;    /* out */
    /* likewise, see REQUEST_AGAIN_SIGNAL */
    uint32_t knows_again; /* in */
    int32_t destination;  /* in: the asker's descriptor; of the first request it is inherited */
    uint32_t sent;        /* in, by futex(2), shared: nothing of the asking is open any more */
    uint32_t taken;       /* enum request_taken, by futex(2), shared */
    uint64_t started; /* out: when crs-request was, as in its /proc/PID/stat; 0: it won't stay */
};

_Static_assert(sizeof(struct request_page) == REQUEST_SIZE, "all of the page is one request's");

enum request_taken {
    REQUEST_NOT_TAKEN = 0,
    REQUEST_TAKEN = 1,     /* by crs-request: `state` tells the rest */
    REQUEST_REFUSED = 2,   /* by crs-request: another one is needed */
    REQUEST_WITHDRAWN = 3, /* by who asked, who has waited for too long */
};

enum request_leaving {
    REQUEST_STAYS = 0,
    REQUEST_ASKS_TO_LEAVE = 1, /* crs-request: `error`, `root` and `log` are complete */
    REQUEST_MAY_LEAVE = 2,     /* the caller, which then says REQUEST_DONE when it has left */
};

#endif
