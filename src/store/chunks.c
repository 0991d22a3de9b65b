/* chunks.c - what a list of chunks must be, in whatever message it stands */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "store/codec.h"
#include "store/layout.h"
#include "store/message.h"
#include "store/store.h"

struct span {
    uint64_t first, end; /* pages */
};

struct checking {
    pack_size_fn pack_size;
    void *arg;
    struct crs_error *err;
};

static int wrong(struct crs_error *err, const char *what)
{
    return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s", what);
}

int chunk_check(const Crs__Chunk *c, struct crs_error *err)
{
    uint64_t pages = 0;

    if (c->raw_bytes == 0 || c->raw_bytes > STORE_CHUNK_SIZE || c->raw_bytes % STORE_PAGE_SIZE)
        return wrong(err, "not a number of pages");
    if (c->stored_bytes == 0 || c->stored_bytes > codec_room(c->codec, c->raw_bytes))
        return wrong(err, "stored larger than it is");
    if (c->codec == CRS__CODEC__CODEC_NONE &&
        (c->stored_bytes != c->raw_bytes || c->offset % STORE_PAGE_SIZE))
        return wrong(err, "uncompressed, but not whole pages in the pack");
    if (c->pack == 0 || c->offset > INT64_MAX - STORE_CHUNK_SIZE)
        return wrong(err, "a place that can't be");
    if (c->checksum.len != CHECKSUM_SIZE)
        return wrong(err, "its checksum does not have 16 bytes");
    for (size_t i = 0; i < c->n_runs; i++) {
        const Crs__Run *run = c->runs[i];
        if (run->count == 0 || run->count > STORE_CHUNK_PAGES || run->first >= LIMIT_PAGE)
            return wrong(err, "a run of pages that can't be");
        pages += run->count;
    }
    /* a chunk may be handled before its owner has given it runs */
    if (c->n_runs > 0 && pages * STORE_PAGE_SIZE != c->raw_bytes)
        return wrong(err, "the pages of its runs are not its bytes");
    return 0;
}

static int check_place(const struct checking *k, const Crs__Chunk *c)
{
    if (!k->pack_size)
        return 0;
    uint64_t size = k->pack_size(k->arg, c->pack);
    if (size < c->stored_bytes || c->offset > size - c->stored_bytes)
        return crs_fail(k->err, CRS_DAMAGED, EBADMSG,
                        "%u bytes at %llu of pages.%u.pack, which has %llu", c->stored_bytes,
                        (unsigned long long)c->offset, c->pack, (unsigned long long)size);
    return 0;
}

static int compare_spans(const void *a, const void *b)
{
    const struct span *x = a, *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

static int twice(const struct checking *k, uint64_t page)
{
    return crs_fail(k->err, CRS_DAMAGED, EBADMSG, "page %#llx is there twice",
                    (unsigned long long)page);
}

/* A page may be saved once only. */
static int check_overlaps(const struct checking *k, Crs__Chunk **chunks, size_t n_chunks,
                          size_t n_runs)
{
    _cleanup_free_ struct span *spans = calloc(n_runs ? n_runs : 1, sizeof(*spans));
    size_t n = 0;

    if (!spans)
        return crs_fail(k->err, CRS_FAILED, ENOMEM, "no memory for %zu runs", n_runs);
    for (size_t i = 0; i < n_chunks; i++)
        for (size_t j = 0; j < chunks[i]->n_runs; j++) {
            const Crs__Run *run = chunks[i]->runs[j];
            if (!run->dropped)
                spans[n++] = (struct span){run->first, run->first + run->count};
        }
    qsort(spans, n, sizeof(*spans), compare_spans);
    for (size_t i = 1; i < n; i++)
        if (spans[i - 1].end > spans[i].first)
            return twice(k, spans[i].first);
    return 0;
}

/* Do its pages begin at `*at` or behind it, one behind the other? Then *at is behind them. */
static bool is_in_order(const Crs__Chunk *chunk, uint64_t *at)
{
    for (size_t i = 0; i < chunk->n_runs; i++) {
        const Crs__Run *run = chunk->runs[i];
        if (run->dropped)
            continue;
        if (run->first < *at)
            return false;
        *at = run->first + run->count;
    }
    return true;
}

static bool has_page_behind(const Crs__Chunk *chunk, uint64_t size_pages)
{
    for (size_t i = 0; i < chunk->n_runs; i++)
        if (!chunk->runs[i]->dropped && chunk->runs[i]->first + chunk->runs[i]->count > size_pages)
            return true;
    return false;
}

/* size_pages: where the pages must end. Writers give them in order, so that it's seldom that they
 * are to be sorted. */
static int check_list(const struct checking *k, Crs__Chunk **chunks, size_t n_chunks,
                      uint64_t size_pages)
{
    bool in_order = true;
    uint64_t at = 0;
    size_t n = 0;

    for (size_t i = 0; i < n_chunks; i++) {
        int r = chunk_check(chunks[i], k->err);
        if (r == 0 && chunks[i]->n_runs == 0)
            r = wrong(k->err, "has no runs");
        if (r == 0)
            r = check_place(k, chunks[i]);
        if (r == 0 && has_page_behind(chunks[i], size_pages))
            r = wrong(k->err, "pages behind the end");
        if (r < 0)
            return crs_fail_at(k->err, r, "chunk %zu", i);
        n += chunks[i]->n_runs;
        in_order = in_order && is_in_order(chunks[i], &at);
    }
    return in_order ? 0 : check_overlaps(k, chunks, n_chunks, n);
}

static int check_content(const struct checking *k, const Crs__Content *c)
{
    if (c->size > LIMIT_CONTENT_SIZE)
        return wrong(k->err, "content: larger than a file can be");
    if (c->inline_data.len > LIMIT_INLINE_SIZE || c->inline_data.len > c->size ||
        (c->inline_data.len > 0 && c->n_chunks > 0))
        return wrong(k->err, "content: its inline data can't be");
    return check_list(k, c->chunks, c->n_chunks, (c->size + STORE_PAGE_SIZE - 1) / STORE_PAGE_SIZE);
}

static int check_message(const struct checking *k, const ProtobufCMessage *m);

static int check_field(const struct checking *k, const ProtobufCMessage *m,
                       const ProtobufCFieldDescriptor *f)
{
    const void *at = (const char *)m + f->offset;
    size_t n = 1;
    ProtobufCMessage *const *items = at;

    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
        *(const uint32_t *)((const char *)m + f->quantifier_offset) != f->id)
        return 0;
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        n = *(const size_t *)((const char *)m + f->quantifier_offset);
        items = *(ProtobufCMessage * *const *)at;
    }
    if (f->descriptor == &crs__chunk__descriptor && f->label == PROTOBUF_C_LABEL_REPEATED)
        return check_list(k, (Crs__Chunk **)items, n, LIMIT_PAGE);
    for (size_t i = 0; i < n; i++) {
        int r = items[i] ? check_message(k, items[i]) : 0;
        if (r < 0)
            return crs_fail_at(k->err, r, "%s %zu", f->name, i);
    }
    return 0;
}

static int check_message(const struct checking *k, const ProtobufCMessage *m)
{
    if (m->descriptor == &crs__content__descriptor)
        return check_content(k, (const Crs__Content *)m);
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        if (f->type != PROTOBUF_C_TYPE_MESSAGE || f->descriptor == &crs__run__descriptor)
            continue;
        int r = check_field(k, m, f);
        if (r < 0)
            return r;
    }
    return 0;
}

int message_check_chunks(const ProtobufCMessage *message, pack_size_fn pack_size, void *arg,
                         struct crs_error *err)
{
    struct checking k = {pack_size, arg, err};

    return check_message(&k, message);
}
