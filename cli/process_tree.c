/* process_tree.c - the processes of a snapshot, as a tree */
#include <stdbool.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "cli/output.h"
#include "cli/process_tree.h"

#define INDENT    2
#define MAX_DEPTH 24 /* deeper ones stand no further to the right */

struct node {
    json_int_t pid, parent;
    size_t place; /* in the list */
    const json_t *process;
    bool shown;
};

struct forest {
    struct node *nodes; /* sorted by parent */
    size_t n;
    json_t *result;
};

static int compare_nodes(const void *a, const void *b)
{
    const struct node *x = a, *y = b;

    if (x->parent != y->parent)
        return x->parent < y->parent ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* The first whose parent is `parent`, or where it would be. */
static size_t first_child(const struct forest *f, json_int_t parent)
{
    size_t low = 0, high = f->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (f->nodes[middle].parent < parent)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_pid(const struct forest *f, json_int_t pid)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->nodes[i].pid == pid)
            return true;
    return false;
}

static void show(struct forest *f, struct node *node, int depth)
{
    json_t *copy = json_copy((json_t *)node->process);
    const char *command = json_string_value(json_object_get(copy, "command"));
    _cleanup_free_ char *text = format_string(
        "%*s%s", INDENT * (depth < MAX_DEPTH ? depth : MAX_DEPTH), "", command ? command : "?");

    node->shown = true;
    if (text)
        json_object_set_new(copy, "command", json_string(text));
    json_array_append_new(f->result, copy);
}

/* Depth first, with a stack of our own: a list from a snapshot may be as deep as it is long. */
static bool show_from(struct forest *f, struct node *root)
{
    ARRAY_OF(size_t) stack = {0}; /* the next child to be shown, at each depth */
    size_t *next = ARRAY_ADD(&stack);

    if (!next)
        return false;
    *next = first_child(f, root->pid);
    json_int_t parent = root->pid;
    show(f, root, 0);
    while (stack.n > 0) {
        struct node *child = &f->nodes[stack.items[stack.n - 1]];
        bool is_child = child < f->nodes + f->n && child->parent == parent;
        if (is_child)
            stack.items[stack.n - 1]++;
        if (is_child && child->shown)
            continue;
        if (!is_child) { /* back to the parent, the child of whose parent was shown last */
            stack.n--;
            if (stack.n > 0)
                parent = f->nodes[stack.items[stack.n - 1] - 1].parent;
            continue;
        }
        show(f, child, (int)stack.n);
        if (!(next = ARRAY_ADD(&stack)))
            break;
        *next = first_child(f, child->pid);
        parent = child->pid;
    }
    bool done = stack.n == 0;
    free(stack.items);
    return done;
}

json_t *process_tree(const json_t *processes)
{
    size_t n = json_array_size(processes);
    _cleanup_free_ struct node *nodes = calloc(n + 1, sizeof(*nodes));
    struct forest f = {nodes, n, json_array()};
    bool done = nodes && f.result;

    for (size_t i = 0; done && i < n; i++) {
        const json_t *process = json_array_get(processes, i);
        nodes[i] = (struct node){json_integer_value(json_object_get(process, "pid")),
                                 json_integer_value(json_object_get(process, "parent")), i, process,
                                 false};
    }
    if (done && n > 1)
        qsort(nodes, n, sizeof(*nodes), compare_nodes);
    for (size_t i = 0; done && i < n; i++)
        if (!has_pid(&f, nodes[i].parent))
            done = show_from(&f, &nodes[i]);
    for (size_t i = 0; done && i < n; i++) /* a damaged list, whose processes form a ring */
        if (!nodes[i].shown)
            done = show_from(&f, &nodes[i]);
    if (done)
        return f.result;
    json_decref(f.result);
    return NULL;
}
