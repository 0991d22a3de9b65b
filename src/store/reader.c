/* reader.c - a snapshot opened for reading: manifest, lengths, records */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "reader.h"
#include "store/message.h"
#include "store/temporary.h"

int reader_open_file(struct store_reader *r, const char *name, uint64_t size_bytes, int *ret_fd,
                     struct crs_error *err)
{
    struct stat st;

    /* O_NONBLOCK: a FIFO that somebody put there must not hold us up */
    _cleanup_close_ int fd =
        openat(r->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ELOOP))
        return crs_fail(err, CRS_DAMAGED, errno, "%s: %s is %s", r->path, name,
                        errno == ELOOP ? "a symbolic link" : "missing");
    if (fd < 0)
        return crs_fail_errno(err, errno == EACCES ? CRS_NOT_PERMITTED : CRS_FAILED,
                              "can't open %s of %s", name, r->path);
    if (fstat(fd, &st) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't look at %s of %s", name, r->path);
    if (!S_ISREG(st.st_mode))
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s: %s is not a regular file", r->path, name);
    if ((uint64_t)st.st_size != size_bytes)
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "%s: %s has %" PRIu64 " bytes, the manifest says %" PRIu64, r->path, name,
                        (uint64_t)st.st_size, size_bytes);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

const struct manifest_file *reader_find_file(const struct store_reader *r, const char *name)
{
    for (size_t i = 0; i < r->manifest.files.n; i++) {
        if (strcmp(r->manifest.files.items[i].name, name) == 0)
            return &r->manifest.files.items[i];
    }
    return NULL;
}

static int open_manifest(struct store_reader *r, int *ret_fd, size_t *ret_size,
                         struct crs_error *err)
{
    struct stat st;

    _cleanup_close_ int fd =
        openat(r->fd, MANIFEST_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return crs_fail(err, CRS_DAMAGED, ENOENT, "%s is not a snapshot: it has no %s", r->path,
                        MANIFEST_NAME);
    if (fd < 0)
        return crs_fail_errno(err, errno == EACCES ? CRS_NOT_PERMITTED : CRS_DAMAGED,
                              "can't open %s of %s", MANIFEST_NAME, r->path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > LIMIT_MANIFEST_SIZE)
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "%s: %s is not a regular file of at most %u bytes", r->path, MANIFEST_NAME,
                        LIMIT_MANIFEST_SIZE);
    *ret_size = st.st_size;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int read_manifest(struct store_reader *r, struct crs_error *err)
{
    _cleanup_close_ int fd = -1;
    size_t size = 0;

    int ret = open_manifest(r, &fd, &size, err);
    if (ret < 0)
        return ret;
    _cleanup_free_ char *text = malloc(size ? size : 1);
    if (!text)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    ret = pread_full(fd, text, size, 0);
    if (ret < 0) {
        errno = -ret;
        return crs_fail_errno(err, CRS_DAMAGED, "can't read %s of %s", MANIFEST_NAME, r->path);
    }
    ret = manifest_parse(text, size, &r->manifest, err);
    return ret < 0 ? crs_fail_at(err, ret, "%s", r->path) : 0;
}

/* A file of the stream, as long as the manifest says. */
static int find_in_stream(const struct store_reader *r, const struct manifest_file *f,
                          const struct stream_file **ret, struct crs_error *err)
{
    const struct stream_file *found = stream_find(&r->stream, f->name);

    if (!found)
        return crs_fail(err, CRS_DAMAGED, ENOENT, "%s: %s is missing in the stream", r->path,
                        f->name);
    if (found->size_bytes != f->size_bytes)
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "%s: %s has %" PRIu64 " bytes in the stream, the manifest says %" PRIu64,
                        r->path, f->name, found->size_bytes, f->size_bytes);
    *ret = found;
    return 0;
}

static void note_shared(struct store_reader *r, int fd)
{
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink > 1)
        r->shared_bytes += st.st_size;
}

static int check_files(struct store_reader *r, struct crs_error *err)
{
    for (size_t i = 0; i < r->manifest.files.n; i++) {
        const struct manifest_file *f = &r->manifest.files.items[i];
        const struct stream_file *in_stream = NULL;
        _cleanup_close_ int fd = -1;
        int ret = r->fd < 0 ? find_in_stream(r, f, &in_stream, err)
                            : reader_open_file(r, f->name, f->size_bytes, &fd, err);
        if (ret < 0)
            return ret;
        if (!f->pack)
            continue;
        struct reader_pack *p = ARRAY_ADD(&r->packs);
        if (!p)
            return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
        *p = (struct reader_pack){f->pack, f->size_bytes, -1, in_stream};
        note_shared(r, fd);
    }
    /* a directory may hold what it likes; a stream consists of the snapshot, and each byte counts
     */
    if (r->fd < 0 && r->stream.files.n > r->manifest.files.n)
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "%s: the stream has files that its manifest doesn't list", r->path);
    return 0;
}

/* A directory that its writer has not finished may have a manifest already. */
static int check_finished(const char *path, struct crs_error *err)
{
    _cleanup_free_ char *real = realpath(path, NULL);
    const char *slash = real ? strrchr(real, '/') : NULL;

    if (slash && temporary_is_name(slash + 1, NULL))
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s is an unfinished snapshot", path);
    return 0;
}

static int open_path(const char *path, int *ret_fd, struct crs_error *err)
{
    /* O_NONBLOCK: a FIFO that nobody writes to is an empty stream */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return crs_fail(err, CRS_NOT_FOUND, errno, "there is no snapshot %s", path);
    if (fd < 0)
        return crs_fail_errno(err, errno == EACCES ? CRS_NOT_PERMITTED : CRS_FAILED,
                              "can't open %s", path);
    *ret_fd = fd;
    return 0;
}

static int read_stream(struct store_reader *r, int fd, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};

    int ret = stream_open(fd, &r->stream, &text, err);
    if (ret == 0)
        ret = manifest_parse(text.data, text.size, &r->manifest, err);
    return ret < 0 ? crs_fail_at(err, ret, "%s", r->path) : 0;
}

/* Takes fd over. */
static int read_form(struct store_reader *r, int fd, struct crs_error *err)
{
    _cleanup_close_ int own_fd = fd;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't look at %s", r->path);
    if (S_ISDIR(st.st_mode)) {
        r->fd = TAKE_FD(own_fd);
        return read_manifest(r, err);
    }
    if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))
        return crs_fail(err, CRS_NOT_FOUND, ENOTDIR,
                        "%s is neither a directory nor a stream, so not a snapshot", r->path);
    return read_stream(r, TAKE_FD(own_fd), err);
}

static int reader_new(const char *path, struct store_reader **ret, struct crs_error *err)
{
    struct store_reader *r = calloc(1, sizeof(*r));
    char *copy = strdup(path);

    if (!r || !copy) {
        free(r);
        free(copy);
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    }
    *r = (struct store_reader){.path = copy, .fd = -1, .stream = STREAM_NONE};
    pthread_mutex_init(&r->lock, NULL);
    *ret = r;
    return 0;
}

int store_reader_open(const char *path, struct store_reader **ret, struct crs_error *err)
{
    _cleanup_(cleanup_store_reader) struct store_reader *r = NULL;
    int fd = -1, x = reader_new(path, &r, err);

    if (x == 0)
        x = open_path(path, &fd, err);
    if (x == 0)
        x = read_form(r, fd, err);
    if (x == 0 && r->fd >= 0)
        x = check_finished(path, err);
    if (x == 0)
        x = check_files(r, err);
    if (x < 0)
        return x;
    *ret = TAKE_PTR(r);
    return 0;
}

int store_reader_open_fd(int fd, const char *name, struct store_reader **ret, struct crs_error *err)
{
    _cleanup_(cleanup_store_reader) struct store_reader *r = NULL;
    int x = reader_new(name, &r, err);

    if (x < 0)
        return x;
    int own_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (own_fd < 0)
        return crs_fail_errno(err, CRS_USAGE, "can't read a snapshot from descriptor %d", fd);
    x = read_form(r, own_fd, err);
    if (x == 0)
        x = check_files(r, err);
    if (x < 0)
        return x;
    *ret = TAKE_PTR(r);
    return 0;
}

void store_reader_free(struct store_reader *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->packs.n; i++)
        cleanup_close(&r->packs.items[i].fd);
    free(r->packs.items);
    reader_free_contexts(r);
    manifest_clear(&r->manifest);
    stream_clear(&r->stream);
    seal_free(r->seal);
    cleanup_close(&r->fd);
    pthread_mutex_destroy(&r->lock);
    free(r->path);
    free(r);
}

bool store_reader_is_encrypted(const struct store_reader *r)
{
    return json_object_get(r->manifest.json, MANIFEST_ENCRYPTION);
}

int store_reader_check_key(struct store_reader *r, struct crs_error *err)
{
    const json_t *described = json_object_get(r->manifest.json, MANIFEST_ENCRYPTION);

    return !described || r->seal ? 0 : seal_from(described, r->path, r->key, &r->seal, err);
}

const char *store_reader_path(const struct store_reader *r)
{
    return r->path;
}

json_t *store_reader_manifest(const struct store_reader *r)
{
    return r->manifest.json;
}

uint64_t store_reader_size_bytes(const struct store_reader *r)
{
    uint64_t size = r->manifest.size_bytes;

    for (size_t i = 0; i < r->manifest.files.n; i++)
        size += r->manifest.files.items[i].size_bytes;
    return size;
}

uint64_t store_reader_shared_bytes(const struct store_reader *r)
{
    return r->shared_bytes;
}

/* Where the bytes of a record are to be read; *ret_own is to be closed, where not -1. */
static int find_record(struct store_reader *r, const struct manifest_file *f, int *ret_fd,
                       int *ret_own, uint64_t *ret_position, struct crs_error *err)
{
    if (r->fd >= 0) {
        int x = reader_open_file(r, f->name, f->size_bytes, ret_own, err);
        *ret_fd = *ret_own;
        *ret_position = 0;
        return x;
    }
    *ret_fd = r->stream.fd; /* it was found there when the snapshot was opened */
    *ret_position = stream_find(&r->stream, f->name)->extents.items[0].position;
    return 0;
}

int reader_load_record(struct store_reader *r, const struct manifest_file *f, uint8_t **ret,
                       struct crs_error *err)
{
    uint8_t checksum[CHECKSUM_SIZE];
    _cleanup_close_ int own_fd = -1;
    uint64_t position;
    int fd;

    int x = find_record(r, f, &fd, &own_fd, &position, err);
    if (x < 0)
        return x;
    _cleanup_free_ uint8_t *data = malloc(f->size_bytes ? f->size_bytes : 1);
    if (!data)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for %s of %s", f->name, r->path);
    x = pread_full(fd, data, f->size_bytes, position);
    if (x < 0) {
        errno = -x;
        return crs_fail_errno(err, CRS_DAMAGED, "can't read %s of %s", f->name, r->path);
    }
    checksum_of(data, f->size_bytes, checksum);
    if (memcmp(checksum, f->checksum, CHECKSUM_SIZE) != 0)
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "%s: %s has a wrong checksum: its bytes have changed", r->path, f->name);
    *ret = TAKE_PTR(data);
    return 0;
}

bool store_has_record(const struct store_reader *r, const char *name)
{
    char file[LIMIT_FILE_NAME + 1];

    snprintf(file, sizeof(file), "%s" RECORD_SUFFIX, name);
    return reader_find_file(r, file);
}

static int open_sealed(struct store_reader *r, const struct manifest_file *f, uint8_t *data,
                       size_t *size, struct crs_error *err)
{
    if (seal_open_data(r->seal, f->name, data, *size, data) < 0)
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "%s: %s was not encrypted with this snapshot's key: it has been changed",
                        r->path, f->name);
    *size -= SEAL_BYTES;
    return 0;
}

int store_get_record(struct store_reader *r, const char *name,
                     const ProtobufCMessageDescriptor *descriptor, ProtobufCMessage **ret,
                     struct crs_error *err)
{
    char file[LIMIT_FILE_NAME + 1];
    _cleanup_free_ uint8_t *data = NULL;

    snprintf(file, sizeof(file), "%s" RECORD_SUFFIX, name);
    const struct manifest_file *f = reader_find_file(r, file);
    if (!f)
        return crs_fail(err, CRS_DAMAGED, ENOENT, "%s: has no record %s", r->path, file);
    size_t size = f->size_bytes;
    int x = store_reader_check_key(r, err);
    if (x == 0)
        x = reader_load_record(r, f, &data, err);
    if (x == 0 && r->seal)
        x = open_sealed(r, f, data, &size, err);
    if (x < 0)
        return x;
    x = message_unpack(descriptor, data, size, reader_pack_size, r, ret, err);
    return x < 0 ? crs_fail_at(err, x, "%s: %s", r->path, file) : 0;
}
