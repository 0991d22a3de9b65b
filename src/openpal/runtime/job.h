/*
 * job.h - a request by another process
 *
 *     r = job_accept(conn, &job);       // the connection is the job's, or has been closed
 *     r = job_attempt(job, ...);        // by any thread, one at a time
 *     job_free(job);
 */
#ifndef OPENPAL_RUNTIME_JOB_H
#define OPENPAL_RUNTIME_JOB_H

#include "openpal/runtime/protocol.h"
#include "openpal/runtime/runtime.h"

struct job {
    struct checkpoint checkpoint;
    struct protocol_request request;
    uid_t uid;            /* of the tool */
    int conn;             /* -1: closed */
    int back;             /* the connection to the tool's own socket */
    uint64_t deadline_us; /* 0: none */
    char delay[256];      /* the reason that was told last */
    bool claimed;         /* a thread is at it */
    bool done;            /* and has finished with it */
};

/* Read the request that waits at `conn`. NULL: it was refused, and is closed. */
struct job *job_accept(int conn);
void job_free(struct job *job);

/* OPAL_SUCCESS: it is over, whatever came of it; OPAL_ERR_WOULD_BLOCK: the gate isn't free;
 * OPAL_EXISTS: a level isn't ready. */
int job_attempt(struct job *job);

/* Tell the tool, where it can be told. */
void job_refuse(struct job *job, enum crs_kind kind, const char *words);
void job_delay(struct job *job, const char *reason);

/* The save begins. If it is for a job that the calling thread attempts: its tool is told, and the
 * connection closed. */
void job_close_mine(void);
bool job_is_mine(const struct job *job);

#endif
