/* process_tree.h - the processes of a snapshot, as a tree */
#ifndef CLI_PROCESS_TREE_H
#define CLI_PROCESS_TREE_H

#include <jansson.h>

/* A copy of the list "processes" of a description, each process followed by its children, whose
 * commands are indented. NULL: no memory. */
json_t *process_tree(const json_t *processes);

#endif
