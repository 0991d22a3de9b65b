/*
 * job.h - running jobs, by name
 *
 * Purpose: `crs checkpoint NAME` must find the process, and the supervisor that may trace it.
 *
 * A job that runs has a file STORE/NAME/job.json: the PIDs of the program and of its supervisor
 * (`crs run`, or a foreground `crs restart`), each with the time the process started, so that a
 * PID that was used again is not mistaken for it. The supervisor listens on STORE/NAME/job.sock.
 * Files left over by a tool that was killed are recognised by the same means and replaced.
 *
 * Starting: job_claim() takes the name, job_claim_publish() makes the job known,
 * job_claim_free() takes its files away (job_claim_keep() first: they stay, for a program that
 * was left on its own). Finding: job_find(), job_find_pid().
 */
#ifndef SERVICE_JOB_H
#define SERVICE_JOB_H

#include <stdbool.h>
#include "base/cleanup.h"
#include "base/error.h"

#define JOB_FILE   "job.json"
#define JOB_SOCKET "job.sock"

/* A process, not to be mixed up with a later one of the same PID. */
struct job_process {
    pid_t pid;           /* 0: none */
    uint64_t start_time; /* clock ticks since boot, as in /proc/PID/stat */
};

struct job {
    char *name;
    char *store;   /* where its snapshots, and its socket, are */
    char *command; /* for people */
    struct job_process program;
    struct job_process supervisor;        /* pid 0: nobody; it is on its own */
    char *host, *boot_id, *pid_namespace; /* where the PIDs mean something */
};
void job_clear(struct job *job);
#define _cleanup_job_ __attribute__((cleanup(job_clear)))

/* ---- finding ---- */

/* The running job `name`. -ESRCH (CRS_NOT_FOUND) where there is none or it has ended;
 * -EXDEV (CRS_BUSY) where it runs on another host or in another PID namespace. */
int job_find(const char *store, const char *name, struct job *ret, struct crs_error *err);

/* The running job whose program is `pid`; -ESRCH: none. */
int job_find_pid(const char *store, pid_t pid, struct job *ret, struct crs_error *err);

/* Call `each` for every running job of the store until it returns non-zero, which is returned. */
int job_each(const char *store, int (*each)(const struct job *job, void *arg), void *arg,
             struct crs_error *err);

/* Whether a process is stopped (state T), and so can't answer. */
bool job_process_stopped(const struct job_process *process);

/* The state of a process, a letter of /proc/PID/stat; 'X' for one that isn't there, or is about to
 * go: what it held is being taken apart. */
char job_pid_state(pid_t pid);

/* The result r of a checkpoint of `pid`: where that failed because the process was ending, the
 * words are beside the point. -ESRCH (CRS_NOT_FOUND) then. */
int job_say_if_ended(pid_t pid, int r, struct crs_error *err);

/* ---- starting ---- */

struct job_claim;

/*
 * Take the name `name` in the store. Its directory is made where it isn't there (0700). -EBUSY
 * (CRS_BUSY) where a job of this name runs. Until it is published, or freed, others wait.
 */
int job_claim(const char *store, const char *name, struct job_claim **ret, struct crs_error *err);

/* STORE/NAME, open; owned by the claim. */
int job_claim_directory(const struct job_claim *claim);

/* Make the job known. `store` is where its snapshots and its socket are; supervised: by us. */
int job_claim_publish(struct job_claim *claim, const char *store, pid_t pid, bool supervised,
                      const char *command, struct crs_error *err);

/* Leave the job's file when the claim is freed. */
void job_claim_keep(struct job_claim *claim);

void job_claim_free(struct job_claim *claim);
DEFINE_CLEANUP(struct job_claim, job_claim)

/* ---- names ---- */

/* A name that a job may have, made of any text: other characters become '_'. NULL: no memory. */
char *job_name_from(const char *text);

/* Check a name that a user gave: as the store's names, and not only digits (those are PIDs). */
int job_check_name(const char *name, struct crs_error *err);

#endif
