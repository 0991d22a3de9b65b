/* stopped.c - how to start a program that stands, in words */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "cli/stopped.h"
#include "engine/tree.h"
#include "proc/stat.h"

#define GROUPS_SHOWN 64

struct process {
    pid_t pid, parent, group;
    char state;
    bool below; /* the root, or a descendant of it */
};

struct processes {
    ARRAY_OF(struct process) array;
};

static void processes_clear(struct processes *all)
{
    free(all->array.items);
}

static int read_processes(struct processes *all)
{
    _cleanup_closedir_ DIR *dir = opendir("/proc");

    for (struct dirent *e; dir && (e = readdir(dir));) {
        _cleanup_bytes_ struct bytes text = {0};
        struct proc_stat stat;
        char path[300];
        snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
        if (e->d_name[0] < '1' || e->d_name[0] > '9' ||
            read_file(AT_FDCWD, path, 8192, &text) < 0 ||
            proc_stat_parse((const char *)text.data, &stat) < 0)
            continue;
        struct process *p = ARRAY_ADD(&all->array);
        if (!p)
            return -ENOMEM;
        *p = (struct process){stat.pid, stat.parent, stat.group, stat.state, false};
    }
    return 0;
}

static bool is_below(const struct processes *all, pid_t pid)
{
    for (size_t i = 0; i < all->array.n; i++)
        if (all->array.items[i].pid == pid)
            return all->array.items[i].below;
    return false;
}

/* Generation by generation; with what the supervisor of its own namespaces has taken in. */
static void find_below(struct processes *all, pid_t root)
{
    pid_t adopter = tree_find_adopter(root);

    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < all->array.n; i++) {
            struct process *p = &all->array.items[i];
            if (p->below ||
                (p->pid != root && (!adopter || p->parent != adopter) && !is_below(all, p->parent)))
                continue;
            p->below = more = true;
        }
    }
}

static bool stands(const struct process *p)
{
    return p->below && (p->state == 'T' || p->state == 't');
}

static size_t add_group(pid_t *groups, size_t n, pid_t group)
{
    for (size_t i = 0; i < n; i++)
        if (groups[i] == group)
            return n;
    if (n < GROUPS_SHOWN && group > 0)
        groups[n++] = group;
    return n;
}

static char *words_for(const pid_t *groups, size_t n)
{
    char text[GROUPS_SHOWN * 13 + 1] = "";
    size_t used = 0;

    for (size_t i = 0; i < n; i++)
        used += snprintf(text + used, sizeof(text) - used, " -%d", (int)groups[i]);
    return format_string("kill -s CONT --%s", text);
}

char *stopped_command(pid_t root)
{
    _cleanup_(processes_clear) struct processes all = {0};
    size_t n_stopped = 0, n = 0;
    pid_t groups[GROUPS_SHOWN];

    if (read_processes(&all) < 0)
        return NULL;
    find_below(&all, root);
    for (size_t i = 0; i < all.array.n; i++) {
        if (!stands(&all.array.items[i]))
            continue;
        n_stopped++;
        n = add_group(groups, n, all.array.items[i].group);
    }
    return n_stopped > 1 && n > 0 ? words_for(groups, n)
                                  : format_string("kill -CONT %d", (int)root);
}
