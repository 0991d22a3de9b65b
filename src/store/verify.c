/* verify.c - every length and every checksum */
#include <inttypes.h>
#include <string.h>

#include "base/io.h"
#include "file.pb-c.h"
#include "memory.pb-c.h"
#include "process.pb-c.h"
#include "reader.h"

/* Records whose messages are known here; of others the checksum is all there is to check. */
static const struct {
    const char *name;
    const ProtobufCMessageDescriptor *descriptor;
} known_records[] = {
    {"tree", &crs__tree__descriptor},
    {"files", &crs__files__descriptor},
    {"memory", &crs__memory__descriptor},
    {PACKS_RECORD, &crs__packs__descriptor},
};

struct verifying {
    struct store_reader *r;
    struct reader_context *context;
    const struct verify_taker *taker;
    struct crs_progress progress;
    crs_progress_fn fn;
    void *arg;
    struct crs_error *err;
};

static void tell(struct verifying *v, uint64_t bytes)
{
    v->progress.done_bytes += bytes;
    if (v->fn)
        v->fn(&v->progress, v->arg);
}

/* ---- who takes the bytes ---- */

static int begin(struct verifying *v, const struct manifest_file *f)
{
    return v->taker ? v->taker->begin(v->taker->arg, f, v->err) : 0;
}

static int take(struct verifying *v, const void *data, size_t size)
{
    return v->taker ? v->taker->take(v->taker->arg, data, size, v->err) : 0;
}

static int end(struct verifying *v)
{
    return v->taker ? v->taker->end(v->taker->arg, v->err) : 0;
}

/* ---- files ---- */

static int take_record(struct verifying *v, const struct manifest_file *f)
{
    _cleanup_free_ uint8_t *data = NULL;

    int r = reader_load_record(v->r, f, &data, v->err);
    if (r == 0)
        r = begin(v, f);
    if (r == 0)
        r = take(v, data, f->size_bytes);
    return r == 0 ? end(v) : r;
}

static int verify_record(struct verifying *v, const struct manifest_file *f)
{
    const ProtobufCMessageDescriptor *descriptor = NULL;
    char name[LIMIT_FILE_NAME + 1];
    ProtobufCMessage *message;

    snprintf(name, sizeof(name), "%.*s", (int)(strlen(f->name) - strlen(RECORD_SUFFIX)), f->name);
    for (size_t i = 0; i < ELEMENTS(known_records); i++) {
        if (strcmp(known_records[i].name, name) == 0)
            descriptor = known_records[i].descriptor;
    }
    int r = descriptor ? store_get_record(v->r, name, descriptor, &message, v->err) : 0;
    if (r == 0 && descriptor)
        protobuf_c_message_free_unpacked(message, NULL);
    if (r == 0 && (v->taker || !descriptor))
        r = take_record(v, f);
    tell(v, f->size_bytes);
    return r;
}

/* What stands between two chunks is zero, so that no byte goes unchecked. */
static int verify_gap(struct verifying *v, const Crs__Pack *pack, uint64_t from, uint64_t to)
{
    uint8_t *data = v->context->codec.buffer;
    uint64_t position;
    int fd;

    if (to < from || to - from >= STORE_PAGE_SIZE)
        return crs_fail(v->err, CRS_DAMAGED, EBADMSG,
                        "%s: the chunks of pages.%u.pack do not stand one after the other at byte "
                        "%" PRIu64,
                        v->r->path, pack->number, from);
    int r = reader_place(v->r, pack->number, from, to - from, &fd, &position, v->err);
    if (r < 0)
        return r;
    r = pread_full(fd, data, to - from, position);
    for (size_t i = 0; i < to - from && r == 0; i++)
        r = data[i] ? -EBADMSG : 0;
    if (r < 0)
        return crs_fail(v->err, CRS_DAMAGED, -r,
                        "%s: pages.%u.pack has changed between byte %" PRIu64 " and %" PRIu64,
                        v->r->path, pack->number, from, to);
    return take(v, data, to - from);
}

static int verify_chunks(struct verifying *v, const Crs__Pack *pack)
{
    uint64_t at = 0;

    for (size_t i = 0; i < pack->n_offsets; i++) {
        uint64_t offset = pack->offsets[i];
        uint32_t size = pack->stored_bytes[i];
        if (size == 0 || size > STORE_CHUNK_SIZE + SEAL_BYTES ||
            offset > INT64_MAX - STORE_CHUNK_SIZE)
            return crs_fail(v->err, CRS_DAMAGED, EBADMSG,
                            "%s: " PACKS_RECORD RECORD_SUFFIX ": chunk %zu of pages.%u.pack can't "
                            "be",
                            v->r->path, i, pack->number);
        int r = offset == at ? 0 : verify_gap(v, pack, at, offset);
        if (r == 0)
            r = reader_read_stored(v->r, pack->number, offset, size,
                                   pack->checksums.data + i * CHECKSUM_SIZE,
                                   v->context->codec.buffer, v->err);
        if (r == 0)
            r = take(v, v->context->codec.buffer, size);
        if (r < 0)
            return r;
        tell(v, offset + size - at);
        at = offset + size;
    }
    if (at != pack->size_bytes)
        return crs_fail(v->err, CRS_DAMAGED, EBADMSG,
                        "%s: pages.%u.pack has %" PRIu64 " bytes, its chunks end at %" PRIu64,
                        v->r->path, pack->number, pack->size_bytes, at);
    return 0;
}

static int verify_pack(struct verifying *v, const Crs__Packs *packs, const struct manifest_file *f)
{
    const Crs__Pack *found = NULL;

    for (size_t i = 0; i < packs->n_packs; i++) {
        if (packs->packs[i]->number == f->pack)
            found = packs->packs[i];
    }
    if (!found || found->size_bytes != f->size_bytes || found->n_offsets != found->n_stored_bytes ||
        found->checksums.len != found->n_offsets * CHECKSUM_SIZE)
        return crs_fail(v->err, CRS_DAMAGED, EBADMSG,
                        "%s: " PACKS_RECORD RECORD_SUFFIX " does not tell what is in %s",
                        v->r->path, f->name);
    int r = begin(v, f);
    if (r == 0)
        r = verify_chunks(v, found);
    return r == 0 ? end(v) : r;
}

static int verify_packs(struct verifying *v)
{
    const struct manifest *m = &v->r->manifest;
    ProtobufCMessage *packs;

    if (v->r->packs.n == 0)
        return 0;
    int r = store_get_record(v->r, PACKS_RECORD, &crs__packs__descriptor, &packs, v->err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < m->files.n && r == 0; i++) {
        if (m->files.items[i].pack)
            r = verify_pack(v, (Crs__Packs *)packs, &m->files.items[i]);
    }
    protobuf_c_message_free_unpacked(packs, NULL);
    return r;
}

int reader_verify(struct store_reader *r, const struct verify_taker *taker, const char *phase,
                  crs_progress_fn progress, void *arg, struct crs_error *err)
{
    struct verifying v = {.r = r,
                          .taker = taker,
                          .progress = {.phase = phase},
                          .fn = progress,
                          .arg = arg,
                          .err = err};
    int x = 0;

    v.context = reader_context_take(r);
    if (!v.context)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    for (size_t i = 0; i < r->manifest.files.n; i++)
        v.progress.total_bytes += r->manifest.files.items[i].size_bytes;
    for (size_t i = 0; i < r->manifest.files.n && x == 0; i++) {
        if (!r->manifest.files.items[i].pack)
            x = verify_record(&v, &r->manifest.files.items[i]);
    }
    if (x == 0)
        x = verify_packs(&v);
    reader_context_give(r, v.context);
    return x;
}

int store_verify(struct store_reader *r, crs_progress_fn progress, void *arg, struct crs_error *err)
{
    return reader_verify(r, NULL, "verify", progress, arg, err);
}
