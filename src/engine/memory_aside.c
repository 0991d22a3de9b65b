/*
 * memory_aside.c - what is slow to read and not needed at once, in a thread of its own
 *
 * That is what tells whether mapped files are the same at the restart: build-ids, checksums. It is
 * of the first process only: of a tree's others the files mostly are the same ones. Where the
 * thread can't be started, or has read what isn't so any more, they are read when they are needed.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/io.h"
#include "base/thread.h"
#include "memory_image.h"

#define TEXT_LIMIT (256u << 20)
#define FILE_LIMIT (16u << 20) /* of a larger one the tool may have to wait for the end in vain */

/* A file as it was when it was read. */
struct identity {
    struct stat st;
    struct bytes build_id, checksum;
};

/*
 * What was read last, for the next checkpoint by this process: many in a row are of one program,
 * whose files mostly are the same ones. What has changed a moment before it was read may change
 * once more without a trace, so that isn't kept.
 */
#define N_KEPT    64
#define SETTLED_S 2

static struct {
    pthread_mutex_t lock;
    pid_t pid;   /* whose files were read aside */
    size_t next; /* to be replaced: the oldest */
    struct identity identities[N_KEPT];
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct memory_aside {
    pid_t pid;
    pthread_t thread;
    bool runs; /* until it is joined; what follows is the thread's until then */
    ARRAY_OF(struct identity) identities;
    atomic_bool stop; /* but this */
};

/* ---- files ---- */

bool memory_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static struct identity *find(struct memory_aside *a, const struct stat *st)
{
    for (size_t i = 0; i < a->identities.n; i++)
        if (memory_same_file(&a->identities.items[i].st, st))
            return &a->identities.items[i];
    return NULL;
}

static void identity_clear(struct identity *identity)
{
    bytes_clear(&identity->build_id);
    bytes_clear(&identity->checksum);
}

static bool is_settled(const struct stat *st)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return st->st_ctim.tv_sec + SETTLED_S < now.tv_sec;
}

/* ---- kept ---- */

static bool copy_identity(const struct stat *st, const struct bytes *build_id,
                          const struct bytes *checksum, struct identity *ret)
{
    struct identity copy = {.st = *st};

    if (bytes_copy(&copy.build_id, build_id->data, build_id->size) < 0 ||
        bytes_copy(&copy.checksum, checksum->data, checksum->size) < 0) {
        identity_clear(&copy);
        return false;
    }
    *ret = copy;
    return true;
}

/* Under the lock. */
static const struct identity *look_up(const struct stat *st)
{
    for (size_t i = 0; i < N_KEPT; i++)
        if (kept.identities[i].checksum.data && memory_same_file(&kept.identities[i].st, st))
            return &kept.identities[i];
    return NULL;
}

void memory_aside_keep(const struct stat *st, const struct bytes *build_id,
                       const struct bytes *checksum)
{
    struct identity copy;

    if (!checksum->data || !is_settled(st))
        return;
    pthread_mutex_lock(&kept.lock);
    if (!look_up(st) && copy_identity(st, build_id, checksum, &copy)) {
        identity_clear(&kept.identities[kept.next]);
        kept.identities[kept.next] = copy;
        kept.next = (kept.next + 1) % N_KEPT;
    }
    pthread_mutex_unlock(&kept.lock);
}

static void note_read(pid_t pid)
{
    pthread_mutex_lock(&kept.lock);
    kept.pid = pid;
    pthread_mutex_unlock(&kept.lock);
}

static bool was_read(pid_t pid)
{
    pthread_mutex_lock(&kept.lock);
    bool was = kept.pid == pid;
    pthread_mutex_unlock(&kept.lock);
    return was;
}

static bool find_kept(const struct stat *st, struct bytes *ret_build_id, struct bytes *ret_checksum)
{
    struct identity copy = {0};

    pthread_mutex_lock(&kept.lock);
    const struct identity *found = look_up(st);
    bool done = found && copy_identity(st, &found->build_id, &found->checksum, &copy);
    pthread_mutex_unlock(&kept.lock);
    if (!done)
        return false;
    *ret_build_id = copy.build_id;
    *ret_checksum = copy.checksum;
    return true;
}

/* ---- in the thread ---- */

static void add_file(struct memory_aside *a, const char *path)
{
    struct identity identity = {0};
    struct stat after;

    if (stat(path, &identity.st) < 0 || !S_ISREG(identity.st.st_mode) ||
        identity.st.st_size > FILE_LIMIT || find(a, &identity.st))
        return;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 ||
        memory_identify_file(fd, identity.st.st_size, &identity.build_id, &identity.checksum) < 0 ||
        fstat(fd, &after) < 0 || !memory_same_file(&identity.st, &after)) {
        identity_clear(&identity);
        return;
    }
    struct identity *place = ARRAY_ADD(&a->identities);
    if (!place) {
        identity_clear(&identity);
        return;
    }
    *place = identity;
    memory_aside_keep(&identity.st, &identity.build_id, &identity.checksum);
}

static void *read_files(void *arg)
{
    _cleanup_proc_maps_ struct proc_maps maps = {0};
    _cleanup_bytes_ struct bytes text = {0};
    struct memory_aside *a = arg;
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/maps", a->pid);
    if (read_file(AT_FDCWD, path, TEXT_LIMIT, &text) < 0 ||
        proc_maps_parse((const char *)text.data, text.size, &maps, NULL) < 0)
        return NULL;
    for (size_t i = 0; i < maps.n && !atomic_load(&a->stop); i++) {
        const struct proc_map *map = &maps.items[i];
        bool again = i > 0 && map->inode == maps.items[i - 1].inode;
        if (map->inode != 0 && !map->shared && map->name[0] == '/' && !again)
            add_file(a, map->name);
    }
    if (!atomic_load(&a->stop))
        note_read(a->pid);
    return NULL;
}

/* ---- the caller's ---- */

static void start(struct memory_aside *a)
{
    a->runs = thread_start_worker(&a->thread, read_files, a) == 0;
}

static void join(struct memory_aside *a)
{
    if (a->runs)
        pthread_join(a->thread, NULL);
    a->runs = false;
}

void memory_aside_begin(struct memory_set *set, pid_t pid)
{
    if (set->aside || was_read(pid))
        return;
    set->aside = calloc(1, sizeof(*set->aside));
    if (!set->aside)
        return;
    set->aside->pid = pid;
    start(set->aside);
}

bool memory_aside_identity(struct memory_set *set, const struct stat *st,
                           struct bytes *ret_build_id, struct bytes *ret_checksum)
{
    struct identity *identity;

    if (find_kept(st, ret_build_id, ret_checksum))
        return true;
    if (!set->aside)
        return false;
    join(set->aside);
    identity = find(set->aside, st);
    /* The first who asks gets it: the same file under another name is read. */
    if (!identity || !identity->checksum.data)
        return false;
    *ret_build_id = identity->build_id;
    *ret_checksum = identity->checksum;
    identity->build_id = identity->checksum = (struct bytes){0};
    return true;
}

void memory_aside_end(struct memory_set *set)
{
    struct memory_aside *a = TAKE_PTR(set->aside);

    if (!a)
        return;
    atomic_store(&a->stop, true);
    join(a);
    for (size_t i = 0; i < a->identities.n; i++)
        identity_clear(&a->identities.items[i]);
    free(a->identities.items);
    free(a);
}
