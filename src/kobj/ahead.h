/*
 * ahead.h - what will be refused, as far as that is cheap to know while the program runs
 *
 * Nothing is held, and the program may change all of it in the next moment: only the freeze knows.
 */
#ifndef KOBJ_AHEAD_H
#define KOBJ_AHEAD_H

#include "kobj/kobj.h"

/*
 * A process that is to be saved in the tree of `root`: has it a descriptor of a kind that is never
 * saved, is it in another namespace than the root, or the root in one that no restart makes, or is
 * it traced? 0, or the refusal, in the freeze's words. What can't be looked at is no reason.
 */
int kobj_check_ahead(pid_t pid, pid_t root, struct crs_error *err);

#endif
