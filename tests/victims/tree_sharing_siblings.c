/*
 * tree_sharing_siblings.c - processes that share with siblings, and with those of a maker that is
 * gone
 */
#include "tree_sharing.h"

/* maker, flags, by way of one gone, parent, groups: memory, files, directory, actions */
static const struct node nodes[] = {
    {-1, 0, 0, -1, {0, 0, 0, 0}},
    {0, 0, 0, 0, {1, 1, 1, 1}},
    {1, CLONE_PARENT | CLONE_FILES, 0, 0, {2, 1, 2, 2}},
    {1, CLONE_VM | CLONE_SIGHAND | CLONE_FS, 1, 0, {1, 3, 1, 1}},
    {2, CLONE_PARENT | CLONE_VM | CLONE_FS, 0, 0, {2, 4, 2, 4}},
    {4, CLONE_FILES, 0, 4, {5, 4, 5, 5}},
};

int main(int argc, char **argv)
{
    return sharing_main(argc, argv, nodes, sizeof(nodes) / sizeof(nodes[0]));
}
