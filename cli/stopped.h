/*
 * stopped.h - how to start a program that stands, in words
 */
#ifndef CLI_STOPPED_H
#define CLI_STOPPED_H

#include <sys/types.h>

/*
 * The command that continues all stopped processes of the tree below `root`: "kill -CONT 4711"
 * where it is alone, "kill -s CONT -- -4711 -4715" for several, by their process groups. The caller
 * frees; NULL: no memory.
 */
char *stopped_command(pid_t root);

#endif
