/* memory_session.c - what stays of a checkpoint for the next one of the same processes */
#include "engine/memory_session.h"

#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "memory_live.h"
#include "proc/stat.h"

#define RANDOM_SIZE   16
#define GATHERED_RUNS 65536

/* Of a program: another one that is executed in its place has other random bytes. */
struct identity {
    uint64_t start_time;
    uint8_t random[RANDOM_SIZE];
};

struct item {
    pid_t pid;
    struct identity identity;
    struct memory_live *live;
};

struct memory_session {
    ARRAY_OF(struct item) items;
    char *snapshot; /* store_snapshot_id(): the chunks are in that one */
};

struct memory_session *memory_session_new(void)
{
    return calloc(1, sizeof(struct memory_session));
}

pid_t memory_session_pid(const struct memory_session *session, size_t n)
{
    return session && n < session->items.n ? session->items.items[n].pid : 0;
}

bool memory_session_has(const struct memory_session *session, pid_t pid)
{
    for (size_t i = 0; session && i < session->items.n; i++)
        if (session->items.items[i].pid == pid)
            return true;
    return false;
}

void memory_session_clear(struct memory_session *session)
{
    for (size_t i = 0; i < session->items.n; i++)
        memory_live_free(session->items.items[i].live);
    session->items.n = 0;
    free(session->snapshot);
    session->snapshot = NULL;
}

void memory_session_free(struct memory_session *session)
{
    if (!session)
        return;
    memory_session_clear(session);
    free(session->items.items);
    free(session);
}

void memory_set_use(struct memory_set *set, struct memory_session *session)
{
    set->session = session;
}

/* ---- who it is ---- */

static int read_random(pid_t pid, uint8_t *ret)
{
    _cleanup_bytes_ struct bytes auxv = {0};
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
    int r = read_file(AT_FDCWD, path, 65536, &auxv);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "/proc/%d/mem", pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (size_t i = 0; i + sizeof(Elf64_auxv_t) <= auxv.size; i += sizeof(Elf64_auxv_t)) {
        Elf64_auxv_t entry;
        memcpy(&entry, auxv.data + i, sizeof(entry));
        if (entry.a_type == AT_RANDOM)
            return pread_full(fd, ret, RANDOM_SIZE, entry.a_un.a_val);
    }
    return -ENODATA;
}

static int identify(pid_t pid, struct identity *ret)
{
    _cleanup_bytes_ struct bytes text = {0};
    struct proc_stat stat;
    char path[40];

    *ret = (struct identity){0};
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    int r = read_file(AT_FDCWD, path, 8192, &text);
    if (r == 0)
        r = proc_stat_parse((const char *)text.data, &stat);
    if (r < 0)
        return r;
    ret->start_time = stat.start_time;
    return read_random(pid, ret->random);
}

/* ---- for the next checkpoint ---- */

static bool is_good(const struct memory_session *session, const struct item *item,
                    struct store_writer *w)
{
    const char *base = store_writer_base_id(w);
    struct identity now;

    return base && session->snapshot && strcmp(base, session->snapshot) == 0 &&
           identify(item->pid, &now) == 0 && now.start_time == item->identity.start_time &&
           memcmp(now.random, item->identity.random, RANDOM_SIZE) == 0;
}

struct memory_live *memory_session_take(struct memory_image *image, struct store_writer *w)
{
    struct memory_session *session = image->set->session;

    for (size_t i = 0; session && i < session->items.n; i++) {
        struct item item = session->items.items[i];
        if (item.pid != image->pid)
            continue;
        session->items.items[i] = session->items.items[--session->items.n];
        if (is_good(session, &item, w))
            return item.live;
        memory_live_free(item.live);
        return NULL;
    }
    return NULL;
}

/* Runs on their way into a set, which is united with many at once. */
struct gathered {
    struct page_runs *set;
    size_t n;
    struct page_run items[GATHERED_RUNS];
};

static int compare_runs(const void *a, const void *b)
{
    uint64_t x = ((const struct page_run *)a)->first, y = ((const struct page_run *)b)->first;

    return (x > y) - (x < y);
}

static int gathered_unite(struct gathered *g)
{
    _cleanup_page_runs_ struct page_runs some = {0};

    qsort(g->items, g->n, sizeof(g->items[0]), compare_runs);
    for (size_t i = 0; i < g->n; i++)
        if (page_runs_add(&some, g->items[i].first, g->items[i].count) < 0)
            return -ENOMEM;
    g->n = 0;
    return page_runs_unite(g->set, &some);
}

/* Each page is in one chunk only. */
static int gather(struct gathered *g, const Crs__Chunk *chunk)
{
    struct chunk_run run;
    int r = 0;

    chunk_runs_each (run, chunk) {
        if (run.dropped)
            continue;
        if (g->n == GATHERED_RUNS)
            r = gathered_unite(g);
        if (r < 0)
            return r;
        g->items[g->n++] = (struct page_run){run.first, run.count};
    }
    return 0;
}

static bool is_mostly_dropped(const Crs__Chunk *chunk)
{
    return 2 * chunk_live_pages(chunk) * PAGE < chunk->raw_bytes;
}

int memory_session_prune(struct memory_live *live, struct store_writer *w)
{
    _cleanup_free_ struct gathered *g = malloc(sizeof(*g));
    int r = g ? 0 : -ENOMEM;

    if (g)
        g->set = &live->again, g->n = 0;
    for (size_t i = 0; r == 0 && i < live->chunks.n; i++) {
        const Crs__Chunk *chunk = live->chunks.items[i];
        if (chunk && (is_mostly_dropped(chunk) || !store_keep_chunk(w, chunk)))
            r = gather(g, chunk);
    }
    if (r == 0)
        r = gathered_unite(g);
    return r == 0 ? live_forget(live, &live->again) : r;
}

int memory_session_narrow(struct memory_live *live)
{
    _cleanup_page_runs_ struct page_runs tracked = {0}, gone = {0};
    int r = 0;

    for (size_t i = 0; r == 0 && i < live->ranges.n; i++) {
        const struct live_range *range = &live->ranges.items[i];
        r = page_runs_add(&tracked, PAGE_OF(range->start), PAGE_OF(range->end - range->start));
    }
    if (r == 0)
        r = page_runs_subtract(&live->covered, &tracked, &gone);
    return r == 0 ? live_forget(live, &gone) : r;
}

/* ---- after a checkpoint ---- */

static Crs__AddressSpace *find_space(const Crs__Memory *memory, uint32_t id)
{
    for (size_t i = 0; i < memory->n_spaces; i++)
        if (memory->spaces[i]->id == id)
            return memory->spaces[i];
    return NULL;
}

/* Those chunks of the record that hold pages of the set, without the others. */
static int take_chunks(struct memory_live *live, Crs__AddressSpace *space)
{
    for (size_t i = 0; i < space->n_chunks; i++) {
        Crs__Chunk **place = ARRAY_ADD(&live->chunks);
        if (!place)
            return -ENOMEM;
        *place = space->chunks[i];
        space->chunks[i] = NULL;
    }
    free(space->chunks);
    space->chunks = NULL;
    space->n_chunks = 0;
    return live_drop_others(live, &live->covered);
}

/* 0, or why it is given up. */
static int make_lasting(struct memory_live *live, Crs__AddressSpace *space)
{
    page_runs_clear(&live->covered);
    live->covered = live->kept;
    live->kept = (struct page_runs){0};
    int r = page_runs_unite(&live->covered, &live->fresh);

    page_runs_clear(&live->fresh);
    page_runs_clear(&live->marked);
    page_runs_clear(&live->again);
    page_runs_clear(&live->late);
    live_forget_rounds(live);
    memset(&live->rounds, 0, sizeof(live->rounds));
    live->chunks.n = 0; /* they are in the record */
    live->early = false;
    cleanup_close(&live->pagemap_fd);
    cleanup_close(&live->mem_fd);
    live->pagemap_fd = live->mem_fd = -1;
    tracee_timeouts_clear(&live->timeouts);
    return r == 0 ? take_chunks(live, space) : r;
}

static int keep_image(struct memory_session *session, struct memory_image *image,
                      Crs__Memory *memory)
{
    Crs__AddressSpace *space = find_space(memory, image->space_id);
    struct item item = {.pid = image->pid};
    struct item *place = NULL;
    int r = space ? identify(image->pid, &item.identity) : -ENOENT;

    if (r == 0)
        r = make_lasting(image->live, space);
    if (r == 0 && !(place = ARRAY_ADD(&session->items)))
        r = -ENOMEM;
    if (r < 0)
        return r;
    proc_smaps_clear(&image->live->smaps);
    image->live->smaps = image->smaps;
    image->smaps = (struct proc_smaps){0};
    image->live->was_huge = image->huge.n > 0;
    page_runs_clear(&image->huge); /* they stay marked */
    item.live = TAKE_PTR(image->live);
    *place = item;
    return 0;
}

void memory_session_keep(struct memory_set *set, Crs__Memory *memory, const char *path)
{
    struct memory_session *session = set->session;

    if (!session)
        return;
    memory_session_clear(session);
    session->snapshot = store_snapshot_id(path);
    for (size_t i = 0; session->snapshot && i < set->images.n; i++) {
        struct memory_image *image = set->images.items[i];
        if (image->live && image->live->lasting && !image->live->given_up && image->live->track)
            keep_image(session, image, memory);
    }
}
