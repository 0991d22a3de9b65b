/*
 * tree_sharing_files.c - children that share their descriptors with their parent (CLONE_FILES)
 */
#include "tree_sharing.h"

/* maker, flags, by way of one gone, parent, groups: memory, files, directory, actions */
static const struct node nodes[] = {
    {-1, 0, 0, -1, {0, 0, 0, 0}},
    {0, CLONE_FILES, 0, 0, {1, 0, 1, 1}},
    {1, CLONE_FILES, 0, 1, {2, 0, 2, 2}},
    {0, 0, 0, 0, {3, 3, 3, 3}},
};

int main(int argc, char **argv)
{
    return sharing_main(argc, argv, nodes, sizeof(nodes) / sizeof(nodes[0]));
}
