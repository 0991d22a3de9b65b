/* job.c - a request by another process */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "opal/constants.h"
#include "opal/mca/crs/base/base.h"
#include "opal/util/output.h"
#include "openpal/runtime/gate.h"
#include "openpal/runtime/job.h"

static _Thread_local struct job *mine; /* that this thread attempts, with the gate held */

static void fill(struct protocol_answer *a, enum protocol_event event, enum crs_kind kind,
                 const char *handle, const char *words)
{
    *a = (struct protocol_answer){PROTOCOL_MAGIC, PROTOCOL_VERSION, event, kind};
    snprintf(a->handle, sizeof(a->handle), "%s", handle ? handle : "");
    snprintf(a->words, sizeof(a->words), "%s", words ? words : "");
}

static void answer(int conn, enum protocol_event event, enum crs_kind kind, const char *handle,
                   const char *words)
{
    struct protocol_answer a;

    fill(&a, event, kind, handle, words);
    protocol_send(conn, &a, sizeof(a));
}

/* ---- the tool's own socket ---- */

static bool is_requester(const struct job *job, int fd)
{
    pid_t pid;
    uid_t uid;

    return protocol_peer(fd, &pid, &uid) == 0 && uid == job->uid;
}

static int connect_back(struct job *job)
{
    if (job->back >= 0)
        return job->back;
    if (!job->request.reply[0] || protocol_connect(job->request.reply, &job->back) < 0) {
        job->back = -1;
        return -1;
    }
    if (!is_requester(job, job->back)) {
        close(job->back);
        job->back = -1;
    }
    return job->back;
}

/* A tool that is gone isn't told; what was asked for is done all the same. */
static void report(struct job *job, enum protocol_event event, enum crs_kind kind,
                   const char *words)
{
    const opal_crs_base_snapshot_t *s = job->checkpoint.snapshot;
    int fd = job->conn >= 0 ? job->conn : connect_back(job);

    if (fd >= 0)
        answer(fd, event, kind, s ? s->local_location : NULL, words);
}

void job_refuse(struct job *job, enum crs_kind kind, const char *words)
{
    report(job, PROTOCOL_REFUSED, kind, words);
}

void job_delay(struct job *job, const char *reason)
{
    if (strcmp(reason, job->delay) == 0)
        return;
    snprintf(job->delay, sizeof(job->delay), "%s", reason);
    opal_output_verbose(1, runtime_output, "opal_cr: a checkpoint is delayed: %s", reason);
    if (job->conn >= 0)
        answer(job->conn, PROTOCOL_DELAYED, CRS_OK, NULL, reason);
}

static void close_connection(struct job *job)
{
    cleanup_close(&job->conn);
    job->conn = -1;
}

void job_close_mine(void)
{
    if (!mine || mine->conn < 0)
        return;
    answer(mine->conn, PROTOCOL_SAVING, CRS_OK, NULL, NULL);
    close_connection(mine);
}

bool job_is_mine(const struct job *job)
{
    return job && job == mine;
}

void job_free(struct job *job)
{
    if (!job)
        return;
    cleanup_close(&job->conn);
    cleanup_close(&job->back);
    checkpoint_end(&job->checkpoint);
    free(job);
}

/* ---- the request ---- */

static void tell(struct checkpoint *c, int event)
{
    struct job *job = c->arg;

    report(job, (enum protocol_event)event, CRS_OK, NULL);
}

static bool take_request(struct job *job)
{
    int r = protocol_receive_request(job->conn, &job->request);

    if (r == -EPROTO)
        answer(job->conn, PROTOCOL_REFUSED, CRS_FAILED, NULL,
               "it doesn't understand the request: the tool and the program's library are of "
               "different versions");
    if (r < 0)
        return false;
    if (job->request.patience_ms)
        job->deadline_us = now_us() + job->request.patience_ms * UINT64_C(1000);
    return true;
}

static bool may_ask(struct job *job)
{
    pid_t pid;
    char words[128];

    if (protocol_peer(job->conn, &pid, &job->uid) < 0)
        return false;
    if (job->uid == geteuid() || job->uid == 0)
        return true;
    snprintf(words, sizeof(words), "it belongs to user %u, and user %u may not checkpoint it",
             geteuid(), job->uid);
    answer(job->conn, PROTOCOL_REFUSED, CRS_NOT_PERMITTED, NULL, words);
    return false;
}

static bool begin(struct job *job)
{
    struct checkpoint *c = &job->checkpoint;

    OBJ_CONSTRUCT(&c->options, opal_crs_base_ckpt_options_t);
    opal_crs_base_clear_options(&c->options);
    c->options.term = job->request.flags & PROTOCOL_TERM;
    c->options.stop = job->request.flags & PROTOCOL_STOP;
    c->tell = tell;
    c->arg = job;
    if (checkpoint_begin(c, job->request.name, job->request.where) == OPAL_SUCCESS)
        return true;
    job_refuse(job, c->kind, c->words);
    return false;
}

struct job *job_accept(int conn)
{
    struct job *job = calloc(1, sizeof(*job));

    if (!job) {
        close(conn);
        return NULL;
    }
    job->conn = conn;
    job->back = -1;
    if (!may_ask(job) || !take_request(job) || !begin(job)) {
        job_free(job);
        return NULL;
    }
    answer(job->conn, PROTOCOL_ACCEPTED, CRS_OK, job->checkpoint.snapshot->local_location, NULL);
    if (job->request.flags & PROTOCOL_NOWAIT)
        close_connection(job);
    return job;
}

/* ---- the attempt ---- */

static void finish(struct job *job, int r)
{
    struct checkpoint *c = &job->checkpoint;

    if (c->state == OPAL_CRS_RESTART) /* the tool asked somebody else, long ago */
        ;
    else if (c->established && r != OPAL_SUCCESS)
        report(job, PROTOCOL_UNRECOVERED, CRS_FAILED, c->words);
    else if (r != OPAL_SUCCESS)
        report(job, PROTOCOL_FAILED, c->kind, c->words);
    else
        report(job, PROTOCOL_RECOVERED, CRS_OK, NULL);
    cleanup_close(&job->back);
    job->back = -1;
}

static void delay_unready(struct job *job)
{
    char reason[256];

    snprintf(reason, sizeof(reason), "it isn't ready: %.200s", job->checkpoint.words);
    job_delay(job, reason);
}

int job_attempt(struct job *job)
{
    char reason[256] = "";
    int r = gate_begin(false, reason, sizeof(reason));

    if (r != OPAL_SUCCESS) {
        job_delay(job, reason[0] ? reason : "it is in a critical section");
        return OPAL_ERR_WOULD_BLOCK;
    }
    mine = job;
    r = checkpoint_run(&job->checkpoint);
    if (r == OPAL_EXISTS && !job->checkpoint.established) {
        delay_unready(job);
    } else {
        finish(job, r); /* with the gate held: the next image has none of these descriptors */
        r = OPAL_SUCCESS;
    }
    mine = NULL;
    gate_end();
    return r;
}
