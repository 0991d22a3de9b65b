/*
 * job.h - the snapshots of one job: STORE/NAME/SEQ
 */
#ifndef STORE_JOB_H
#define STORE_JOB_H

#include "base/array.h"
#include "base/error.h"

struct seqs {
    unsigned *items; /* rising */
    size_t n, room;
};

struct job_names {
    char **items; /* sorted */
    size_t n, room;
};

/* The number that a directory's name is: decimal, from 1, without zeros in front. 0: it's none. */
unsigned job_parse_seq(const char *text);

/* The numbers that stand in ROOT/NAME. None where there is no such directory. */
int job_seqs(const char *root, const char *name, struct seqs *ret, struct crs_error *err);

/* The jobs of the store. None where there is no such directory. */
int job_names(const char *root, struct job_names *ret, struct crs_error *err);
void job_names_clear(struct job_names *names);

#endif
