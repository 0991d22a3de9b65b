/* sysv_queues.c - System V message queues in a program's own IPC namespace */
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>

#include "kobj/attributes.h"
#include "kobj/sysv.h"

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

/* What msgsnd(2) and msgrcv(2) take. */
struct message {
    long type;
    char text[];
};

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

/* ---- checkpoint ---- */

static int add_message(Crs__SysvQueue *q, const struct message *message, size_t size)
{
    Crs__SysvMessage *m = malloc(sizeof(*m));

    if (!m)
        return -ENOMEM;
    crs__sysv_message__init(m);
    q->messages[q->n_messages++] = m;
    m->type = message->type;
    m->text.data = malloc(size + 1);
    m->text.len = size;
    if (!m->text.data)
        return -ENOMEM;
    memcpy(m->text.data, message->text, size);
    return 0;
}

/* A copy of each by its place in the queue, which stays as it is. */
static int save_messages(Crs__SysvQueue *q, int id, const struct msqid_ds *status,
                         struct crs_error *err)
{
    size_t room = status->__msg_cbytes;
    _cleanup_free_ struct message *message = malloc(sizeof(*message) + room + 1);

    q->messages = calloc(status->msg_qnum + 1, sizeof(*q->messages));
    if (!message || !q->messages)
        return out_of_memory(err);
    for (size_t i = 0; i < status->msg_qnum; i++) {
        ssize_t n = msgrcv(id, message, room, (long)i, MSG_COPY | IPC_NOWAIT);
        if (n < 0)
            return crs_fail_errno(
                err, CRS_CANT_CHECKPOINT,
                "can't copy the messages in the System V message queue with the ID %d (this needs "
                "a kernel with CONFIG_CHECKPOINT_RESTORE); receive them before the checkpoint",
                id);
        if (add_message(q, message, n) < 0)
            return out_of_memory(err);
    }
    return 0;
}

static int save_queue(Crs__SysvQueue *q, int id, struct crs_error *err)
{
    struct msqid_ds status;

    if (msgctl(id, IPC_STAT, &status) < 0)
        return crs_fail_errno(err, CRS_CANT_CHECKPOINT,
                              "can't look at the System V message queue with the ID %d", id);
    q->object = sysv_save_object(id, &status.msg_perm);
    q->bytes_max = status.msg_qbytes;
    return q->object ? save_messages(q, id, &status, err) : out_of_memory(err);
}

int sysv_save_queues(Crs__SysvIpc *m, struct crs_error *err)
{
    _cleanup_free_ int *ids = NULL;
    size_t n = 0;
    int r = sysv_list("msg", &ids, &n, err);

    if (r < 0)
        return r;
    m->queues = calloc(n + 1, sizeof(*m->queues));
    if (!m->queues)
        return out_of_memory(err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        Crs__SysvQueue *q = malloc(sizeof(*q));
        if (!q)
            return out_of_memory(err);
        crs__sysv_queue__init(q);
        m->queues[m->n_queues++] = q;
        r = save_queue(q, ids[i], err);
    }
    return r;
}

/* ---- restart ---- */

static int make_queue(const void *arg)
{
    const Crs__SysvQueue *q = arg;

    return msgget(q->object->key ? (key_t)q->object->key : IPC_PRIVATE,
                  IPC_CREAT | IPC_EXCL | 0600);
}

static void remove_queue(int id)
{
    msgctl(id, IPC_RMID, NULL);
}

static int send_message(int id, const Crs__SysvMessage *m)
{
    _cleanup_free_ struct message *message = malloc(sizeof(*message) + m->text.len + 1);

    if (!message)
        return -ENOMEM;
    message->type = m->type;
    memcpy(message->text, m->text.data, m->text.len);
    return msgsnd(id, message, m->text.len, IPC_NOWAIT) < 0 ? -errno : 0;
}

static int fill(const Crs__SysvQueue *q, struct crs_error *err)
{
    for (size_t i = 0; i < q->n_messages; i++) {
        int r = send_message((int)q->object->id, q->messages[i]);
        if (r < 0)
            return crs_fail(err, CRS_CANT_RESTART, -r,
                            "can't put the messages back into the System V message queue with the "
                            "ID %u: %s (limits: ipcs -l)",
                            q->object->id, strerror(-r));
    }
    return 0;
}

static int set(const Crs__SysvQueue *q, const struct ipc_perm *perm, uint64_t bytes_max)
{
    struct msqid_ds status = {.msg_perm = *perm, .msg_qbytes = bytes_max};

    return msgctl((int)q->object->id, IPC_SET, &status);
}

/* Its size before the messages if it is larger than usual, which takes a right; after them if it is
 * smaller. And the owner at the end: who isn't the owner any more may not change it. */
static int set_up(struct kobj_restore *ctx, const Crs__SysvQueue *q, struct crs_error *err)
{
    struct msqid_ds status;

    if (msgctl((int)q->object->id, IPC_STAT, &status) < 0 ||
        (q->bytes_max > status.msg_qbytes && set(q, &status.msg_perm, q->bytes_max) < 0))
        return crs_fail_errno(err, CRS_CANT_RESTART,
                              "can't make the System V message queue with the ID %u as large as it "
                              "was (%llu bytes; /proc/sys/kernel/msgmnb)",
                              q->object->id, (unsigned long long)q->bytes_max);
    int r = fill(q, err);
    if (r < 0)
        return r;
    struct ipc_perm perm = status.msg_perm;
    sysv_set_object(q->object, &perm);
    if (set(q, &perm, q->bytes_max) == 0)
        return 0;
    perm.uid = status.msg_perm.uid; /* an owner that doesn't exist here */
    perm.gid = status.msg_perm.gid;
    return set(q, &perm, q->bytes_max) == 0
               ? 0
               : crs_fail_errno(err, CRS_CANT_RESTART,
                                "can't set the System V message queue with the ID %u",
                                q->object->id);
}

int sysv_make_queues(struct kobj_restore *ctx, const Crs__SysvIpc *m, struct crs_error *err)
{
    for (size_t i = 0; i < m->n_queues; i++) {
        const Crs__SysvQueue *q = m->queues[i];
        int r = sysv_make_object("msg", q->object->id, make_queue, q, remove_queue);
        if (r < 0)
            return crs_fail(err, CRS_CANT_RESTART, -r,
                            "can't make a System V message queue with the ID %u again: %s%s",
                            q->object->id, strerror(-r),
                            r == -EADDRINUSE ? " (Linux 5.19 and later let one choose it)" : "");
        r = set_up(ctx, q, err);
        if (r < 0)
            return r;
    }
    return 0;
}
