/* memory_check.c - can a saved address space be built up here? */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "memory_restore.h"

static int differs(const Crs__MappedFile *file, const char *words, struct crs_error *err)
{
    return crs_fail(err, CRS_CANT_RESTART, ESTALE,
                    "the mapped file %s is not the one that the program was using: %s; put the "
                    "same file there",
                    file->path, words);
}

static int compare_content(const Crs__MappedFile *file, int fd, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes id = {0}, checksum = {0};

    if (file->build_id.len > 0) {
        bool same = elf_build_id(fd, &id) == 0 && id.size == file->build_id.len &&
                    memcmp(id.data, file->build_id.data, id.size) == 0;
        if (!same)
            return differs(file, "its build-id differs", err);
    }
    if (file->checksum.len > 0) {
        int r = memory_checksum_file(fd, file->size, &checksum);
        if (r < 0)
            return crs_fail(err, CRS_CANT_RESTART, -r, "can't read the mapped file %s: %s",
                            file->path, strerror(-r));
        if (checksum.size != file->checksum.len ||
            memcmp(checksum.data, file->checksum.data, checksum.size) != 0)
            return differs(file, "its content differs", err);
    }
    if (file->build_id.len == 0 && file->checksum.len == 0)
        return differs(file, "it was changed since (and is too large to be compared)", err);
    return 0;
}

static int compare(const Crs__MappedFile *file, int fd, struct crs_error *err)
{
    char words[100];
    struct stat st;

    if (fstat(fd, &st) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't look at the mapped file %s",
                              file->path);
    if ((st.st_mode & S_IFMT) != (file->mode & S_IFMT))
        return differs(file, "it is of another type", err);
    if (!S_ISREG(st.st_mode))
        return 0;
    uint64_t size = st.st_size;
    if (file->writable_shared ? size < file->size : size != file->size) {
        snprintf(words, sizeof(words), "it has %llu bytes and had %llu", (unsigned long long)size,
                 (unsigned long long)file->size);
        return differs(file, words, err);
    }
    int64_t mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    if (file->writable_shared || mtime_ns == file->mtime_ns)
        return 0;
    return compare_content(file, fd, err);
}

static int check_file(const Crs__MappedFile *file, struct crs_error *err)
{
    if (file->deleted)
        return 0;
    if (file->path[0] != '/')
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "the snapshot has a mapped file without a path");
    _cleanup_close_ int fd =
        open(file->path, (file->flags & O_ACCMODE) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return crs_fail(err, CRS_CANT_RESTART, errno,
                        "the mapped file %s, which the program was using, can't be opened: %s",
                        file->path, strerror(errno));
    return compare(file, fd, err);
}

int memory_check(struct kobj_restore *ctx, struct crs_error *err)
{
    const Crs__Memory *memory = ctx->memory;
    int r = 0;

    for (size_t i = 0; r == 0 && i < memory->n_spaces; i++) {
        r = memory_check_layout(memory, memory->spaces[i], err);
        if (r == 0)
            r = memory_mark_pages(memory->spaces[i], NULL, err);
        if (r == 0)
            r = memory_check_keys(memory->spaces[i], err);
        if (r == 0)
            r = memory_check_vdso(memory->spaces[i], err);
    }
    for (size_t i = 0; r == 0 && i < memory->n_files; i++)
        r = check_file(memory->files[i], err);
    for (size_t i = 0; r == 0 && i < memory->n_objects; i++)
        r = kobj_object_check(ctx, memory->objects[i], err);
    return r < 0 ? r : memory_check_huge(ctx, err);
}
