/*
 * request.h - what all requests to CRIU share
 */
#ifndef OPENPAL_CRIU_REQUEST_H
#define OPENPAL_CRIU_REQUEST_H

#include "base/cleanup.h"
#include "base/error.h"
#include "openpal/criu/image.h"
#include "openpal/criu/worker.h"

#define CAUSE_BYTES 400

DEFINE_CLEANUP(CriuRpc__Response, worker_response)
#define _cleanup_response_ _cleanup_(cleanup_worker_response)

/* Options.images_dir of each. */
extern char request_directory[];

/* Of a dump, a pre-dump, a restore. The strings stay the caller's. */
void request_set_common(CriuRpc__Options *options, const struct image_settings *settings,
                        const char *log);

/* worker_call(); where the worker has ended without an answer, how it has ended is the error. */
int request_call(struct worker *worker, const CriuRpc__Request *request,
                 CriuRpc__Response **ret_response, struct crs_error *err);

/* The error "CRIU can't DOING: CAUSE": the one that is given, else the one that was answered, else
 * what `err` says. The response may be NULL. */
int request_fail(struct crs_error *err, const char *doing, const char *cause,
                 const CriuRpc__Response *response);

/* The same, with the cause in the log of that name in the images' directory. */
int request_fail_of_log(struct crs_error *err, const char *doing, const char *directory,
                        const char *log, const CriuRpc__Response *response);

/* Gets all the errors of a failure's log, one after the other; NULL: nobody does. */
extern void (*request_log)(const char *line);

#endif
