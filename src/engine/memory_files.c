/* memory_files.c - files mapped by their names, and the executable */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/io.h"
#include "memory_image.h"
#include "store/checksum.h"

static int64_t mtime_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static struct memory_file *find_file(struct memory_set *set, const struct stat *st, uint32_t flags,
                                     bool deleted)
{
    /* From the end: mappings of one file stand beside each other. */
    for (size_t i = set->files.n; i-- > 0;) {
        struct memory_file *file = &set->files.items[i];
        if (file->dev == st->st_dev && file->ino == st->st_ino && file->record->flags == flags &&
            file->deleted == deleted)
            return file;
    }
    return NULL;
}

static int add_file(struct memory_set *set, const char *path, const struct stat *st, uint32_t flags,
                    struct memory_file **ret, struct crs_error *err)
{
    struct memory_file *file = ARRAY_ADD(&set->files);
    Crs__MappedFile *record = file ? malloc(sizeof(*record)) : NULL;

    if (!record) {
        set->files.n -= !!file;
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of mapped files");
    }
    crs__mapped_file__init(record);
    *file = (struct memory_file){.dev = st->st_dev, .ino = st->st_ino, .record = record, .fd = -1};
    record->path = strdup(path);
    if (!record->path)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of mapped files");
    record->id = set->files.n;
    record->size = st->st_size;
    record->mtime_ns = mtime_ns(st);
    record->mode = st->st_mode;
    record->flags = flags;
    *ret = file;
    return 0;
}

/* ---- content that is asked for ---- */

/* Now, while the program stands still, it is the file that is mapped. */
static int hold_content(struct memory_file *file, struct crs_error *err)
{
    const char *path = file->record->path;
    struct stat st;

    if (file->fd >= 0 || !S_ISREG(file->record->mode))
        return 0;
    file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file->fd < 0 || fstat(file->fd, &st) < 0)
        return crs_fail_errno(err, CRS_CANT_CHECKPOINT,
                              "can't read the mapped file %s, which is to be saved", path);
    if (st.st_dev != file->dev || st.st_ino != file->ino)
        return crs_fail(err, CRS_BUSY, EAGAIN, "the mapped file %s was just replaced; try again",
                        path);
    return 0;
}

/* One run for each mapping; those that several processes have alike count once. */
static int add_run(struct memory_file *file, const struct proc_map *map, struct crs_error *err)
{
    const Crs__Run run = {.first = PAGE_OF(map->offset), .count = PAGE_OF(map->end - map->start)};

    for (size_t i = 0; i < file->runs.n; i++)
        if (file->runs.items[i].first == run.first && file->runs.items[i].count == run.count)
            return 0;
    Crs__Run *place = ARRAY_ADD(&file->runs);
    if (!place)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of mapped files");
    *place = (Crs__Run)CRS__RUN__INIT;
    place->first = run.first;
    place->count = run.count;
    return 0;
}

static int want_content(struct memory_image *image, const struct memory_vma *vma,
                        struct memory_file *file, struct crs_error *err)
{
    bool exe = file->record->id == image->exe_file;
    unsigned wanted = image->set->save_files & (exe ? CRS_SAVE_EXECUTABLE : CRS_SAVE_PRIVATE);

    if (!wanted || vma->map.shared || file->deleted)
        return 0;
    int r = hold_content(file, err);
    return r < 0 ? r : add_run(file, &vma->map, err);
}

/* ---- files ---- */

int memory_file_check(const struct proc_map *map, struct stat *ret_st, struct crs_error *err)
{
    unsigned long long start = map->start, end = map->end;

    if (stat(map->name, ret_st) < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, errno,
                        "the mapping %#llx-%#llx is of %s, which isn't there for this tool (%s): "
                        "run the tool where the program sees its files",
                        start, end, map->name, strerror(errno));
    if (ret_st->st_dev == map->dev && ret_st->st_ino != map->inode)
        return crs_fail(err, CRS_CANT_CHECKPOINT, ESTALE,
                        "the mapping %#llx-%#llx is of %s, which is another file for this tool: "
                        "run the tool where the program sees its files",
                        start, end, map->name);
    if (!S_ISREG(ret_st->st_mode) &&
        !(S_ISCHR(ret_st->st_mode) && !map->shared && strcmp(map->name, "/dev/zero") == 0))
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                        "the mapping %#llx-%#llx is of %s, a device, whose memory can't be saved; "
                        "unmap it before the checkpoint",
                        start, end, map->name);
    return 0;
}

int memory_file_get(struct memory_image *image, const struct memory_vma *vma, uint32_t *ret_id,
                    struct crs_error *err)
{
    bool writable = vma->map.shared && (vma->vm_flags & PROC_VM_MAY_WRITE);
    struct stat st = {.st_dev = vma->map.dev, .st_ino = vma->map.inode};
    uint32_t flags = writable ? O_RDWR : O_RDONLY;
    struct memory_file *file = find_file(image->set, &st, flags, false);

    if (!file || strcmp(file->record->path, vma->map.name) != 0) {
        int r = memory_file_check(&vma->map, &st, err);
        if (r < 0)
            return r;
        /* On some file systems maps and stat(2) don't agree on the device. */
        file = find_file(image->set, &st, flags, false);
        if (!file && (r = add_file(image->set, vma->map.name, &st, flags, &file, err)) < 0)
            return r;
    }
    file->record->writable_shared |= writable;
    *ret_id = file->record->id;
    return want_content(image, vma, file, err);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);

    return n > k && strcmp(text + n - k, end) == 0;
}

int memory_find_exe(struct memory_image *image, struct kobj_dump *ctx, struct crs_error *err)
{
    _cleanup_free_ char *path = NULL;
    struct memory_file *file;
    struct stat st, named;
    char link[40];

    snprintf(link, sizeof(link), "task/%d/exe", image->tid);
    int r = read_link(ctx->t->proc_fd, link, &path);

    if (r < 0)
        return crs_fail(err, CRS_NOT_PERMITTED, -r, "can't read which file is executed: %s",
                        strerror(-r));
    if (fstatat(ctx->t->proc_fd, link, &st, 0) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't look at the executable %s", path);
    bool found = stat(path, &named) == 0 && named.st_dev == st.st_dev && named.st_ino == st.st_ino;
    image->exe_deleted = !found && ends_with(path, " (deleted)");
    if (!found && !image->exe_deleted)
        return crs_fail(err, CRS_CANT_CHECKPOINT, ESTALE,
                        "the executable %s isn't the same file for this tool: run the tool where "
                        "the program sees its files",
                        path);
    if (image->exe_deleted)
        path[strlen(path) - strlen(" (deleted)")] = 0;
    file = find_file(image->set, &st, O_RDONLY, image->exe_deleted);
    bool known = file && strcmp(file->record->path, path) == 0;
    if (!known && (r = add_file(image->set, path, &st, O_RDONLY, &file, err)) < 0)
        return r;
    image->exe_dev = st.st_dev;
    image->exe_ino = st.st_ino;
    image->exe_file = file->record->id;
    file->whole = true; /* it may look into itself */
    if (!image->exe_deleted)
        return image->set->save_files & CRS_SAVE_EXECUTABLE ? hold_content(file, err) : 0;
    file->deleted = true;
    if (known)
        return 0;
    file->fd = openat(ctx->t->proc_fd, link, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0)
        return crs_fail_errno(err, CRS_CANT_CHECKPOINT,
                              "can't read the executable %s, which was deleted", path);
    return 0;
}

int memory_checksum_file(int fd, uint64_t size, struct bytes *ret)
{
    uint8_t checksum[CHECKSUM_SIZE];
    int r = checksum_of_file(fd, size, checksum);

    return r < 0 ? r : bytes_copy(ret, checksum, sizeof(checksum));
}

int memory_identify_file(int fd, uint64_t size, struct bytes *ret_build_id,
                         struct bytes *ret_checksum)
{
    if (elf_build_id(fd, ret_build_id) == -ENOMEM)
        return -ENOMEM;
    return size <= MEMORY_CHECKSUM_LIMIT ? memory_checksum_file(fd, size, ret_checksum) : 0;
}

static void set_bytes(ProtobufCBinaryData *to, struct bytes *from)
{
    to->data = from->data;
    to->len = from->size;
    *from = (struct bytes){0};
}

/* What tells whether the file is the same at the restart. A file that can't be read now is known
 * by its size and time only. */
static int identify(struct memory_set *set, struct memory_file *file, struct crs_error *err)
{
    _cleanup_close_ int fd = open(file->record->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    _cleanup_bytes_ struct bytes id = {0}, checksum = {0};
    struct stat st, after;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || file->record->writable_shared)
        return 0;
    if ((uint64_t)st.st_size != file->record->size || mtime_ns(&st) != file->record->mtime_ns)
        return 0; /* just changed: then it is known by the time of the checkpoint */
    if (!memory_aside_identity(set, &st, &id, &checksum)) {
        if (memory_identify_file(fd, file->record->size, &id, &checksum) == -ENOMEM)
            return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a checksum");
        if (fstat(fd, &after) == 0 && memory_same_file(&st, &after))
            memory_aside_keep(&st, &id, &checksum);
    }
    if (id.size > 0)
        set_bytes(&file->record->build_id, &id);
    if (checksum.size > 0)
        set_bytes(&file->record->checksum, &checksum);
    return 0;
}

static int save_content(struct memory_file *file, struct store_writer *writer,
                        struct crs_error *err)
{
    Crs__MappedFile *record = file->record;

    if (file->whole)
        return store_put_content(writer, file->fd, record->size, &record->deleted, err);
    return store_put_content_runs(writer, file->fd, record->size, file->runs.items, file->runs.n,
                                  &record->deleted, err);
}

int memory_files_finish(struct memory_set *set, struct kobj_dump *ctx, struct crs_error *err)
{
    for (size_t i = 0; i < set->files.n; i++) {
        struct memory_file *file = &set->files.items[i];
        int r = file->fd < 0 ? identify(set, file, err) : save_content(file, ctx->writer, err);
        if (r < 0)
            return crs_fail_at(err, r, "mapped file %s", file->record->path);
    }
    return 0;
}
