/*
 * blcr.h - the component `blcr`: the whole process is saved, by this project's libcr
 *
 * blcr.c          the component and its module
 * blcr_save.c     a request, and what became of it
 * blcr_restart.c  bringing it back
 */
#ifndef OPENPAL_CRS_BLCR_H
#define OPENPAL_CRS_BLCR_H

#include "opal/mca/crs/base/base.h"

/* The context file in the snapshot's directory. */
#define BLCR_CONTEXT_PREFIX "opal_context."
/* In its place where crs_blcr_dev_null had nothing kept. */
#define BLCR_NOTHING "/dev/null"

struct opal_crs_blcr_wish {
    pid_t pid;
    int signal;       /* for it, after the save; 0: none */
    const char *path; /* of the context; BLCR_NOTHING */
};

/* OPAL_SUCCESS with OPAL_CRS_CONTINUE or OPAL_CRS_RESTART; or an error, with words. */
int opal_crs_blcr_save(const struct opal_crs_blcr_wish *wish, opal_crs_state_type_t *ret_state);

/* What libcr's errno means here. */
int opal_crs_blcr_code(int errnum);

/* The messages of a request as one line; NULL where there are none. */
char *opal_crs_blcr_words(const char *messages);

int opal_crs_blcr_restart(opal_crs_base_snapshot_t *snapshot, bool spawn_child, pid_t *child_pid);

#endif
