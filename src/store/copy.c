/* copy.c - a snapshot in the other form, or in the same: what is verified is written again */
#include "base/io.h"
#include "store/reader.h"
#include "store/writer.h"

struct copying {
    struct store_writer *w;
    struct writer_part part;
};

static int begin(void *arg, const struct manifest_file *file, struct crs_error *err)
{
    struct copying *c = arg;

    return writer_begin_file(c->w, file->name, file->size_bytes, &c->part, err);
}

static int take(void *arg, const void *data, size_t size, struct crs_error *err)
{
    struct copying *c = arg;

    return writer_put_part(c->w, &c->part, data, size, err);
}

static int end(void *arg, struct crs_error *err)
{
    struct copying *c = arg;

    return writer_end_file(c->w, &c->part, err);
}

/* The manifest's text as it was: its members are kept in their order. */
static int copy_manifest(struct store_reader *r, struct bytes *ret, struct crs_error *err)
{
    json_auto_t *manifest = json_copy(r->manifest.json);

    if (!manifest)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    json_object_del(manifest, "checksum");
    return manifest_seal(manifest, ret, err);
}

int store_copy(struct store_reader *r, struct store_writer *w, crs_progress_fn progress, void *arg,
               uint64_t *ret_size_bytes, struct crs_error *err)
{
    struct copying c = {.w = w, .part.fd = -1};
    const struct verify_taker taker = {begin, take, end, &c};
    _cleanup_bytes_ struct bytes manifest = {0};

    int x = reader_verify(r, &taker, "copy", progress, arg, err);
    cleanup_close(&c.part.fd);
    if (x == 0)
        x = copy_manifest(r, &manifest, err);
    return x == 0 ? writer_publish(w, &manifest, ret_size_bytes, err) : x;
}
