/* publish.c - a snapshot appears: manifest, sync, rename */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "store/manifest.h"
#include "writer.h"

static json_t *time_text(void)
{
    struct timespec now;
    struct tm utc;
    char text[64];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + n, sizeof(text) - n, ".%03ldZ", now.tv_nsec / 1000000);
    return json_string(text);
}

/* In what was linked, too. */
static bool has_codec(const struct store_writer *w, unsigned kind)
{
    for (size_t i = 0; i < w->index.chunks.n; i++)
        if (codec_inner((Crs__Codec)w->index.chunks.items[i].codec) == kind &&
            w->index.chunks.items[i].live_pages)
            return true;
    return false;
}

/* What a reader must be able to do, beyond what every reader of this version can. */
static json_t *required_features(const struct store_writer *w, const json_t *info)
{
    json_t *list = json_array(), *item;
    size_t i;

    for (unsigned kind = CRS__CODEC__CODEC_NONE + 1; kind < CODEC_KINDS; kind++)
        if ((writer_codec_bits(w) & 1u << kind) || has_codec(w, kind))
            json_array_append_new(list, json_string(codec_name((Crs__Codec)kind)));
    if (w->seal)
        json_array_append_new(list, json_string(FEATURE_ENCRYPTION));
    json_array_foreach(json_object_get(info, "requires"), i, item) json_array_append(list, item);
    return list;
}

static json_t *list_files(const struct store_writer *w)
{
    json_t *list = json_array();

    for (size_t i = 0; i < w->files.n; i++) {
        const struct writer_file *f = &w->files.items[i];
        char checksum[CHECKSUM_TEXT_SIZE];
        json_t *item =
            json_pack("{s:s, s:I}", "name", f->name, "size_bytes", (json_int_t)f->size_bytes);
        if (f->has_checksum) {
            checksum_text(f->checksum, checksum);
            json_object_set_new(item, "checksum", json_string(checksum));
        }
        if (json_array_append_new(list, item) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* The writer's members first and last, those of `info` between them. */
static int make_manifest(struct store_writer *w, json_t *info, struct bytes *ret,
                         struct crs_error *err)
{
    json_auto_t *files = list_files(w), *time = time_text();
    json_auto_t *requires = required_features(w, info);
    json_auto_t *manifest = json_pack("{s:s, s:i, s:O*, s:s, s:O*}", "format", FORMAT_NAME,
                                      "version", STORE_FORMAT_VERSION, "requires", requires, "tool",
                                      "crs " CRS_VERSION, "time", time);
    json_auto_t *codecs = writer_codecs(w);
    uint64_t raw, stored;

    store_writer_sizes(w, &raw, &stored);
    if (!files || !time || !requires || !manifest ||
        json_object_update_missing(manifest, info) < 0 ||
        (!json_object_get(manifest, "memory_bytes") &&
         json_object_set_new(manifest, "memory_bytes", json_integer(raw)) < 0) ||
        json_object_set(manifest, "codecs", codecs) < 0 ||
        json_object_set(manifest, "files", files) < 0)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the manifest of %s", w->path);
    json_object_del(manifest, "checksum");
    if (w->seal && json_object_set_new(manifest, MANIFEST_ENCRYPTION, seal_describe(w->seal)) < 0)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the manifest of %s", w->path);
    if (w->linked_bytes == 0)
        json_object_del(manifest, "base");
    return manifest_seal(manifest, ret, err);
}

static int sync_file(struct store_writer *w, const char *name, struct crs_error *err)
{
    _cleanup_close_ int fd = openat(w->temporary.fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return crs_fail_errno(err, CRS_STORAGE, "can't sync %s of %s", name, w->path);
    return 0;
}

/* Some file systems can't sync a directory, and say so with EINVAL: it's all that can be had. */
static int sync_directory(int fd)
{
    return fsync(fd) == 0 || errno == EINVAL ? 0 : -errno;
}

/* The disk gets all of them at once: a journal that is written for the first of those that are
 * synced then has the others in it. What fails here fails again at the sync. */
static void begin_sync(struct store_writer *w, const char *name)
{
    _cleanup_close_ int fd = openat(w->temporary.fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0)
        sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

/* Everything to the disk; the names last. */
static int sync_files(struct store_writer *w, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; i < w->files.n; i++)
        begin_sync(w, w->files.items[i].name);
    begin_sync(w, MANIFEST_NAME);
    for (size_t i = 0; i < w->files.n && r == 0; i++)
        r = sync_file(w, w->files.items[i].name, err);
    if (r == 0)
        r = sync_file(w, MANIFEST_NAME, err);
    if (r == 0 && sync_directory(w->temporary.fd) < 0)
        r = crs_fail_errno(err, CRS_STORAGE, "can't sync %s", w->path);
    /* What the thread was told, these syncs were not. */
    int before = flusher_finish(&w->flusher);
    if (r == 0 && before < 0)
        r = crs_fail(err, CRS_STORAGE, -before, "can't sync the packs of %s: %s", w->path,
                     strerror(-before));
    return r;
}

/* Rename without replacing; where the file system can't say that, nothing but an empty directory
 * could be replaced by a directory. */
static int rename_exclusive(int from_fd, const char *from, int to_fd, const char *to)
{
    struct stat st;

    if (renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    if (fstatat(to_fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    return renameat(from_fd, from, to_fd, to) == 0 ? 0 : -errno;
}

static int appear(struct store_writer *w, struct crs_error *err)
{
    struct temporary *t = &w->temporary;
    int from_fd = w->stream ? t->fd : t->parent_fd;
    const char *from = w->stream ? STREAM_NAME : t->name;

    int r = rename_exclusive(from_fd, from, t->parent_fd, w->final);
    if (r == -EEXIST || r == -ENOTEMPTY || r == -ENOTDIR)
        return crs_fail(err, CRS_BUSY, EEXIST, "%s was made by somebody else meanwhile", w->path);
    if (r < 0) {
        errno = -r;
        return crs_fail_errno(err, CRS_STORAGE, "can't rename the finished snapshot to %s",
                              w->path);
    }
    if (sync_directory(t->parent_fd) < 0) {
        r = crs_fail_errno(err, CRS_STORAGE, "can't sync the directory of %s", w->path);
        if (rename_exclusive(t->parent_fd, w->final, from_fd, from) < 0 && !w->stream)
            t->name[0] = 0; /* it stays, whole as far as we know; it isn't promised */
        return r;
    }
    if (w->stream) { /* the directory that it grew in is of no use any more */
        temporary_clear(t);
        return 0;
    }
    unlinkat(t->fd, LOCK_NAME, 0);
    t->name[0] = 0;
    return 0;
}

int writer_publish(struct store_writer *w, const struct bytes *manifest, uint64_t *ret_size_bytes,
                   struct crs_error *err)
{
    uint64_t size = manifest->size;

    int r = writer_put_file(w, MANIFEST_NAME, manifest->data, manifest->size, err);
    if (r == 0)
        r = w->stream ? stream_writer_finish(w->stream, err) : sync_files(w, err);
    if (r == 0 && w->temporary.fd >= 0)
        r = appear(w, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < w->files.n; i++)
        size += w->files.items[i].size_bytes;
    *ret_size_bytes = w->stream ? stream_writer_size(w->stream) : size;
    return 0;
}

static int publish(struct store_writer *w, json_t *info, uint64_t *ret_size_bytes,
                   struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};

    int r = writer_finish_packs(w, err);
    if (r == 0)
        r = make_manifest(w, info, &text, err);
    return r == 0 ? writer_publish(w, &text, ret_size_bytes, err) : r;
}

int store_writer_publish(struct store_writer *w, json_t *info, uint64_t *ret_size_bytes,
                         struct crs_error *err)
{
    json_auto_t *owned = info;
    uint64_t size;

    if (!json_is_object(owned))
        return crs_fail(err, CRS_FAILED, EINVAL, "what was saved isn't told as an object");
    return publish(w, owned, ret_size_bytes ? ret_size_bytes : &size, err);
}
