/* chunks.c - what a list of chunks must be, in whatever message it stands */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "store/chunk_runs.h"
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
    if (chunk_runs_check(c, &pages) < 0)
        return wrong(err, "a run of pages that can't be");
    /* a chunk may be handled before its owner has given it runs */
    if (pages > 0 && pages * STORE_PAGE_SIZE != c->raw_bytes)
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

/* Do its pages begin at `*at` or behind it, one behind the other? Then *at is behind them. */
static bool is_in_order(const Crs__Chunk *chunk, uint64_t *at)
{
    struct chunk_run run;
    uint64_t end = *at;

    chunk_runs_each (run, chunk) {
        if (run.dropped)
            continue;
        if (run.first < end)
            return false;
        end = run.first + run.count;
    }
    *at = end;
    return true;
}

struct spans {
    ARRAY_OF(struct span) array;
};

static void spans_clear(struct spans *spans)
{
    free(spans->array.items);
}

static int add_spans(struct spans *spans, const Crs__Chunk *chunk)
{
    struct chunk_run run;

    chunk_runs_each (run, chunk) {
        struct span *span = run.dropped ? NULL : ARRAY_ADD(&spans->array);
        if (span)
            *span = (struct span){run.first, run.first + run.count};
        else if (!run.dropped)
            return -ENOMEM;
    }
    return 0;
}

/* A page may be saved once only. Chunks that go on from the ones before are in order already: the
 * others are compared with each other, and with those. */
static int check_overlaps(const struct checking *k, Crs__Chunk **chunks, size_t n_chunks)
{
    _cleanup_(spans_clear) struct spans others = {0};
    struct chunk_run run;
    uint64_t at = 0;
    size_t n = 0;

    for (size_t i = 0; i < n_chunks; i++)
        if (!is_in_order(chunks[i], &at) && add_spans(&others, chunks[i]) < 0)
            return crs_fail(k->err, CRS_FAILED, ENOMEM, "no memory for lists of pages");
    const struct span *spans = others.array.items;
    if (others.array.n > 0)
        qsort(others.array.items, others.array.n, sizeof(*spans), compare_spans);
    for (size_t i = 1; i < others.array.n; i++)
        if (spans[i - 1].end > spans[i].first)
            return twice(k, spans[i].first);
    at = 0;
    for (size_t i = 0; i < n_chunks && others.array.n > 0; i++) {
        if (!is_in_order(chunks[i], &at))
            continue;
        chunk_runs_each (run, chunks[i]) {
            while (!run.dropped && n < others.array.n && spans[n].end <= run.first)
                n++;
            if (!run.dropped && n < others.array.n && spans[n].first < run.first + run.count)
                return twice(k, run.first);
        }
    }
    return 0;
}

static bool has_page_behind(const Crs__Chunk *chunk, uint64_t size_pages)
{
    struct chunk_run run;

    chunk_runs_each (run, chunk)
        if (!run.dropped && run.first + run.count > size_pages)
            return true;
    return false;
}

static bool has_runs(const Crs__Chunk *chunk)
{
    return chunk->n_runs > 0 || chunk->run_list.len > 0;
}

/* size_pages: where the pages must end. */
static int check_list(const struct checking *k, Crs__Chunk **chunks, size_t n_chunks,
                      uint64_t size_pages)
{
    for (size_t i = 0; i < n_chunks; i++) {
        int r = chunk_check(chunks[i], k->err);
        if (r == 0 && !has_runs(chunks[i]))
            r = wrong(k->err, "has no runs");
        if (r == 0)
            r = check_place(k, chunks[i]);
        if (r == 0 && has_page_behind(chunks[i], size_pages))
            r = wrong(k->err, "pages behind the end");
        if (r < 0)
            return crs_fail_at(k->err, r, "chunk %zu", i);
    }
    return check_overlaps(k, chunks, n_chunks);
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
