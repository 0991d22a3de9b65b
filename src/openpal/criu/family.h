/*
 * family.h - a process and all its descendants, as CRIU saves them together
 */
#ifndef OPENPAL_CRIU_FAMILY_H
#define OPENPAL_CRIU_FAMILY_H

#include <stdbool.h>
#include <sys/types.h>

/* A signal for each of them, descendants first. They have to be stopped: then none can have
 * another child meanwhile. 0 or a positive errno value. */
int family_signal(pid_t pid, int number);

/* By a signal, before anybody asked for that. */
bool family_is_stopped(pid_t pid);

/* Is `pid` the caller's parent, its parent, and so on? */
bool family_is_ancestor(pid_t pid);

#endif
