/*
 * sysv_ipc.c - System V semaphores and message queues
 *
 * They belong to no process: what shows is whose operation on them was the last one. So those of
 * the machine can't be saved; but those of an IPC namespace of the program's own can.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/stat.h>

#include "base/io.h"
#include "kobj/attributes.h"
#include "kobj/file.h"
#include "kobj/inside.h"
#include "kobj/mqueue.h"
#include "kobj/sysv.h"

#define TABLE_LIMIT (64u << 20)

static int refuse(const struct tracee *t, const char *what, int id, struct crs_error *err)
{
    return crs_fail(err, CRS_CANT_CHECKPOINT, EOPNOTSUPP,
                    "process %d uses the System V %s with the ID %d, which can't be saved, since "
                    "other programs may use it, too; start the program with crs run "
                    "--isolate=ipc, or remove it (ipcrm) before the checkpoint",
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

/* The record, as a file. */
static int give(const Crs__SysvIpc *m, int *ret_fd, struct crs_error *err)
{
    _cleanup_close_ int fd = memfd_create("crs-sysv-ipc", MFD_CLOEXEC);
    _cleanup_bytes_ struct bytes packed = {0};
    int r = kobj_pack(&m->base, &packed, err);

    if (r < 0)
        return r;
    if (fd >= 0)
        r = write_full(fd, packed.data, packed.size);
    if (fd < 0 || r < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't write down what is in an IPC namespace");
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int ask(void *data, int *ret_fd, struct crs_error *err)
{
    const struct kobj_dump *const *ctx = data; /* of the parent, whose memory we have a copy of */
    _cleanup_message_ Crs__SysvIpc *m = malloc(sizeof(*m));
    int r = m ? 0 : crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");

    if (m)
        crs__sysv_ipc__init(m);
    if (r == 0)
        r = sysv_save_semaphores(m, err);
    if (r == 0)
        r = sysv_save_queues(m, err);
    if (r == 0)
        r = sysv_save_limits(m, err);
    if (r == 0)
        r = refuse_unattached(err);
    if (r == 0)
        r = mqueue_save_unopened(*ctx, m, err);
    return r == 0 ? give(m, ret_fd, err) : r;
}

/* What there is in the namespace, once for all processes: ctx->sysv. */
static int save_all(struct kobj_dump *ctx, struct crs_error *err)
{
    _cleanup_close_ int fd = -1;
    _cleanup_bytes_ struct bytes packed = {0};
    struct stat st;
    int r = kobj_inside(ctx->t, "ipc", ask, &ctx, sizeof(ctx), &fd, err);

    if (r < 0)
        return r;
    packed.data = fstat(fd, &st) == 0 ? malloc(st.st_size + 1) : NULL;
    packed.size = packed.data ? st.st_size : 0;
    if (!packed.data || pread_full(fd, packed.data, packed.size, 0) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't read what is in an IPC namespace");
    return kobj_unpack(&crs__sysv_ipc__descriptor, &packed, &ctx->sysv, err);
}

void sysv_dump_end(struct kobj_dump *ctx)
{
    if (ctx->sysv)
        crs__sysv_ipc__free_unpacked(ctx->sysv, NULL);
    ctx->sysv = NULL;
}

/* The first process has all, and each what it is to undo itself. */
static int dump_own(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    bool first = !ctx->sysv;
    Crs__SysvIpc m = CRS__SYSV_IPC__INIT;
    int r = first ? save_all(ctx, err) : 0;

    if (r == 0)
        r = sysv_save_undos(ctx, ctx->sysv, &m, err);
    if (r == 0 && first) {
        Crs__SysvIpc whole = *(const Crs__SysvIpc *)ctx->sysv; /* borrowed, but for the undos */
        whole.n_undos = m.n_undos;
        whole.undos = m.undos;
        r = kobj_pack(&whole.base, ret_payload, err);
    } else if (r == 0 && m.n_undos > 0) {
        r = kobj_pack(&m.base, ret_payload, err);
    }
    for (size_t i = 0; i < m.n_undos; i++)
        crs__sysv_undo__free_unpacked(m.undos[i], NULL);
    free(m.undos);
    return r;
}

static int dump(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    if (ctx->own_ipc)
        return dump_own(ctx, ret_payload, err);
    int r = check_queues(ctx->t, err);

    return r < 0 ? r : check_semaphores(ctx->t, err);
}

/* ---- restart ---- */

static int unpack(const struct bytes *payload, Crs__SysvIpc **ret, struct crs_error *err)
{
    return kobj_unpack(&crs__sysv_ipc__descriptor, payload, ret, err);
}

/* What the first process that has it says. *ret NULL: none does. */
static int find_all(const struct kobj_restore *ctx, Crs__SysvIpc **ret, struct crs_error *err)
{
    *ret = NULL;
    for (size_t i = 0; i < ctx->tree->n_processes; i++) {
        const Crs__Process *p = ctx->tree->processes[i];
        for (size_t k = 0; k < p->n_attributes; k++) {
            const ProtobufCBinaryData *data = &p->attributes[k]->payload;
            if (strcmp(p->attributes[k]->kind, kobj_sysv_ipc.name) == 0)
                return unpack(&(struct bytes){data->data, data->len}, ret, err);
        }
    }
    return 0;
}

static int check(struct kobj_restore *ctx, const Crs__Process *process, const struct bytes *payload,
                 struct crs_error *err)
{
    _cleanup_message_ Crs__SysvIpc *m = NULL;
    int r = unpack(payload, &m, err);

    if (r == 0)
        r = sysv_check_record(m, err);
    if (r == 0 && !ctx->own_ipc)
        r = crs_fail(err, CRS_DAMAGED, EBADMSG,
                     "the snapshot has System V objects without an IPC namespace for them");
    return r;
}

int kobj_restore_ipc(struct kobj_restore *ctx, struct crs_error *err)
{
    _cleanup_message_ Crs__SysvIpc *m = NULL;
    int r = ctx->own_ipc ? find_all(ctx, &m, err) : 0;

    if (r < 0 || !m)
        return r;
    sysv_set_limits(ctx, m);
    r = sysv_make_semaphores(m, err);
    if (r == 0)
        r = sysv_make_queues(ctx, m, err);
    return r == 0 ? mqueue_make_unopened(m, err) : r;
}

static int restore(struct kobj_restore *ctx, const Crs__Process *process,
                   const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__SysvIpc *m = NULL, *all = NULL;
    int r = unpack(payload, &m, err);

    if (r == 0 && m->n_undos > 0)
        r = find_all(ctx, &all, err);
    return r == 0 && all ? sysv_make_undos(ctx, all, m, err) : r;
}

static int describe(const struct bytes *payload, char *text, size_t size)
{
    _cleanup_message_ Crs__SysvIpc *m = NULL;
    int r = unpack(payload, &m, NULL);

    if (r == 0)
        snprintf(text, size, "%zu sets of semaphores, %zu message queues, %zu to undo",
                 m->n_semaphores, m->n_queues, m->n_undos);
    return r;
}

const struct kobj_process_kind kobj_sysv_ipc = {
    .name = "sysv_ipc",
    .title = "System V semaphores and message queues",
    .saved = "with conditions",
    .conditions = "in an IPC namespace of the program's own (crs run --isolate), where shared "
                  "memory that no process has attached is refused; whose operation was the last "
                  "one is forgotten. Elsewhere refused where that was the program's; others that "
                  "it uses are not seen, and must be there at the restart",
    .dump = dump,
    .check = check,
    .restore = restore,
    .describe = describe,
};
