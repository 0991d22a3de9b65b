/* snapshot.c - the snapshot functions of crs.h */
#include "store/seal.h"
#include "store/snapshot.h"

static int snapshot_new(struct store_reader *reader, struct crs_snapshot **ret,
                        struct crs_error *err)
{
    struct crs_snapshot *snapshot = calloc(1, sizeof(*snapshot));

    if (!snapshot) {
        store_reader_free(reader);
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    }
    snapshot->reader = reader;
    *ret = snapshot;
    return 0;
}

int crs_snapshot_open(const char *path, struct crs_snapshot **ret, struct crs_error *err)
{
    struct store_reader *reader = NULL;

    int r = store_reader_open(path, &reader, err);
    return r < 0 ? r : snapshot_new(reader, ret, err);
}

int crs_snapshot_open_fd(int fd, const char *name, struct crs_snapshot **ret, struct crs_error *err)
{
    struct store_reader *reader = NULL;

    int r = store_reader_open_fd(fd, name, &reader, err);
    return r < 0 ? r : snapshot_new(reader, ret, err);
}

int crs_use_key_file(const char *key_file, struct crs_error *err)
{
    return seal_use_key_file(key_file, err);
}

void crs_snapshot_free(struct crs_snapshot *snapshot)
{
    if (!snapshot)
        return;
    store_reader_free(snapshot->reader);
    free(snapshot);
}

int crs_snapshot_verify(struct crs_snapshot *snapshot, crs_progress_fn progress, void *arg,
                        struct crs_error *err)
{
    return store_verify(snapshot->reader, progress, arg, err);
}

/* Takes the writer over. */
static int copy_into(struct crs_snapshot *snapshot, struct store_writer *w,
                     crs_progress_fn progress, void *arg, uint64_t *ret_size_bytes,
                     struct crs_error *err)
{
    uint64_t size = 0;
    int r = store_copy(snapshot->reader, w, progress, arg, &size, err);

    store_writer_free(w);
    if (r == 0 && ret_size_bytes)
        *ret_size_bytes = size;
    return r;
}

int crs_snapshot_copy(struct crs_snapshot *snapshot, const char *output, enum crs_form form,
                      crs_progress_fn progress, void *arg, uint64_t *ret_size_bytes,
                      struct crs_error *err)
{
    struct store_writer *w = NULL;
    int r;

    if (form != CRS_FORM_DIRECTORY && form != CRS_FORM_STREAM)
        return crs_fail(err, CRS_USAGE, EINVAL, "an unknown form of snapshots: %d", (int)form);
    r = form == CRS_FORM_STREAM ? store_writer_open_file(output, "none", NULL, &w, err)
                                : store_writer_open(output, "none", &w, err);
    return r < 0 ? r : copy_into(snapshot, w, progress, arg, ret_size_bytes, err);
}

int crs_snapshot_copy_fd(struct crs_snapshot *snapshot, int fd, crs_progress_fn progress, void *arg,
                         uint64_t *ret_size_bytes, struct crs_error *err)
{
    struct store_writer *w = NULL;
    int r = store_writer_open_fd(fd, "-", "none", NULL, &w, err);

    return r < 0 ? r : copy_into(snapshot, w, progress, arg, ret_size_bytes, err);
}

int crs_snapshot_resolve(const char *store, const char *spec, char **ret_path,
                         struct crs_error *err)
{
    return store_resolve(store, spec, ret_path, err);
}

int crs_snapshot_list(const char *store, const char *name, char **ret_json, struct crs_error *err)
{
    json_auto_t *list = NULL;

    int r = store_list(store, name, &list, err);
    if (r < 0)
        return r;
    char *text = json_dumps(list, JSON_COMPACT);
    if (!text)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    *ret_json = text;
    return 0;
}

int crs_snapshot_remove(const char *path, struct crs_error *err)
{
    return store_remove(path, err);
}

int crs_store_path(const char *store, char **ret_path, struct crs_error *err)
{
    return store_root(store, ret_path, err);
}
