/* writer.c - a snapshot being written: open, records, free */
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "store/message.h"
#include "writer.h"

/* `path` without slashes at its end, and the directory that it is in. */
static int split_path(const char *path, char **ret_path, const char **ret_final, char **ret_parent,
                      struct crs_error *err)
{
    _cleanup_free_ char *whole = strdup(path);
    _cleanup_free_ char *parent = NULL;

    if (!whole)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t n = strlen(whole); n > 1 && whole[n - 1] == '/'; n--)
        whole[n - 1] = 0;
    char *slash = strrchr(whole, '/');
    const char *final = slash ? slash + 1 : whole;
    if (!*final || strcmp(final, ".") == 0 || strcmp(final, "..") == 0)
        return crs_fail(err, CRS_USAGE, EINVAL, "'%s' can't be the directory of a new snapshot",
                        path);
    if (strlen(final) > NAME_MAX)
        return crs_fail(err, CRS_USAGE, ENAMETOOLONG, "'%s' is too long a name", final);
    if (temporary_is_name(final, NULL))
        return crs_fail(err, CRS_USAGE, EINVAL, "'%s' is a name of unfinished snapshots", final);
    if (!slash)
        parent = strdup(".");
    else if (slash == whole)
        parent = strdup("/");
    else
        parent = strndup(whole, slash - whole);
    if (!parent)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    *ret_final = final;
    *ret_path = TAKE_PTR(whole);
    *ret_parent = TAKE_PTR(parent);
    return 0;
}

static int open_parent(struct store_writer *w, const char *parent, struct crs_error *err)
{
    struct stat st;

    _cleanup_close_ int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return crs_fail_errno(err, CRS_STORAGE, "can't open %s", parent);
    if (fstatat(fd, w->final, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return crs_fail(err, CRS_USAGE, EEXIST,
                        "%s exists already; a snapshot is never written "
                        "over, choose another name or remove it",
                        w->path);
    if (errno != ENOENT)
        return crs_fail_errno(err, CRS_STORAGE, "can't look at %s", w->path);
    temporary_clean(fd);
    return temporary_make(TAKE_FD(fd), w->final, parent, &w->temporary, err);
}

static int writer_new(const char *compress, struct store_writer **ret, struct crs_error *err)
{
    struct store_writer *w = calloc(1, sizeof(*w));

    if (!w)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    w->temporary = (struct temporary)TEMPORARY_NONE;
    w->file_limit = max_file_size();
    limiter_init(&w->limiter, 0, NULL);
    flusher_init(&w->flusher, false);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->idle, NULL);
    int r = codec_parse(compress, &w->codec, err);
    if (r < 0)
        store_writer_free(w);
    else
        *ret = w;
    return r;
}

int store_writer_open(const char *path, const char *compress, struct store_writer **ret,
                      struct crs_error *err)
{
    _cleanup_(cleanup_store_writer) struct store_writer *w = NULL;
    _cleanup_free_ char *parent = NULL;

    int r = writer_new(compress, &w, err);
    if (r == 0)
        r = split_path(path, &w->path, &w->final, &parent, err);
    if (r == 0)
        r = open_parent(w, parent, err);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(w);
    return 0;
}

/* It grows in a directory of its own, which goes with its writer, and is renamed out of that. */
int store_writer_open_file(const char *path, const char *compress,
                           const struct store_patience *patience, struct store_writer **ret,
                           struct crs_error *err)
{
    _cleanup_(cleanup_store_writer) struct store_writer *w = NULL;
    _cleanup_close_ int fd = -1;

    int r = store_writer_open(path, compress, &w, err);
    if (r == 0)
        r = writer_create_file(w, STREAM_NAME, &fd, err);
    if (r == 0)
        r = stream_writer_open(fd, true, patience, &w->stream, err);
    if (r < 0)
        return r;
    fd = -1; /* it is the stream's now */
    *ret = TAKE_PTR(w);
    return 0;
}

int store_writer_open_fd(int fd, const char *path, const char *compress,
                         const struct store_patience *patience, struct store_writer **ret,
                         struct crs_error *err)
{
    _cleanup_(cleanup_store_writer) struct store_writer *w = NULL;

    int r = writer_new(compress, &w, err);
    if (r < 0)
        return r;
    w->path = strdup(path);
    if (!w->path)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    r = stream_writer_open(fd, false, patience, &w->stream, err);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(w);
    return 0;
}

void store_writer_pace(struct store_writer *w, const struct store_pace *pace)
{
    w->limiter.bytes_per_second = pace->bytes_per_second;
    w->limiter.patience = pace->patience;
    w->flusher.nice = pace->nice;
}

int store_writer_encrypt(struct store_writer *w, const char *key_file, struct crs_error *err)
{
    int r = seal_key_load(key_file, &w->key, err);

    return r == 0 ? seal_new(&w->key, &w->seal, err) : r;
}

bool store_writer_has_begun(const struct store_writer *w)
{
    return w->stream && w->temporary.fd < 0 && stream_writer_size(w->stream) > 0;
}

void store_writer_free(struct store_writer *w)
{
    if (!w)
        return;
    writer_free_packs(w);
    index_clear(&w->index);
    base_free(w->base);
    flusher_clear(&w->flusher);
    limiter_clear(&w->limiter);
    seal_free(w->seal);
    explicit_bzero(&w->key, sizeof(w->key));
    stream_writer_free(w->stream);
    temporary_clear(&w->temporary);
    pthread_cond_destroy(&w->idle);
    pthread_mutex_destroy(&w->lock);
    free(w->files.items);
    free(w->path);
    free(w);
}

int writer_create_file(struct store_writer *w, const char *name, int *ret_fd, struct crs_error *err)
{
    struct stat st;

    _cleanup_close_ int fd =
        openat(w->temporary.fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return crs_fail_errno(err, CRS_STORAGE, "can't create %s of %s", name, w->path);
    if (fstat(fd, &st) < 0)
        return crs_fail_errno(err, CRS_STORAGE, "can't look at %s of %s", name, w->path);
    /* a umask may have taken bits, an inherited ACL given some; EPERM: a file system without */
    if ((st.st_mode & 07777) != 0600 && fchmod(fd, 0600) < 0 && errno != EPERM)
        return crs_fail_errno(err, CRS_STORAGE, "can't make %s of %s private", name, w->path);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int writer_check_size(struct store_writer *w, const char *name, uint64_t size_bytes,
                      struct crs_error *err)
{
    if (size_bytes > w->file_limit)
        return crs_fail(err, CRS_STORAGE, EFBIG,
                        "%s of %s would be larger than the limit of this process for files "
                        "(ulimit -f), %llu bytes",
                        name, w->path, (unsigned long long)w->file_limit);
    return 0;
}

int writer_add_file(struct store_writer *w, const char *name, uint64_t size_bytes,
                    const uint8_t *checksum, struct crs_error *err)
{
    struct writer_file *f = ARRAY_ADD(&w->files);

    if (!f)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    strncpy(f->name, name, sizeof(f->name) - 1);
    f->size_bytes = size_bytes;
    f->has_checksum = checksum;
    if (checksum)
        memcpy(f->checksum, checksum, CHECKSUM_SIZE);
    return 0;
}

int writer_put_file(struct store_writer *w, const char *name, const void *data, size_t size,
                    struct crs_error *err)
{
    _cleanup_close_ int fd = -1;

    int r = limiter_wait(&w->limiter, size, err);
    if (r == 0 && w->stream)
        return stream_put_file(w->stream, name, data, size, err);
    if (r == 0)
        r = writer_check_size(w, name, size, err);
    if (r < 0)
        return r;
    r = writer_create_file(w, name, &fd, err);
    if (r < 0)
        return r;
    r = write_full(fd, data, size);
    if (r < 0) {
        errno = -r;
        return crs_fail_errno(err, CRS_STORAGE, "can't write %s of %s", name, w->path);
    }
    return 0;
}

int writer_begin_file(struct store_writer *w, const char *name, uint64_t size_bytes,
                      struct writer_part *ret, struct crs_error *err)
{
    struct writer_part part = {.fd = -1, .size_bytes = size_bytes};
    int r = w->stream ? stream_begin_file(w->stream, name, size_bytes, err)
                      : writer_check_size(w, name, size_bytes, err);

    if (r == 0 && !w->stream)
        r = writer_create_file(w, name, &part.fd, err);
    if (r < 0)
        return r;
    strncpy(part.name, name, sizeof(part.name) - 1);
    *ret = part;
    return 0;
}

int writer_put_part(struct store_writer *w, struct writer_part *part, const void *data, size_t size,
                    struct crs_error *err)
{
    int r = limiter_wait(&w->limiter, size, err);
    if (r < 0)
        return r;
    if (w->stream)
        return stream_put_part(w->stream, data, size, err);
    r = write_full(part->fd, data, size);
    if (r < 0) {
        errno = -r;
        return crs_fail_errno(err, CRS_STORAGE, "can't write %s of %s", part->name, w->path);
    }
    return 0;
}

/* The manifest that lists it has been written before; here its name is for the sync. */
int writer_end_file(struct store_writer *w, struct writer_part *part, struct crs_error *err)
{
    cleanup_close(&part->fd);
    part->fd = -1;
    int r = w->stream ? stream_end_file(w->stream, part->size_bytes, err) : 0;
    return r < 0 ? r : writer_add_file(w, part->name, part->size_bytes, NULL, err);
}

int store_put_record(struct store_writer *w, const char *name, const ProtobufCMessage *message,
                     struct crs_error *err)
{
    char file[LIMIT_FILE_NAME + 1];
    uint8_t checksum[CHECKSUM_SIZE];

    if (snprintf(file, sizeof(file), "%s" RECORD_SUFFIX, name) >= (int)sizeof(file) ||
        !layout_is_record(file))
        return crs_fail(err, CRS_FAILED, EINVAL, "'%s' can't be the name of a record", name);
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > STORE_RECORD_MAX_SIZE)
        return crs_fail(err, CRS_CANT_CHECKPOINT, EFBIG,
                        "the record %s would have %zu bytes, more than the %u a snapshot may have",
                        file, size, STORE_RECORD_MAX_SIZE);
    _cleanup_free_ uint8_t *data = malloc(size + SEAL_BYTES);
    if (!data)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for %zu bytes of %s", size, file);
    protobuf_c_message_pack(message, data);

    /* What a reader would refuse must not be written: the limits hold for both. */
    int r = message_scan(message->descriptor, data, size, CRS_CANT_CHECKPOINT, err);
    if (r < 0)
        return crs_fail_at(err, r, "%s", file);
    if (w->seal) {
        seal_data(w->seal, file, data, size, data);
        size += SEAL_BYTES;
    }
    checksum_of(data, size, checksum);
    writer_note_live(w, message);
    r = writer_put_file(w, file, data, size, err);
    if (r < 0)
        return r;
    return writer_add_file(w, file, size, checksum, err);
}

void store_writer_sizes(struct store_writer *w, uint64_t *ret_raw, uint64_t *ret_stored)
{
    uint64_t raw = 0, stored = 0;

    pthread_mutex_lock(&w->lock);
    raw = w->found_bytes;
    for (unsigned i = 0; i < w->n_packs; i++) {
        raw += __atomic_load_n(&w->packs[i]->raw_bytes, __ATOMIC_RELAXED);
        stored += __atomic_load_n(&w->packs[i]->stored_bytes, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&w->lock);
    *ret_raw = raw;
    *ret_stored = stored;
}

uint64_t store_writer_linked_bytes(const struct store_writer *w)
{
    return w->linked_bytes;
}
