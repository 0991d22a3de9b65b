/*
 * tree_sharing_memory.c - children that share their memory with their parent (CLONE_VM)
 */
#include "tree_sharing.h"

/* maker, flags, by way of one gone, parent, groups: memory, files, directory, actions */
static const struct node nodes[] = {
    {-1, 0, 0, -1, {0, 0, 0, 0}},
    {0, CLONE_VM, 0, 0, {0, 1, 1, 1}},
    {1, CLONE_VM, 0, 1, {0, 2, 2, 2}},
    {0, 0, 0, 0, {3, 3, 3, 3}},
};

int main(int argc, char **argv)
{
    return sharing_main(argc, argv, nodes, sizeof(nodes) / sizeof(nodes[0]));
}
