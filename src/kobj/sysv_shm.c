/*
 * sysv_shm.c - segments of System V shared memory that are attached
 *
 * A segment outlives its processes until it is removed. So at a restart it may still be there, and
 * is then used again: with the saved content, unless somebody else has it attached. One that is
 * gone, or was removed already (IPC_RMID) and ended with its program, is made again. Its ID can be
 * chosen by privilege only; after shmat(2) programs need just the address.
 */
#include <linux/mman.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/file.h"
#include "kobj/inside.h"
#include "kobj/sysv.h"

#define PERMISSIONS 0777

/* ---- checkpoint ---- */

struct question {
    int shmid;
    struct shmid_ds status;
};

static int ask(void *data, int *ret_fd, struct crs_error *err)
{
    struct question *q = data;

    if (shmctl(q->shmid, IPC_STAT, &q->status) == 0)
        return 0;
    return crs_fail_errno(err, CRS_CANT_CHECKPOINT,
                          "can't look at the System V shared memory with the ID %d", q->shmid);
}

int kobj_sysv_save(struct kobj_dump *ctx, Crs__MemoryObject *record, int shmid,
                   struct crs_error *err)
{
    Crs__SysvSegment *m = malloc(sizeof(*m));
    struct question q = {.shmid = shmid};

    if (!m)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__sysv_segment__init(m);
    record->sysv = m;
    record->kind = CRS__OBJECT_KIND__OBJECT_SYSV_SHM;
    int r = ctx->own_ipc ? kobj_inside(ctx->t, "ipc", ask, &q, sizeof(q), NULL, err)
                         : ask(&q, NULL, err);
    if (r < 0)
        return r;
    record->size = q.status.shm_segsz;
    record->mode = q.status.shm_perm.mode & PERMISSIONS;
    m->shmid = shmid;
    m->key = q.status.shm_perm.__key;
    m->removed = q.status.shm_perm.mode & SHM_DEST;
    m->locked = q.status.shm_perm.mode & SHM_LOCKED;
    m->changed = q.status.shm_ctime;
    return 0;
}

/* ---- restart ---- */

struct segment {
    struct segment *next;
    uint32_t object;
    int shmid;
    bool made; /* by us, and not removed */
    void *memory;
};

/* The segment, if it is still there. *ret_status. -1: it isn't. */
static int find(const Crs__MemoryObject *record, struct shmid_ds *ret_status)
{
    const Crs__SysvSegment *m = record->sysv;
    int shmid = m->shmid;

    if (m->removed)
        return -1;
    if (m->key != 0)
        shmid = shmget(m->key, 0, 0);
    if (shmid < 0 || shmctl(shmid, IPC_STAT, ret_status) < 0 ||
        (uint32_t)ret_status->shm_perm.__key != m->key || ret_status->shm_segsz != record->size)
        return -1;
    /* Another one may have got the number meanwhile. */
    return m->key != 0 || ret_status->shm_ctime == m->changed ? shmid : -1;
}

int sysv_check(const struct kobj_restore *ctx, const Crs__MemoryObject *record,
               struct crs_error *err)
{
    const Crs__SysvSegment *m = record->sysv;
    struct shmid_ds status;

    if (!m || record->size < 1 || record->size > INT64_MAX || m->shmid > INT32_MAX)
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "the snapshot has a segment of shared memory without a size or an ID");
    if (ctx->own_ipc || m->key == 0 || find(record, &status) >= 0)
        return 0;
    if (shmget(m->key, 0, 0) < 0 && errno == ENOENT)
        return 0;
    return crs_fail(err, CRS_CANT_RESTART, EEXIST,
                    "the key 0x%08x of the program's System V shared memory belongs to another "
                    "segment here; remove it (ipcrm -M)",
                    m->key);
}

static int make(const Crs__MemoryObject *record, struct segment *segment, struct crs_error *err)
{
    const Crs__SysvSegment *m = record->sysv;
    int huge = record->huge_page_bytes
                   ? SHM_HUGETLB | __builtin_ctzll(record->huge_page_bytes) << MAP_HUGE_SHIFT
                   : 0;

    sysv_choose_id("shm", m->shmid); /* where we can't, it gets any */
    segment->shmid = shmget(m->key ? (key_t)m->key : IPC_PRIVATE, record->size,
                            IPC_CREAT | IPC_EXCL | (record->mode & PERMISSIONS) | huge);
    if (segment->shmid < 0 && errno == EPERM && huge)
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM,
                        "System V shared memory of huge pages takes CAP_IPC_LOCK, or to be in the "
                        "group of vm.hugetlb_shm_group");
    if (segment->shmid < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART,
                              "can't make System V shared memory of %llu bytes (ipcs -l shows the "
                              "limits)",
                              (unsigned long long)record->size);
    segment->made = true;
    return 0;
}

static int attach(struct segment *segment, struct crs_error *err)
{
    segment->memory = shmat(segment->shmid, NULL, 0);
    if (segment->memory != (void *)-1)
        return 0;
    segment->memory = NULL;
    return crs_fail_errno(err, CRS_CANT_RESTART, "can't attach System V shared memory");
}

static int fill(struct kobj_restore *ctx, const Crs__MemoryObject *record, struct segment *segment,
                struct crs_error *err)
{
    if (!segment->made)
        memset(segment->memory, 0, kobj_object_whole_pages(record, record->size));
    return record->content
               ? store_get_content_to_memory(ctx->reader, record->content, segment->memory,
                                             kobj_object_whole_pages(record, record->size), err)
               : 0;
}

/* Only marks it: it lives as long as it is attached, and a tool that is killed leaves nothing. */
static int finish(struct kobj_restore *ctx, const Crs__MemoryObject *record,
                  struct segment *segment, struct crs_error *err)
{
    const Crs__SysvSegment *m = record->sysv;

    if (m->locked && shmctl(segment->shmid, SHM_LOCK, NULL) < 0)
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "System V shared memory can't be locked as it was: %s", strerror(errno));
    if (m->removed) {
        segment->made = false;
        if (shmctl(segment->shmid, IPC_RMID, NULL) < 0)
            return crs_fail_errno(err, CRS_CANT_RESTART, "can't remove System V shared memory");
    } else if (segment->shmid != (int)m->shmid) {
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "the System V shared memory with the ID %u has the ID %d now: the program can't "
                  "use the old one any more",
                  m->shmid, segment->shmid);
    }
    return 0;
}

static int open_segment(struct kobj_restore *ctx, const Crs__MemoryObject *record,
                        struct segment *segment, struct crs_error *err)
{
    struct shmid_ds status = {0};
    int r = 0;

    segment->shmid = find(record, &status);
    if (segment->shmid < 0)
        r = make(record, segment, err);
    if (r == 0)
        r = attach(segment, err);
    if (r < 0)
        return r;
    if (status.shm_nattch > 0)
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "the System V shared memory with the ID %d is in use by another program and "
                  "stays as it is now",
                  segment->shmid);
    else
        r = fill(ctx, record, segment, err);
    return r < 0 ? r : finish(ctx, record, segment, err);
}

int kobj_sysv_open(struct kobj_restore *ctx, uint32_t id, int *ret_shmid, struct crs_error *err)
{
    const Crs__MemoryObject *record = ctx->memory->objects[id - 1];

    for (const struct segment *s = ctx->segments; s; s = s->next)
        if (s->object == id) {
            *ret_shmid = s->shmid;
            return 0;
        }
    int r = sysv_check(ctx, record, err);
    struct segment *segment = r < 0 ? NULL : calloc(1, sizeof(*segment));
    if (!segment)
        return r < 0 ? r : crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    segment->next = ctx->segments;
    segment->object = id;
    ctx->segments = segment;
    r = open_segment(ctx, record, segment, err);
    if (r == 0)
        *ret_shmid = segment->shmid;
    return r;
}

void sysv_restore_end(struct kobj_restore *ctx)
{
    while (ctx->segments) {
        struct segment *segment = ctx->segments;
        ctx->segments = segment->next;
        if (segment->memory)
            shmdt(segment->memory);
        if (segment->made && !ctx->built)
            shmctl(segment->shmid, IPC_RMID, NULL);
        free(segment);
    }
}
