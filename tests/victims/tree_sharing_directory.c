/*
 * tree_sharing_directory.c - children that share directory and umask with their parent (CLONE_FS)
 */
#include "tree_sharing.h"

/* maker, flags, by way of one gone, parent, groups: memory, files, directory, actions */
static const struct node nodes[] = {
    {-1, 0, 0, -1, {0, 0, 0, 0}},
    {0, CLONE_FS, 0, 0, {1, 1, 0, 1}},
    {1, CLONE_FS, 0, 1, {2, 2, 0, 2}},
    {0, 0, 0, 0, {3, 3, 3, 3}},
};

int main(int argc, char **argv)
{
    return sharing_main(argc, argv, nodes, sizeof(nodes) / sizeof(nodes[0]));
}
