/*
 * sysv_ipc.c - System V semaphores and message queues
 *
 * They belong to no process: what shows is whose operation on them was the last one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sem.h>

#include "base/io.h"
#include "kobj/attributes.h"
#include "kobj/inside.h"

#define TABLE_LIMIT (64u << 20)

static int refuse(const struct tracee *t, const char *what, int id, struct crs_error *err)
{
    return crs_fail(err, CRS_CANT_CHECKPOINT, EOPNOTSUPP,
                    "process %d uses the System V %s with the ID %d, which can't be saved; use "
                    "POSIX ones, or remove it (ipcrm) before the checkpoint",
                    t->pid, what, id);
}

/* Lines of /proc/sysvipc/NAME behind the heading; *ret is empty where the kernel has none. */
static int read_table(const char *path, struct bytes *ret, struct crs_error *err)
{
    int r = read_file(-1, path, TABLE_LIMIT, ret);

    return r == 0 || r == -ENOENT ? 0 : crs_fail(err, CRS_FAILED, -r, "can't read %s", path);
}

static const char *next_line(const char *line)
{
    const char *end = strchrnul(line, '\n');

    return *end ? end + 1 : end;
}

/* "key msqid perms cbytes qnum lspid lrpid ...": PIDs as the reader sees them */
static int check_queues(const struct tracee *t, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    int id, sender, receiver, r = read_table("/proc/sysvipc/msg", &text, err);

    if (r < 0 || !text.data)
        return r;
    for (const char *line = next_line((char *)text.data); *line; line = next_line(line))
        if (sscanf(line, "%*d %d %*o %*u %*u %d %d", &id, &sender, &receiver) == 3 &&
            (sender == t->pid || receiver == t->pid))
            return refuse(t, "message queue", id, err);
    return 0;
}

/* "key semid perms nsems ..." */
static int check_semaphores(const struct tracee *t, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    int id, n, r = read_table("/proc/sysvipc/sem", &text, err);

    if (r < 0 || !text.data)
        return r;
    for (const char *line = next_line((char *)text.data); *line; line = next_line(line)) {
        if (sscanf(line, "%*d %d %*o %d", &id, &n) != 2)
            continue;
        for (int i = 0; i < n; i++) {
            int pid = semctl(id, i, GETPID);
            if (pid < 0) /* somebody else's */
                break;
            if (pid == t->pid)
                return refuse(t, "semaphores", id, err);
        }
    }
    return 0;
}

/* ---- in an IPC namespace of its own ---- */

/* All that is there is the program's, and ends with the namespace. */
static int refuse_first(const char *path, const char *what, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    int id, r = read_table(path, &text, err);

    if (r < 0 || !text.data || sscanf(next_line((char *)text.data), "%*d %d", &id) != 1)
        return r;
    return crs_fail(err, CRS_CANT_CHECKPOINT, EOPNOTSUPP,
                    "the program's IPC namespace has System V %s with the ID %d, which can't be "
                    "saved; use POSIX ones, or remove it (ipcrm) before the checkpoint",
                    what, id);
}

/* "key shmid perms size cpid lpid nattch ..." */
static int refuse_unattached(struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    unsigned attached;
    int id, r = read_table("/proc/sysvipc/shm", &text, err);

    if (r < 0 || !text.data)
        return r;
    for (const char *line = next_line((char *)text.data); *line; line = next_line(line))
        if (sscanf(line, "%*d %d %*o %*u %*d %*d %u", &id, &attached) == 2 && attached == 0)
            return crs_fail(err, CRS_CANT_CHECKPOINT, EOPNOTSUPP,
                            "the program's IPC namespace has System V shared memory with the ID %d "
                            "that no process has attached, which can't be saved; remove it (ipcrm) "
                            "or attach it before the checkpoint",
                            id);
    return 0;
}

static int ask(void *data, int *ret_fd, struct crs_error *err)
{
    int r = refuse_first("/proc/sysvipc/sem", "semaphores", err);

    if (r == 0)
        r = refuse_first("/proc/sysvipc/msg", "message queue", err);
    return r == 0 ? refuse_unattached(err) : r;
}

static int dump(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    char none = 0;

    if (ctx->own_ipc) /* once for all */
        return ctx->t == ctx->members.items[0].t
                   ? kobj_inside(ctx->t, "ipc", ask, &none, 0, NULL, err)
                   : 0;
    int r = check_queues(ctx->t, err);

    return r < 0 ? r : check_semaphores(ctx->t, err);
}

const struct kobj_process_kind kobj_sysv_ipc = {
    .name = "sysv_ipc",
    .title = "System V semaphores and message queues",
    .saved = "refused",
    .conditions = "refused where the last operation on one was the program's; others that it uses "
                  "are not seen, and must be there at the restart. In an IPC namespace of its "
                  "own (crs run --isolate) refused where there is one, or shared memory that is "
                  "not attached",
    .dump = dump,
};
