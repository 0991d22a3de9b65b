/*
 * request.c - what all requests to CRIU share
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "openpal/criu/journal.h"
#include "openpal/criu/request.h"

char request_directory[] = WORKER_DIRECTORY;
void (*request_log)(const char *line);

/* ---- words ---- */

/* `doing` failed: the cause of the log, else what CRIU answered, else what the worker did. */
int request_fail(struct crs_error *err, const char *doing, const char *cause,
                 const CriuRpc__Response *response)
{
    const char *answered = response && response->cr_errmsg ? response->cr_errmsg : "";
    char words[CAUSE_BYTES];
    if (!cause && strstr(answered, "Error (") && journal_cause(answered, words, sizeof(words)))
        cause = words;
    if (!cause && !strstr(answered, "Error (") && journal_is_telling(answered))
        cause = answered;
    if (!cause)
        cause = !response && err && *err->text
                    ? err->text
                    : "it tells no reason; crs_criu_log_level 4 has it log more";
    char copy[CRS_ERROR_TEXT_SIZE];
    snprintf(copy, sizeof(copy), "%s", cause);
    int number = response ? response->cr_errno : 0;
    enum crs_kind kind = number == ESRCH    ? CRS_NOT_FOUND
                         : number == EEXIST ? CRS_BUSY
                         : number == EPERM  ? CRS_NOT_PERMITTED
                                            : CRS_FAILED;
    return crs_fail(err, kind, number, "CRIU can't %s: %s%s", doing, copy, journal_remedy(copy));
}

/* Of the log in the images' directory. */
int request_fail_of_log(struct crs_error *err, const char *doing, const char *directory,
                        const char *log, const CriuRpc__Response *response)
{
    char path[4096], cause[CAUSE_BYTES];
    snprintf(path, sizeof(path), "%s/%s", directory, log);
    if (request_log)
        journal_errors_of_file(path, request_log);
    bool known = journal_cause_of_file(path, cause, sizeof(cause));
    return request_fail(err, doing, known ? cause : NULL, response);
}

/* ---- one request ---- */

/* Without an answer the worker's end is what there is to say. */
int request_call(struct worker *worker, const CriuRpc__Request *request,
                 CriuRpc__Response **ret_response, struct crs_error *err)
{
    struct crs_error of_end = {0};
    int r = worker_call(worker, request, ret_response, err);
    if (r == -EPIPE && worker_end(worker, &of_end) < 0 && err)
        *err = of_end;
    return r;
}

/* The strings stay the caller's. */
void request_set_common(CriuRpc__Options *options, const struct image_settings *settings,
                        const char *log)
{
    options->images_dir_fd = -1;
    options->images_dir = request_directory;
    options->log_file = (char *)log;
    options->has_log_level = settings->log_level > 0;
    options->log_level = settings->log_level;
    options->has_tcp_established = options->has_ext_unix_sk = options->has_shell_job = true;
    options->tcp_established = settings->tcp_established;
    options->ext_unix_sk = settings->ext_unix_sk;
    options->shell_job = settings->shell_job;
    options->has_file_locks = options->file_locks = true;
    options->has_unprivileged = settings->unprivileged;
    options->unprivileged = settings->unprivileged;
}
