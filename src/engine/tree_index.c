/* tree_index.c - the members of a tree, found by their PIDs */
#include <stdlib.h>
#include <string.h>

#include "engine/tree.h"

/* The first place whose PID is not less. */
static size_t find_place(const struct tree *tree, pid_t pid)
{
    size_t low = 0, high = tree->places.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (tree->places.items[middle].pid < pid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct tree_member *tree_find_member(const struct tree *tree, pid_t pid)
{
    size_t place = find_place(tree, pid);

    if (place == tree->places.n || tree->places.items[place].pid != pid)
        return NULL;
    return &tree->members.items[tree->places.items[place].member];
}

/* PIDs mostly come in ascending order: little is moved. */
struct tree_member *tree_add_member(struct tree *tree, pid_t pid)
{
    size_t at = find_place(tree, pid), after = tree->places.n - at;
    struct tree_place *place = ARRAY_ADD(&tree->places);

    if (!place)
        return NULL;
    struct tree_member *member = ARRAY_ADD(&tree->members);
    if (!member) {
        tree->places.n--;
        return NULL;
    }
    place = &tree->places.items[at];
    memmove(place + 1, place, after * sizeof(*place));
    *place = (struct tree_place){pid, tree->members.n - 1};
    *member = (struct tree_member){.pid = pid};
    return member;
}

void tree_forget_members(struct tree *tree)
{
    free(tree->members.items);
    free(tree->places.items);
    memset(&tree->members, 0, sizeof(tree->members));
    memset(&tree->places, 0, sizeof(tree->places));
}
