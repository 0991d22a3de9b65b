/*
 * request.h - asking a job's supervisor for a checkpoint
 *
 * Under yama's ptrace_scope 1 only an ancestor of a program may trace it, so a checkpoint of a job
 * is made by its supervisor, on request over STORE/NAME/job.sock.
 *
 * The protocol: each message is one line of JSON with "schema": 1. The client sends one request:
 *
 *     {"schema":1,"request":"checkpoint","afterwards":"continue","timeout_ms":0}
 *
 * ("name", "output", "compress", "unix" where they were given; "output" is an absolute path,
 * "form": "stream" makes a file of it; with "stream":true a descriptor comes with the request,
 * SCM_RIGHTS, and the snapshot goes there). Paths and words are as bytes_json.h has them. The
 * supervisor answers with {"event":"accepted"} at once,
 * {"event":"progress",...} and
 * {"event":"warning",...} any number of times, and last {"event":"result",...} or
 * {"event":"error",...}. A client that closes its side before the end cancels the checkpoint, and
 * the program goes on.
 *
 * Only the user that the supervisor belongs to, and root, may ask.
 */
#ifndef SERVICE_REQUEST_H
#define SERVICE_REQUEST_H

#include "base/cleanup.h"
#include "base/error.h"
#include "job.h"

#define REQUEST_LINE_MAX 65536

/*
 * Let the job's supervisor make a checkpoint, as crs_checkpoint() would. Progress and warnings
 * arrive through the options; options->cancel is watched (interrupt the wait by a signal).
 * -ECONNREFUSED: nobody answers (no supervisor, it is gone, or it is stopped); ask directly.
 */
int request_checkpoint(const struct job *job, const struct crs_checkpoint_options *options,
                       struct crs_checkpoint_result *ret, struct crs_error *err);

/* The same for a helper process at the other end of a socket pair: a cancel is a SIGTERM to it. */
int request_await_helper(int fd, pid_t helper, const struct crs_checkpoint_options *options,
                         struct crs_checkpoint_result *ret, struct crs_error *err);

/* ---- the supervisor's side ---- */

/* Listen on JOB_SOCKET in the directory. */
int request_listen(int dirfd, int *ret_fd, struct crs_error *err);

/* -EPERM where the peer of the connection is neither our user nor root. *ret_pid: who it is. */
int request_check_peer(int fd, pid_t *ret_pid, struct crs_error *err);

/* A request; the strings of `options` point into it. */
struct request {
    void *json;
    char *output;
    char *base, *key_file;
    int stream_fd; /* 0: none */
    struct crs_checkpoint_options options;
};
void request_clear(struct request *request);
#define _cleanup_request_ __attribute__((cleanup(request_clear)))

/* Read a request within timeout_ms; earlier when stop_fd becomes readable (-ECANCELED). */
int request_read(int fd, int stop_fd, int timeout_ms, struct request *ret, struct crs_error *err);

/* Answers. A peer that is gone, or doesn't read, does no harm. */
void request_answer_accepted(int fd);
void request_answer_progress(int fd, const struct crs_progress *progress);
void request_answer_result(int fd, const struct crs_checkpoint_result *result);
void request_answer_error(int fd, const struct crs_error *err);

#endif
