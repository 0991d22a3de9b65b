/* sysv_objects.c - what System V objects of all sorts have: an ID, a key, an owner; and limits */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/attributes.h"
#include "kobj/sysv.h"

#define TABLE_LIMIT (64u << 20)
#define N_TRIES     (1 << 17)
#define PERMISSIONS 0777

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

/* ---- which there are ---- */

static int compare(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return (x > y) - (x < y);
}

/* "key ID perms ..." in lines behind a heading; a kernel without such objects has no table. */
int sysv_list(const char *name, int **ret_ids, size_t *ret_n, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    ARRAY_OF(int) ids = {0};
    char path[40];
    int id;

    snprintf(path, sizeof(path), "/proc/sysvipc/%s", name);
    int r = read_file(-1, path, TABLE_LIMIT, &text);
    if (r < 0 && r != -ENOENT)
        return crs_fail(err, CRS_FAILED, -r, "can't read %s: %s", path, strerror(-r));
    for (const char *line = (char *)text.data; line && (line = strchr(line, '\n')); line++) {
        if (sscanf(line, "%*d %d", &id) != 1)
            continue;
        int *place = ARRAY_ADD(&ids);
        if (!place) {
            free(ids.items);
            return out_of_memory(err);
        }
        *place = id;
    }
    if (ids.n > 0)
        qsort(ids.items, ids.n, sizeof(*ids.items), compare);
    *ret_ids = ids.items;
    *ret_n = ids.n;
    return 0;
}

/* ---- what is the same of all ---- */

Crs__SysvObject *sysv_save_object(int id, const struct ipc_perm *perm)
{
    Crs__SysvObject *object = malloc(sizeof(*object));

    if (!object)
        return NULL;
    crs__sysv_object__init(object);
    object->id = id;
    object->key = perm->__key;
    object->mode = perm->mode & PERMISSIONS;
    object->user = perm->uid;
    object->group = perm->gid;
    return object;
}

void sysv_set_object(const Crs__SysvObject *object, struct ipc_perm *perm)
{
    perm->uid = object->user;
    perm->gid = object->group;
    perm->mode = object->mode & PERMISSIONS;
}

bool sysv_choose_id(const char *sort, uint32_t id)
{
    char path[40], text[16];

    snprintf(path, sizeof(path), "/proc/sys/kernel/%s_next_id", sort);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    int n = snprintf(text, sizeof(text), "%u", id);
    return fd >= 0 && write(fd, text, n) == n;
}

/*
 * Before Linux 5.19 an ordinary user can't choose, not even in a namespace of its own. There, an ID
 * is a place and the number of times that the places were gone through: it comes round when enough
 * others have been made and removed. For that, lower ones must be made first.
 */
int sysv_make_object(const char *sort, uint32_t id, int (*make)(const void *arg), const void *arg,
                     void (*remove_object)(int id))
{
    int tries = sysv_choose_id(sort, id) ? 1 : N_TRIES;

    for (int i = 0; i < tries; i++) {
        int got = make(arg);
        if (got < 0)
            return -errno;
        if (got == (int)id)
            return 0;
        remove_object(got);
    }
    return -EADDRINUSE;
}

/* ---- limits ---- */

static const char *const limits[] = {
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
    "fs/mqueue/queues_max",
    "fs/mqueue/msg_max",
    "fs/mqueue/msgsize_max",
    "fs/mqueue/msg_default",
    "fs/mqueue/msgsize_default",
};

static char *read_limit(const char *name)
{
    _cleanup_bytes_ struct bytes text = {0};
    _cleanup_free_ char *path = format_string("/proc/sys/%s", name);

    if (!path || read_file(-1, path, 4096, &text) < 0)
        return NULL;
    text.data[strcspn((char *)text.data, "\n")] = 0;
    return strdup((char *)text.data);
}

int sysv_save_limits(Crs__SysvIpc *m, struct crs_error *err)
{
    m->limits = calloc(ELEMENTS(limits), sizeof(*m->limits));
    if (!m->limits)
        return out_of_memory(err);
    for (size_t i = 0; i < ELEMENTS(limits); i++) {
        char *value = read_limit(limits[i]);
        if (!value) /* not in this kernel */
            continue;
        Crs__IpcLimit *limit = malloc(sizeof(*limit));
        if (!limit)
            return out_of_memory(err);
        crs__ipc_limit__init(limit);
        limit->name = strdup(limits[i]);
        limit->value = value;
        m->limits[m->n_limits++] = limit;
        if (!limit->name)
            return out_of_memory(err);
    }
    return 0;
}

static int write_limit(const char *name, const char *value)
{
    _cleanup_free_ char *path = format_string("/proc/sys/%s", name);
    _cleanup_close_ int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    size_t n = strlen(value);

    return fd >= 0 && write(fd, value, n) == (ssize_t)n ? 0 : -errno;
}

static void set_limit(struct kobj_restore *ctx, const char *name, const char *value)
{
    _cleanup_free_ char *now = read_limit(name);

    if (now && strcmp(now, value) != 0 && write_limit(name, value) < 0)
        KOBJ_WARN(ctx, "the limit %s of the program's IPC namespace was %.40s and is %s now: %s",
                  name, value, now, strerror(errno));
}

/* The names that we know, whatever the record says. */
void sysv_set_limits(struct kobj_restore *ctx, const Crs__SysvIpc *m)
{
    for (size_t i = 0; i < m->n_limits; i++)
        for (size_t k = 0; k < ELEMENTS(limits); k++)
            if (strcmp(m->limits[i]->name, limits[k]) == 0)
                set_limit(ctx, limits[k], m->limits[i]->value);
}
