/* cooperation.c - find the block of a cooperating program, and read it */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "base/io.h"
#include "engine/cooperation.h"
#include "proc/elf.h"

#define MAPS_LIMIT  (1u << 30)
#define FIRST_READ  1024 /* of an image: the ELF header, and mostly the program headers */
#define NOTES_LIMIT (64u << 10)
#define TOP         0x7ffffffff000ull /* end of a process's addresses */

/* A thread of the process that is read: ptrace's permission is asked for by the kernel. */
static int read_memory(pid_t tid, uint64_t address, void *data, size_t size)
{
    struct iovec local = {data, size}, remote = {(void *)address, size};

    if (address >= TOP || size > TOP - address)
        return -EFAULT;
    ssize_t n = process_vm_readv(tid, &local, 1, &remote, 1, 0);
    return n < 0 ? -errno : (size_t)n == size ? 0 : -EFAULT;
}

/* ---- blocks ---- */

bool cooperation_is_sane(const struct cooperation *block)
{
    return block->magic == COOPERATION_MAGIC && block->version == COOPERATION_VERSION &&
           block->size == sizeof(*block) && block->kind >= COOPERATION_FULL &&
           block->kind <= COOPERATION_OMIT;
}

bool cooperation_is_busy(const struct cooperation *block)
{
    return block->phase != COOPERATION_IDLE || (block->sections & COOPERATION_PENDING);
}

bool cooperation_is_alone(const struct cooperation *block, pid_t pid)
{
    bool runs = block->runner_tid != 0 && block->phase != COOPERATION_IDLE;

    return block->pid != pid || (!runs && block->expected == 0);
}

void cooperation_put_back(struct cooperation *block)
{
    block->outcome = COOPERATION_NONE;
    block->code = 0;
    block->phase = COOPERATION_IDLE;
    block->runner = COOPERATION_NOT_RUN;
    block->expected = block->arrived = block->finished = 0;
    block->abort = 0;
    block->forward = COOPERATION_FORWARD_NONE;
    block->owner = 0;
    block->sections &= ~COOPERATION_PENDING;
    block->rounds++;
}

int cooperation_put_back_in(struct tracee *t, uint64_t address, struct crs_error *err)
{
    struct cooperation block;
    const size_t size = offsetof(struct cooperation, destination); /* without the paths */
    int r = tracee_read(t, address, &block, size, err);

    if (r < 0)
        return r;
    cooperation_put_back(&block);
    return tracee_write(t, address, &block, size, err);
}

/* Larger is stronger. */
static int strength(uint32_t kind)
{
    return kind == COOPERATION_FULL ? 3 : kind == COOPERATION_OMIT ? 2 : 1;
}

static void consider(pid_t tid, uint64_t address, struct cooperation_found *best)
{
    struct cooperation block;

    /* The head first: most of the block is room for paths. */
    if (read_memory(tid, address, &block, offsetof(struct cooperation, pid)) < 0 ||
        !cooperation_is_sane(&block) ||
        (best->address && strength(block.kind) <= strength(best->block.kind)) ||
        read_memory(tid, address, &block, sizeof(block)) < 0 || !cooperation_is_sane(&block))
        return;
    block.destination[sizeof(block.destination) - 1] = 0;
    block.source[sizeof(block.source) - 1] = 0;
    best->address = address;
    best->block = block;
}

/* ---- images ---- */

/* The blocks that notes at `address` lead to; counts the notes. A negative value: as below. */
static int search_notes(pid_t tid, uint64_t address, uint64_t size, uint32_t alignment,
                        struct cooperation_found *best)
{
    _cleanup_free_ uint8_t *data = size <= NOTES_LIMIT ? malloc(size) : NULL;
    size_t at = 0, desc;
    int64_t distance;
    int n = 0, r;

    if (!data)
        return size <= NOTES_LIMIT ? -ENOMEM : 0;
    r = read_memory(tid, address, data, size);
    if (r < 0)
        return r;
    while (proc_elf_next_note(data, size, alignment, COOPERATION_NOTE_NAME, COOPERATION_NOTE_TYPE,
                              sizeof(distance), &at, &desc) == 0) {
        memcpy(&distance, data + desc, sizeof(distance));
        consider(tid, address + desc + (uint64_t)distance, best);
        n++;
    }
    return n;
}

/* An image whose first byte is mapped there. How many notes of ours it has; a negative value: it,
 * or a part of it, could not be read, as where the process executes another program meanwhile.
 * Nothing is known of the file then. */
static int search_image(pid_t tid, const struct proc_map *map, struct cooperation_found *best)
{
    uint8_t first[FIRST_READ], others[PROC_ELF_HEADERS_LIMIT * 64], *headers = first;
    struct proc_elf_headers where;
    struct proc_elf_notes notes;
    int n = 0;

    int r = read_memory(tid, map->start, first, sizeof(first));
    if (r < 0 || proc_elf_parse(first, sizeof(first), &where) < 0)
        return r;
    if (where.offset <= sizeof(first) && where.size <= sizeof(first) - where.offset) {
        headers += where.offset;
    } else {
        headers = others;
        if (where.offset > map->end - map->start || where.size > sizeof(others))
            return 0;
        r = read_memory(tid, map->start + where.offset, others, where.size);
        if (r < 0)
            return r;
    }
    if (proc_elf_list_notes(headers, where.size, &notes) < 0)
        return 0;
    for (size_t i = 0; i < notes.n && r >= 0; i++) {
        r = search_notes(tid, map->start + (uint64_t)notes.items[i].distance, notes.items[i].size,
                         notes.items[i].alignment, best);
        n += r < 0 ? 0 : r;
    }
    return r < 0 ? r : n;
}

/* ---- which files have no note ---- */

#define N_KNOWN 256
#define N_NEAR  8

/*
 * Files that were seen without a note. Processes of a tree mostly have the same libraries, and
 * asking each costs several calls. It ends with the thread, as each checkpoint does, or is
 * forgotten before: a file may be written anew in its place.
 */
static _Thread_local struct known_file {
    dev_t dev;
    uint64_t inode, size;
} known_files[N_KNOWN];

static struct known_file identity(const struct proc_map *map)
{
    return (struct known_file){map->dev, map->inode, map->end - map->start};
}

/* Where it stands among those with a place near its own; else the one to be given up for it. */
static struct known_file *place_of(const struct known_file *file)
{
    const uint64_t first = file->inode ^ file->inode >> 8 ^ file->dev;

    for (unsigned i = 0; i < N_NEAR; i++) {
        struct known_file *known = &known_files[(first + i) % N_KNOWN];
        if (known->inode == 0 || (known->inode == file->inode && known->dev == file->dev))
            return known;
    }
    return &known_files[first % N_KNOWN];
}

static bool is_known(const struct known_file *file)
{
    const struct known_file *known = place_of(file);

    return known->inode == file->inode && known->dev == file->dev && known->size == file->size;
}

void cooperation_forget_files(void)
{
    memset(known_files, 0, sizeof(known_files));
}

/* ---- processes ---- */

int cooperation_find_in(pid_t tid, const struct proc_maps *maps, struct cooperation_found *ret,
                        struct crs_error *err)
{
    struct cooperation_found best = {0};

    for (size_t i = 0; i < maps->n; i++) {
        const struct proc_map *map = &maps->items[i];
        const struct known_file file = identity(map);
        if (map->inode == 0 || map->offset != 0 || !(map->protection & PROT_READ) ||
            is_known(&file))
            continue;
        int n = search_image(tid, map, &best);
        if (n == -EPERM || n == -ESRCH)
            return crs_fail(err, n == -EPERM ? CRS_NOT_PERMITTED : CRS_NOT_FOUND, -n,
                            "can't read the memory of process %d: %s", tid, strerror(-n));
        if (n == 0)
            *place_of(&file) = file;
    }
    if (!best.address)
        return crs_fail(err, CRS_NOT_FOUND, ENOENT,
                        "process %d has no library for checkpoints that it takes part in", tid);
    *ret = best;
    return 0;
}

/* A leader that has exited shows no mappings; its other threads do. */
static int read_maps(pid_t pid, pid_t *ret_tid, struct bytes *ret)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    *ret_tid = pid;
    int r = read_file(AT_FDCWD, path, MAPS_LIMIT, ret);
    if (r < 0 || ret->size > 0)
        return r;
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    _cleanup_closedir_ DIR *dir = opendir(path);
    for (struct dirent *e; dir && ret->size == 0 && (e = readdir(dir));) {
        pid_t tid = atoi(e->d_name);
        if (tid <= 0 || tid == pid)
            continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%d/maps", pid, tid);
        bytes_clear(ret);
        if (read_file(AT_FDCWD, path, MAPS_LIMIT, ret) == 0 && ret->size > 0)
            *ret_tid = tid;
    }
    return 0;
}

int cooperation_find(pid_t pid, struct cooperation_found *ret, struct crs_error *err)
{
    _cleanup_proc_maps_ struct proc_maps maps = {0};
    _cleanup_bytes_ struct bytes text = {0};
    pid_t tid;
    int r = read_maps(pid, &tid, &text);

    if (r == -ENOENT || r == -ESRCH)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "there is no process %d", pid);
    if (r < 0)
        return crs_fail(err, CRS_NOT_PERMITTED, r == -EACCES ? EPERM : -r,
                        "can't read the mappings of process %d: %s", pid, strerror(-r));
    r = proc_maps_parse((const char *)text.data, text.size, &maps, err);
    return r < 0 ? r : cooperation_find_in(tid, &maps, ret, err);
}

/* process_vm_readv of a leader that has exited finds no memory: any thread that lives will do. */
static pid_t living_thread(pid_t pid)
{
    _cleanup_bytes_ struct bytes text = {0};
    pid_t tid;

    return read_maps(pid, &tid, &text) == 0 ? tid : pid;
}

int cooperation_read_part(pid_t pid, uint64_t address, size_t offset, void *data, size_t size,
                          struct crs_error *err)
{
    int r = read_memory(pid, address + offset, data, size);

    if (r == -ESRCH)
        r = read_memory(living_thread(pid), address + offset, data, size);
    if (r == -ESRCH)
        return crs_fail(err, CRS_NOT_FOUND, ESRCH, "process %d has ended", pid);
    return r < 0 ? crs_fail(err, CRS_FAILED, -r, "can't read %zu bytes at %#lx of process %d: %s",
                            size, address + offset, pid, strerror(-r))
                 : 0;
}

int cooperation_read(pid_t pid, uint64_t address, struct cooperation *ret, struct crs_error *err)
{
    struct cooperation block;
    int r = cooperation_read_part(pid, address, 0, &block, sizeof(block), err);

    if (r == -EFAULT || (r == 0 && !cooperation_is_sane(&block)))
        return crs_fail(err, CRS_NOT_FOUND, ENOENT,
                        "process %d has no library for checkpoints at %#lx any more", pid, address);
    if (r < 0)
        return r;
    block.destination[sizeof(block.destination) - 1] = 0;
    block.source[sizeof(block.source) - 1] = 0;
    *ret = block;
    return 0;
}
