/*
 * tree_sharing_all.c - children that share with their parent all that threads share, and some of it
 */
#include "tree_sharing.h"

/* maker, flags, by way of one gone, parent, groups: memory, files, directory, actions */
static const struct node nodes[] = {
    {-1, 0, 0, -1, {0, 0, 0, 0}},
    {0, CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND, 0, 0, {0, 0, 0, 0}},
    {1, CLONE_VM | CLONE_FILES, 0, 1, {0, 0, 2, 2}},
    {2, CLONE_FILES | CLONE_FS, 0, 2, {3, 0, 2, 3}},
    {0, CLONE_VM | CLONE_SIGHAND, 0, 0, {0, 4, 4, 0}},
    {0, CLONE_VM | CLONE_FS, 0, 0, {0, 5, 0, 5}},
};

int main(int argc, char **argv)
{
    return sharing_main(argc, argv, nodes, sizeof(nodes) / sizeof(nodes[0]));
}
