/* encode.c - the form in which a chunk is stored, and what came of it */
#include <errno.h>
#include <time.h>

#include "writer.h"

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* In the context's buffer, where it stands already if it was compressed. */
static int seal(const struct store_writer *w, struct pack *p, struct encoding *e)
{
    uint8_t *buffer = codec_buffer(&p->context);

    if (!buffer)
        return -ENOMEM;
    seal_data(w->seal, NULL, e->data, e->size, buffer);
    e->data = buffer;
    e->size += SEAL_BYTES;
    e->codec = codec_sealed(e->codec);
    return 0;
}

int writer_encode(struct store_writer *w, struct pack *p, const void *raw, size_t size,
                  struct encoding *ret, struct crs_error *err)
{
    struct encoding e = {.adapts = w->codec.automatic};
    struct codec codec = w->codec;

    if (e.adapts) {
        e.began_ns = now_ns();
        pthread_mutex_lock(&w->lock);
        if (w->adapt.began_ns == 0)
            w->adapt.began_ns = e.began_ns;
        codec = adapt_codec(&w->adapt);
        pthread_mutex_unlock(&w->lock);
    }
    if (codec_compress(&codec, &p->context, raw, size, &e.data, &e.size, &e.codec) < 0)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory to compress");
    if (w->seal && seal(w, p, &e) < 0)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory to encrypt");
    if (e.adapts) {
        uint64_t now = now_ns();
        e.work_ns = codec.kind == CRS__CODEC__CODEC_NONE ? 0 : now - e.began_ns;
        e.began_ns = now;
    }
    *ret = e;
    return 0;
}

static void add(uint64_t *sum, uint64_t bytes)
{
    __atomic_fetch_add(sum, bytes, __ATOMIC_RELAXED);
}

void writer_encoded(struct store_writer *w, struct pack *p, size_t size, const struct encoding *e)
{
    add(&p->raw_bytes, size);
    add(&p->stored_bytes, e->size);
    struct codec_use *use = &p->use[codec_inner(e->codec)];

    add(&use->raw_bytes, size);
    add(&use->stored_bytes, e->size);
    if (!e->adapts)
        return;
    struct adapt_chunk chunk = {
        .now_ns = now_ns(), .raw_bytes = size, .stored_bytes = e->size, .work_ns = e->work_ns};
    /* a file takes what it is given; what it does with it is behind it */
    if (w->stream || w->limiter.bytes_per_second > 0)
        chunk.blocked_ns = chunk.now_ns - e->began_ns;
    if (!w->stream) {
        chunk.behind_bytes = flusher_behind(&w->flusher);
        chunk.disk_speed = flusher_speed(&w->flusher);
    }
    pthread_mutex_lock(&w->lock);
    adapt_note(&w->adapt, &chunk);
    pthread_mutex_unlock(&w->lock);
}

static struct codec_use used(const struct store_writer *w, int kind)
{
    struct codec_use all = {0};

    for (unsigned i = 0; i < w->n_packs; i++) {
        all.raw_bytes += w->packs[i]->use[kind].raw_bytes;
        all.stored_bytes += w->packs[i]->use[kind].stored_bytes;
    }
    return all;
}

json_t *writer_codecs(const struct store_writer *w)
{
    json_t *codecs = json_object();

    for (int kind = 0; kind < CODEC_KINDS; kind++) {
        struct codec_use use = used(w, kind);
        if (use.raw_bytes > 0)
            json_object_set_new(codecs, codec_name(kind),
                                json_pack("{s:I, s:I}", "memory_bytes", (json_int_t)use.raw_bytes,
                                          "stored_bytes", (json_int_t)use.stored_bytes));
    }
    return codecs;
}

unsigned writer_codec_bits(const struct store_writer *w)
{
    unsigned bits = w->foreign_codecs;

    for (int kind = 0; kind < CODEC_KINDS; kind++)
        if (used(w, kind).raw_bytes > 0)
            bits |= 1u << kind;
    return bits;
}

void store_writer_note_codec(struct store_writer *w, Crs__Codec codec)
{
    pthread_mutex_lock(&w->lock);
    w->foreign_codecs |= 1u << codec_inner(codec);
    pthread_mutex_unlock(&w->lock);
}

uint64_t store_writer_buffer_bytes(struct store_writer *w)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < w->n_packs; i++) {
        bytes += codec_context_bytes(&w->packs[i]->context);
        if (w->packs[i]->piece.data)
            bytes += STORE_CHUNK_SIZE;
    }
    return bytes;
}
