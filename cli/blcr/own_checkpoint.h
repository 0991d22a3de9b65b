/*
 * own_checkpoint.h - what becomes of cr_restart when a checkpoint meets it
 *
 * A checkpoint of cr_restart is meant for its job: the job is added to it. cr_restart itself is
 * left out where the checkpoint starts at it, because then the restarted job is the child of the
 * next cr_restart; below a shell that waits for it, it is saved, too.
 */
#ifndef CLI_BLCR_OWN_CHECKPOINT_H
#define CLI_BLCR_OWN_CHECKPOINT_H

#include <sys/types.h>

enum own_checkpoint { OWN_CHECKPOINT_MAYBE = 0, OWN_CHECKPOINT_OMITTED, OWN_CHECKPOINT_SAVED };

/* From now on. Where that can't be, the job is saved all the same where cr_restart's descendants
 * are. */
void own_checkpoint_allow(pid_t job, enum own_checkpoint what);

#endif
