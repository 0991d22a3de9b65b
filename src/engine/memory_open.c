/* memory_open.c - what a restarted address space is made from: files, objects, packs */
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "memory_restore.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif

static int *new_numbers(size_t n)
{
    int *numbers = malloc((n + 1) * sizeof(*numbers));

    for (size_t i = 0; numbers && i < n; i++)
        numbers[i] = -1;
    return numbers;
}

static uint32_t count_packs(const Crs__Memory *memory)
{
    uint32_t n = 0;

    for (size_t i = 0; i < memory->n_spaces; i++)
        for (size_t k = 0; k < memory->spaces[i]->n_chunks; k++) {
            uint32_t pack = memory->spaces[i]->chunks[k]->pack;
            if (pack >= n && pack < UINT32_MAX)
                n = pack + 1;
        }
    return n;
}

static int make_state(struct kobj_restore *ctx, struct crs_error *err)
{
    struct memory_files *f = calloc(1, sizeof(*f));
    uint32_t n_packs = count_packs(ctx->memory);

    if (n_packs > 65536) {
        free(f);
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "the snapshot has a chunk in pack %u",
                        n_packs - 1);
    }
    ctx->memory_files = f;
    if (!f)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a list of files");
    f->old_limit = -1;
    f->mapped = new_numbers(f->n_mapped = ctx->memory->n_files);
    f->objects = new_numbers(f->n_objects = ctx->memory->n_objects);
    f->readonly_objects = new_numbers(ctx->memory->n_objects);
    f->packs = new_numbers(f->n_packs = n_packs);
    if (!f->mapped || !f->objects || !f->readonly_objects || !f->packs)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a list of files");
    return 0;
}

/* Many libraries need more numbers than the usual limit of 1024 leaves. */
static void raise_limit(struct memory_files *f)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max)
        return;
    f->old_limit = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max < (1 << 20) ? limit.rlim_max : (1 << 20);
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        f->old_limit = -1;
}

/* A number for the stub; fd stays the caller's. */
static int place(int fd, int *ret, struct crs_error *err)
{
    *ret = fcntl(fd, F_DUPFD, MEMORY_FD_BASE);
    if (*ret < 0)
        return crs_fail_errno(err, CRS_FAILED,
                              "no descriptor number is left for the files to map (ulimit -n)");
    return 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* A file that has no name any more: its content in a nameless file, open for reading only, since
 * it may have to be executed. */
static int make_deleted(struct kobj_restore *ctx, const Crs__MappedFile *file, int *ret_fd,
                        struct crs_error *err)
{
    char name[200], path[40];

    snprintf(name, sizeof(name), "%s", base_name(file->path));
    _cleanup_close_ int fd = memfd_create(name, MFD_CLOEXEC | MFD_EXEC);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't make a file for %s, which was deleted",
                              file->path);
    int r = store_get_content(ctx->reader, file->deleted, fd, err);
    if (r < 0)
        return r;
    if (fchmod(fd, file->mode & 0777) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't set the mode of %s", file->path);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
    return *ret_fd < 0 ? crs_fail_errno(err, CRS_FAILED, "can't reopen %s", path) : 0;
}

static int open_mapped(struct kobj_restore *ctx, uint32_t id, struct crs_error *err)
{
    const Crs__MappedFile *file = ctx->memory->files[id - 1];
    int *number = &ctx->memory_files->mapped[id - 1];
    _cleanup_close_ int fd = -1;
    int r = 0;

    if (*number >= 0)
        return 0;
    if (file->deleted) {
        r = make_deleted(ctx, file, &fd, err);
        return r < 0 ? r : place(fd, number, err);
    }
    fd = open(file->path, (file->flags & O_ACCMODE) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't open the mapped file %s", file->path);
    return place(fd, number, err);
}

static int open_object(struct kobj_restore *ctx, const Crs__Vma *vma, struct crs_error *err)
{
    bool writable = vma_has(vma, CRS__VMA_FLAG__VMA_FLAG_MAY_WRITE);
    struct memory_files *f = ctx->memory_files;
    int *number = writable ? &f->objects[vma->object - 1] : &f->readonly_objects[vma->object - 1];
    _cleanup_close_ int reader = -1;
    char path[40];
    int fd;

    if (*number >= 0)
        return 0;
    int r = kobj_object_open(ctx, vma->object, &fd, err);
    if (r < 0 || writable)
        return r < 0 ? r : place(fd, number, err);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    reader = open(path, O_RDONLY | O_CLOEXEC);
    if (reader < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't reopen a shared memory object");
    return place(reader, number, err);
}

static int open_packs(struct kobj_restore *ctx, const Crs__AddressSpace *space,
                      struct crs_error *err)
{
    for (size_t i = 0; i < space->n_chunks; i++) {
        int *number = &ctx->memory_files->packs[space->chunks[i]->pack];
        int fd;
        if (*number >= 0 || space->chunks[i]->codec != CRS__CODEC__CODEC_NONE)
            continue;
        int r = store_reader_pack_fd(ctx->reader, space->chunks[i]->pack, &fd, err);
        if (r == 0)
            r = place(fd, number, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int open_space(struct kobj_restore *ctx, const Crs__AddressSpace *space,
                      struct crs_error *err)
{
    int shmid, r = open_mapped(ctx, space->exe, err);

    for (size_t i = 0; r == 0 && i < space->n_vmas; i++) {
        const Crs__Vma *vma = space->vmas[i];
        if (vma->kind == CRS__VMA_KIND__VMA_FILE_PRIVATE ||
            vma->kind == CRS__VMA_KIND__VMA_FILE_SHARED)
            r = open_mapped(ctx, vma->file, err);
        else if (memory_vma_is_sysv(ctx->memory, vma))
            r = kobj_sysv_open(ctx, vma->object, &shmid, err);
        else if (vma->kind == CRS__VMA_KIND__VMA_OBJECT)
            r = open_object(ctx, vma, err);
    }
    return r < 0 ? r : open_packs(ctx, space, err);
}

int memory_open_files(struct kobj_restore *ctx, struct crs_error *err)
{
    const Crs__Memory *memory = ctx->memory;
    int r = 0;

    for (size_t i = 0; r == 0 && i < memory->n_spaces; i++)
        r = memory_check_layout(memory, memory->spaces[i], err);
    if (r == 0)
        r = make_state(ctx, err);
    if (r < 0)
        return r;
    raise_limit(ctx->memory_files);
    for (size_t i = 0; r == 0 && i < memory->n_spaces; i++)
        r = open_space(ctx, memory->spaces[i], err);
    return r;
}

int memory_exe_number(const struct kobj_restore *ctx, const Crs__AddressSpace *space)
{
    return ctx->memory_files->mapped[space->exe - 1];
}

int memory_open_exe(struct kobj_restore *ctx, const Crs__AddressSpace *space, int *ret_fd,
                    struct crs_error *err)
{
    *ret_fd = fcntl(memory_exe_number(ctx, space), F_DUPFD_CLOEXEC, 3);
    return *ret_fd < 0 ? crs_fail_errno(err, CRS_FAILED, "can't duplicate a descriptor") : 0;
}

/* ---- the end ---- */

int memory_close_remote(struct kobj_restore *ctx, struct crs_error *err)
{
    return REMOTE_CHECKED(tracee_main(ctx->t), NULL, err, CRS_FAILED, "close descriptors",
                          SYS_close_range, MEMORY_FD_BASE, UINT32_MAX, 0);
}

static void close_all(int *numbers, size_t n)
{
    for (size_t i = 0; numbers && i < n; i++)
        cleanup_close(&numbers[i]);
    free(numbers);
}

void memory_close_files(struct kobj_restore *ctx)
{
    struct memory_files *f = TAKE_PTR(ctx->memory_files);
    struct rlimit limit;
    int saved = errno;

    if (!f)
        return;
    close_all(f->mapped, f->n_mapped);
    close_all(f->objects, f->n_objects);
    close_all(f->readonly_objects, f->n_objects);
    close_all(f->packs, f->n_packs);
    if (f->old_limit >= 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = f->old_limit;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    free(f);
    errno = saved;
}
