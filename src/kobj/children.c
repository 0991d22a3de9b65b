/* children.c - child processes: a tree can't be saved yet, so a process that has one is refused */
#include <dirent.h>
#include <string.h>

#include "base/io.h"
#include "kobj/attributes.h"
#include "proc/children.h"
#include "proc/stat.h"

static int refuse(struct tracee *t, pid_t child, const char *command, struct crs_error *err)
{
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                    "process %d has a child process, %d (%s): process trees can't be saved yet; "
                    "take the checkpoint when the child has ended and was waited for",
                    t->pid, child, command);
}

static int read_stat(const char *pid, struct proc_stat *ret)
{
    _cleanup_free_ char *path = format_string("/proc/%s/stat", pid);
    _cleanup_bytes_ struct bytes text = {0};
    int r = path ? read_file(-1, path, 4096, &text) : -ENOMEM;

    return r < 0 ? r : proc_stat_parse((const char *)text.data, ret);
}

static int refuse_child(struct tracee *t, pid_t child, struct crs_error *err)
{
    struct proc_stat stat = {.command = "?"};
    char pid[16];

    snprintf(pid, sizeof(pid), "%d", child);
    read_stat(pid, &stat); /* it may be gone: the words are just poorer then */
    return refuse(t, child, stat.command, err);
}

/* Kernels without /proc/PID/task/TID/children: every process says who its parent is. */
static int search_all_processes(struct tracee *t, struct crs_error *err)
{
    _cleanup_closedir_ DIR *dir = opendir("/proc");
    struct proc_stat stat;
    struct dirent *entry;

    if (!dir)
        return crs_fail_errno(err, CRS_FAILED, "can't read /proc");
    while ((entry = readdir(dir)))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
            read_stat(entry->d_name, &stat) == 0 && stat.parent == t->pid)
            return refuse(t, stat.pid, stat.command, err);
    return 0;
}

static int dump_children(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    for (size_t i = 0; i < ctx->t->n_threads; i++) {
        _cleanup_bytes_ struct bytes text = {0};
        _cleanup_free_ pid_t *children = NULL;
        size_t n = 0;
        int r = kobj_read_proc(ctx->t, &text, err, "task/%d/children", ctx->t->threads[i].tid);
        if (r == -ENOENT)
            return search_all_processes(ctx->t, err);
        if (r < 0)
            return r;
        r = proc_children_parse((const char *)text.data, &children, &n);
        if (r < 0)
            return crs_fail(err, CRS_FAILED, -r, "can't make sense of the children of %d",
                            ctx->t->pid);
        if (n > 0)
            return refuse_child(ctx->t, children[0], err);
    }
    return 0;
}

const struct kobj_process_kind kobj_children = {
    .name = "children",
    .title = "child processes",
    .saved = "refused",
    .conditions = "a process that has child processes is refused",
    .dump = dump_children,
};
