/* sysv_semaphores.c - sets of System V semaphores in a program's own IPC namespace */
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>

#include "kobj/mqueue.h"
#include "kobj/sysv.h"

#define SEMAPHORES_MAX 32000 /* SEMMSL can't be higher */

union semun {
    int value;
    struct semid_ds *status;
    unsigned short *values;
};

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

/* ---- checkpoint ---- */

static int save_values(Crs__SysvSemaphores *s, int id, size_t n, struct crs_error *err)
{
    _cleanup_free_ unsigned short *values = calloc(n, sizeof(*values));

    s->values = calloc(n, sizeof(*s->values));
    if (!values || !s->values)
        return out_of_memory(err);
    if (semctl(id, 0, GETALL, (union semun){.values = values}) < 0)
        return crs_fail_errno(err, CRS_CANT_CHECKPOINT,
                              "can't read the System V semaphores with the ID %d", id);
    for (size_t i = 0; i < n; i++)
        s->values[i] = values[i];
    s->n_values = n;
    return 0;
}

static int save_set(Crs__SysvSemaphores *s, int id, struct crs_error *err)
{
    struct semid_ds status;

    if (semctl(id, 0, IPC_STAT, (union semun){.status = &status}) < 0)
        return crs_fail_errno(err, CRS_CANT_CHECKPOINT,
                              "can't look at the System V semaphores with the ID %d", id);
    s->object = sysv_save_object(id, &status.sem_perm);
    s->used = status.sem_otime != 0;
    return s->object ? save_values(s, id, status.sem_nsems, err) : out_of_memory(err);
}

int sysv_save_semaphores(Crs__SysvIpc *m, struct crs_error *err)
{
    _cleanup_free_ int *ids = NULL;
    size_t n = 0;
    int r = sysv_list("sem", &ids, &n, err);

    if (r < 0)
        return r;
    m->semaphores = calloc(n + 1, sizeof(*m->semaphores));
    if (!m->semaphores)
        return out_of_memory(err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        Crs__SysvSemaphores *s = malloc(sizeof(*s));
        if (!s)
            return out_of_memory(err);
        crs__sysv_semaphores__init(s);
        m->semaphores[m->n_semaphores++] = s;
        r = save_set(s, ids[i], err);
    }
    return r;
}

/* ---- restart ---- */

static int make_set(const void *arg)
{
    const Crs__SysvSemaphores *s = arg;

    return semget(s->object->key ? (key_t)s->object->key : IPC_PRIVATE, (int)s->n_values,
                  IPC_CREAT | IPC_EXCL | 0600);
}

static void remove_set(int id)
{
    semctl(id, 0, IPC_RMID);
}

/* The time of the last operation is that of this one; without one it stays 0. */
static int touch(int id)
{
    struct sembuf operations[] = {{0, 1, IPC_NOWAIT}, {0, -1, IPC_NOWAIT}};

    return semop(id, operations, 2);
}

static int set_values(const Crs__SysvSemaphores *s)
{
    _cleanup_free_ unsigned short *values = calloc(s->n_values, sizeof(*values));

    if (!values)
        return -1;
    for (size_t i = 0; i < s->n_values; i++)
        values[i] = s->values[i];
    return semctl((int)s->object->id, 0, SETALL, (union semun){.values = values});
}

/* An owner that doesn't exist here leaves it to the restarter. */
static int set_status(const Crs__SysvSemaphores *s)
{
    struct semid_ds status = {0};
    int id = (int)s->object->id;

    sysv_set_object(s->object, &status.sem_perm);
    if (semctl(id, 0, IPC_SET, (union semun){.status = &status}) == 0)
        return 0;
    status.sem_perm.uid = geteuid();
    status.sem_perm.gid = getegid();
    return semctl(id, 0, IPC_SET, (union semun){.status = &status});
}

static int make(const Crs__SysvSemaphores *s, struct crs_error *err)
{
    int r = sysv_make_object("sem", s->object->id, make_set, s, remove_set);

    if (r < 0)
        return crs_fail(err, CRS_CANT_RESTART, -r,
                        "can't make System V semaphores with the ID %u again: %s%s", s->object->id,
                        strerror(-r),
                        r == -EADDRINUSE ? " (Linux 5.19 and later let one choose it)" : "");
    if ((s->used && touch((int)s->object->id) < 0) || set_values(s) < 0 || set_status(s) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART,
                              "can't set the System V semaphores with the ID %u", s->object->id);
    return 0;
}

int sysv_make_semaphores(const Crs__SysvIpc *m, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < m->n_semaphores; i++)
        r = make(m->semaphores[i], err);
    return r;
}

/* ---- the record ---- */

static bool is_object(const Crs__SysvObject *object)
{
    return object && object->id <= INT32_MAX;
}

static bool is_set(const Crs__SysvSemaphores *s)
{
    if (!is_object(s->object) || s->n_values < 1 || s->n_values > SEMAPHORES_MAX)
        return false;
    for (size_t i = 0; i < s->n_values; i++)
        if (s->values[i] > SYSV_SEMAPHORE_MAX)
            return false;
    return true;
}

static bool is_queue(const Crs__SysvQueue *q)
{
    if (!is_object(q->object))
        return false;
    for (size_t i = 0; i < q->n_messages; i++)
        if (q->messages[i]->type < 1)
            return false;
    return true;
}

int sysv_check_record(const Crs__SysvIpc *m, struct crs_error *err)
{
    bool good = true;

    for (size_t i = 0; i < m->n_semaphores; i++)
        good = good && is_set(m->semaphores[i]) &&
               (i == 0 || m->semaphores[i - 1]->object->id < m->semaphores[i]->object->id);
    for (size_t i = 0; i < m->n_queues; i++)
        good = good && is_queue(m->queues[i]) &&
               (i == 0 || m->queues[i - 1]->object->id < m->queues[i]->object->id);
    for (size_t i = 0; i < m->n_posix_queues; i++)
        good = good && m->posix_queues[i]->name[0] && mqueue_is_good(m->posix_queues[i]);
    return good ? 0
                : crs_fail(err, CRS_DAMAGED, EBADMSG, "the snapshot has IPC objects that can't be");
}
