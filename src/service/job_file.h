/*
 * job_file.h - what finding and starting jobs share
 */
#ifndef SERVICE_JOB_FILE_H
#define SERVICE_JOB_FILE_H

#include "job.h"

enum job_state {
    JOB_GONE,
    JOB_RUNS,
    JOB_ELSEWHERE, /* another host or container: can't be told from here */
};

enum job_state job_state(const struct job *job);

/* Here: whether the program or its supervisor still lives, so that the name is not free. */
bool job_held(const struct job *job);

/* JOB_FILE of the directory. -ENOENT (without words): there is none. */
int job_read_file(int dirfd, struct job *ret, struct crs_error *err);

/* STORE/NAME, which must be there: -ENOENT. */
int job_open_directory(const char *store, const char *name, int *ret_fd, struct crs_error *err);

/* Fill host, boot_id and pid_namespace. */
int job_here(struct job *job, struct crs_error *err);

int job_process_identify(pid_t pid, struct job_process *ret);

#endif
