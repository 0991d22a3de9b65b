/*
 * stand_in.h - processes that stand in for a restarted one
 *
 * Who restarts a process in the tool's place gets the PID of cr_restart, which is the program's
 * parent and ends as it ends; and where PIDs can't be chosen, the program lives in namespaces of
 * its own, below a supervisor. Both PIDs mean the program.
 */
#ifndef CLI_OPENPAL_STAND_IN_H
#define CLI_OPENPAL_STAND_IN_H

#include <sys/types.h>

/* The program for which `pid` stands in, as we see it; `pid` itself, if it does for nobody. */
pid_t stand_in_program(pid_t pid);

#endif
