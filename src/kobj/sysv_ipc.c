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

static int dump(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    int r = check_queues(ctx->t, err);

    return r < 0 ? r : check_semaphores(ctx->t, err);
}

const struct kobj_process_kind kobj_sysv_ipc = {
    .name = "sysv_ipc",
    .title = "System V semaphores and message queues",
    .saved = "refused",
    .conditions = "refused where the last operation on one was the program's; others that it uses "
                  "are not seen, and must be there at the restart",
    .dump = dump,
};
