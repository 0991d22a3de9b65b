/* base.c - the older snapshot whose packs a new one refers to */
#include "store/base.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "store/chunk_runs.h"
#include "store/reader.h"
#include "store/writer.h"

#define NUMBER_MAX 999000000u /* new packs have higher ones */

void base_free(struct store_base *base)
{
    if (!base)
        return;
    if (base->packs)
        crs__packs__free_unpacked(base->packs, NULL);
    store_reader_free(base->reader);
    free(base->items.items);
    free(base);
}

static void pack_name(uint32_t number, char ret[LIMIT_FILE_NAME])
{
    snprintf(ret, LIMIT_FILE_NAME, "pages.%u.pack", number);
}

/* ---- which packs ---- */

static bool chunk_is_right(const Crs__Pack *t, size_t i)
{
    uint32_t stored = t->stored_bytes[i], raw = t->raw_bytes[i];
    uint8_t codec = t->codecs.data[i];

    return raw > 0 && raw <= STORE_CHUNK_SIZE && raw % STORE_PAGE_SIZE == 0 && stored > 0 &&
           stored <= codec_room((Crs__Codec)codec, raw) && stored <= t->size_bytes &&
           t->offsets[i] <= t->size_bytes - stored && codec <= CRS__CODEC__CODEC_SEALED_ZSTD &&
           (codec != CRS__CODEC__CODEC_NONE ||
            (stored == raw && t->offsets[i] % STORE_PAGE_SIZE == 0));
}

/* Does the table tell what its chunks hold? Packs of older writers don't. */
static bool is_of_use(const Crs__Pack *t)
{
    size_t n = t->n_offsets;

    if (n == 0 || t->n_stored_bytes != n || t->checksums.len != n * CHECKSUM_SIZE ||
        t->raw_checksums.len != n * CHECKSUM_SIZE || t->n_raw_bytes != n || t->codecs.len != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!chunk_is_right(t, i))
            return false;
    return true;
}

static bool is_worth_it(const Crs__Pack *t)
{
    return t->live_bytes >= t->size_bytes / 2;
}

static int by_size(const void *a, const void *b)
{
    const struct base_pack *x = a, *y = b;

    return (x->table->size_bytes < y->table->size_bytes) -
           (x->table->size_bytes > y->table->size_bytes);
}

/* The largest first. */
static int choose_packs(struct store_base *base, struct crs_error *err)
{
    for (size_t i = 0; base->packs && i < base->packs->n_packs; i++) {
        const Crs__Pack *t = base->packs->packs[i];
        if (t->number > NUMBER_MAX || t->size_bytes != reader_pack_size(base->reader, t->number) ||
            !is_of_use(t) || !is_worth_it(t))
            continue;
        struct base_pack *pack = ARRAY_ADD(&base->items);
        if (!pack)
            return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
        pack->table = t;
    }
    if (base->items.n > 1)
        qsort(base->items.items, base->items.n, sizeof(*base->items.items), by_size);
    /* Half of them at once: not each time again what was merged the last time. */
    if (base->items.n > BASE_PACKS)
        base->items.n = BASE_PACKS / 2;
    return 0;
}

/* ---- linking ---- */

/* -errno, with the words of it. */
static int link_pack(struct store_writer *w, struct store_base *base, const Crs__Pack *t,
                     struct crs_error *err)
{
    _cleanup_close_ int fd = -1;
    char name[LIMIT_FILE_NAME], path[64];
    struct stat st;

    pack_name(t->number, name);
    int r = reader_open_file(base->reader, name, t->size_bytes, &fd, err);
    if (r < 0)
        return r;
    /* A link to a file of somebody else would be a file of somebody else. */
    if (fstat(fd, &st) == 0 && st.st_uid != geteuid())
        return crs_fail(err, CRS_NOT_PERMITTED, EPERM, "%s of %s belongs to another user (UID %u)",
                        name, store_reader_path(base->reader), (unsigned)st.st_uid);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, path, w->temporary.fd, name, AT_SYMLINK_FOLLOW) < 0)
        return crs_fail_errno(err, CRS_STORAGE, "can't link %s of %s into the new snapshot", name,
                              store_reader_path(base->reader));
    return 0;
}

static int index_pack(struct store_writer *w, struct base_pack *pack, struct crs_error *err)
{
    const Crs__Pack *t = pack->table;

    pack->noted = true;
    for (size_t i = 0; i < t->n_offsets; i++) {
        struct indexed_chunk c = {.offset = t->offsets[i],
                                  .pack = t->number,
                                  .stored_bytes = t->stored_bytes[i],
                                  .raw_bytes = t->raw_bytes[i],
                                  .codec = t->codecs.data[i]};
        memcpy(c.checksum, t->checksums.data + i * CHECKSUM_SIZE, CHECKSUM_SIZE);
        memcpy(c.raw_checksum, t->raw_checksums.data + i * CHECKSUM_SIZE, CHECKSUM_SIZE);
        int r = index_add(&w->index, &c);
        if (r < 0)
            return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of chunks");
        pack->noted &= r > 0;
    }
    return 0;
}

static int link_packs(struct store_writer *w, struct store_base *base, struct crs_error *ret_reason,
                      struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < base->items.n; i++) {
        struct base_pack *pack = &base->items.items[i];
        pack->linked = link_pack(w, base, pack->table, ret_reason) == 0;
        if (!pack->linked)
            continue;
        if (pack->table->number > base->highest)
            base->highest = pack->table->number;
        r = index_pack(w, pack, err);
    }
    return r;
}

/* Who has the key of the new one is to be able to read all of it, and nobody else. */
static int share_seal(struct store_writer *w, struct store_reader *base,
                      struct crs_error *ret_reason)
{
    bool sealed = store_reader_is_encrypted(base);

    if (sealed != (w->seal != NULL))
        return crs_fail(ret_reason, CRS_STORAGE, ENOTSUP, "%s is %sencrypted",
                        store_reader_path(base), sealed ? "" : "not ");
    base->key = w->seal ? &w->key : NULL;
    int r = store_reader_check_key(base, ret_reason);
    if (r == 0 && sealed)
        seal_share(w->seal, base->seal);
    return r;
}

static int open_base(struct store_writer *w, const char *path, struct store_base **ret,
                     struct crs_error *ret_reason, struct crs_error *err)
{
    struct store_base *base = calloc(1, sizeof(*base));
    ProtobufCMessage *packs = NULL;

    if (!base)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = store_reader_open(path, &base->reader, err);
    bool shares = r == 0 && share_seal(w, base->reader, ret_reason) == 0;
    if (shares && store_has_record(base->reader, PACKS_RECORD))
        r = store_get_record(base->reader, PACKS_RECORD, &crs__packs__descriptor, &packs, err);
    if (r < 0) {
        base_free(base);
        return r;
    }
    base->packs = (Crs__Packs *)packs;
    *ret = base;
    return 0;
}

int store_writer_set_base(struct store_writer *w, const char *path, struct crs_error *ret_reason,
                          struct crs_error *err)
{
    struct store_base *base = NULL;

    if (w->stream)
        return crs_fail(err, CRS_USAGE, EINVAL,
                        "a stream has all of its pages in itself: it can't have a base");
    int r = open_base(w, path, &base, ret_reason, err);
    if (r < 0)
        return r;
    if (base->reader->fd < 0)
        crs_fail(ret_reason, CRS_STORAGE, ENOTSUP, "%s is a stream", path);
    else
        r = choose_packs(base, err);
    w->base = base;
    return r == 0 ? link_packs(w, base, ret_reason, err) : r;
}

const char *store_writer_base(const struct store_writer *w)
{
    return w->base && w->base->highest ? store_reader_path(w->base->reader) : NULL;
}

const char *store_writer_base_id(const struct store_writer *w)
{
    return w->base ? json_string_value(
                         json_object_get(store_reader_manifest(w->base->reader), "checksum"))
                   : NULL;
}

char *store_snapshot_id(const char *path)
{
    struct store_reader *r = NULL;

    if (store_reader_open(path, &r, NULL) < 0)
        return NULL;
    const char *id = json_string_value(json_object_get(store_reader_manifest(r), "checksum"));
    char *copy = id ? strdup(id) : NULL;
    store_reader_free(r);
    return copy;
}

void store_refer_chunk(struct store_writer *w, const Crs__Chunk *chunk)
{
    pthread_mutex_lock(&w->lock);
    w->found_bytes += chunk_live_pages(chunk) * STORE_PAGE_SIZE;
    pthread_mutex_unlock(&w->lock);
}

bool store_keep_chunk(struct store_writer *w, const Crs__Chunk *chunk)
{
    for (size_t i = 0; w->base && i < w->base->items.n; i++) {
        const struct base_pack *pack = &w->base->items.items[i];
        if (!pack->linked || pack->table->number != chunk->pack)
            continue;
        store_refer_chunk(w, chunk);
        return true;
    }
    return false;
}

/* ---- what is needed of them ---- */

static void note_list(struct store_writer *w, Crs__Chunk *const *chunks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct indexed_chunk *c = index_find_place(&w->index, chunks[i]->pack, chunks[i]->offset);
        uint64_t pages = chunk_live_pages(chunks[i]);
        if (c && pages > c->live_pages)
            c->live_pages = pages;
    }
}

void writer_note_live(struct store_writer *w, const ProtobufCMessage *m)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        const char *at = (const char *)m + f->offset;
        if (f->type != PROTOBUF_C_TYPE_MESSAGE || (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ||
            f->descriptor == &crs__run__descriptor)
            continue;
        bool many = f->label == PROTOBUF_C_LABEL_REPEATED;
        size_t n = many ? *(const size_t *)((const char *)m + f->quantifier_offset) : 1;
        ProtobufCMessage *const *items =
            many ? *(ProtobufCMessage * *const *)at : (ProtobufCMessage *const *)at;
        if (many && f->descriptor == &crs__chunk__descriptor) {
            note_list(w, (Crs__Chunk **)items, n);
            continue;
        }
        for (size_t k = 0; k < n; k++)
            if (items[k])
                writer_note_live(w, items[k]);
    }
}

uint64_t writer_live_bytes(const struct store_writer *w, uint32_t pack)
{
    uint64_t live = 0;

    for (size_t i = 0; i < w->index.chunks.n; i++) {
        const struct indexed_chunk *c = &w->index.chunks.items[i];
        if (c->pack == pack)
            live += (uint64_t)c->stored_bytes * c->live_pages / (c->raw_bytes / STORE_PAGE_SIZE);
    }
    return live;
}

int base_finish(struct store_writer *w, Crs__Pack *ret, size_t *n, struct crs_error *err)
{
    int r = 0;

    for (size_t i = 0; w->base && r == 0 && i < w->base->items.n; i++) {
        const struct base_pack *pack = &w->base->items.items[i];
        char name[LIMIT_FILE_NAME];
        if (!pack->linked)
            continue;
        pack_name(pack->table->number, name);
        uint64_t live =
            pack->noted ? writer_live_bytes(w, pack->table->number) : pack->table->size_bytes;
        if (live == 0) {
            unlinkat(w->temporary.fd, name, 0);
            continue;
        }
        ret[*n] = *pack->table;
        ret[(*n)++].live_bytes = live;
        w->linked_bytes += pack->table->size_bytes;
        r = writer_add_file(w, name, pack->table->size_bytes, NULL, err);
    }
    return r;
}
