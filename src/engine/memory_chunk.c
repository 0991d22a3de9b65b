/* memory_chunk.c - the pages of one chunk: read, without those of zeros, written into a pack */
#include <pthread.h>
#include <string.h>
#include <sys/uio.h>

#include "base/io.h"
#include "memory_image.h"

/* A page that isn't readable in the normal way. */
static int read_forced(struct copy_source *source, const struct copy_run *run, uint64_t address,
                       uint8_t *to, bool *ret_absent, struct crs_error *err)
{
    if (pread_full(source->mem_fd, to, PAGE, address) == 0)
        return 0;
    if (run->how & COPY_MAY_FAIL) {
        *ret_absent = true;
        return 0;
    }
    if (!source->image->guard_bit) {
        /* Kernels that have guard pages but don't tell where show them as swapped. */
        pthread_mutex_lock(&source->guards_lock);
        int r = page_runs_add(&source->image->guards, PAGE_OF(address), 1);
        pthread_mutex_unlock(&source->guards_lock);
        *ret_absent = true;
        return r < 0 ? crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages") : 0;
    }
    return crs_fail(err, CRS_CANT_CHECKPOINT, EFAULT, "the page at %#llx can't be read",
                    (unsigned long long)address);
}

/* Read runs [first, first + n) of the process's memory, which aren't forced, to buffer page `at`.
 * Stops early at a page that can't be read; *ret_pages were. */
static int read_vector(struct copy_source *source, const struct copy_run *runs, size_t n,
                       uint8_t *to, uint64_t skip_pages, uint64_t *ret_pages, struct crs_error *err)
{
    struct iovec remote[STORE_CHUNK_PAGES];
    uint64_t total = 0;
    size_t n_remote = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t skip = skip_pages < runs[i].count ? skip_pages : runs[i].count;
        skip_pages -= skip;
        if (skip == runs[i].count)
            continue;
        remote[n_remote++] =
            (struct iovec){(void *)(runs[i].source + skip * PAGE), (runs[i].count - skip) * PAGE};
        total += (runs[i].count - skip) * PAGE;
    }
    struct iovec local = {to, total};
    ssize_t done = process_vm_readv(source->tid, &local, 1, remote, n_remote, 0);
    if (done < 0 && errno != EFAULT)
        return crs_fail_errno(err, CRS_FAILED, "can't read the process's memory");
    *ret_pages = done < 0 ? 0 : done / PAGE;
    return 0;
}

/* Consecutive runs that aren't forced, with a detour for pages that resist. */
static int read_runs(struct copy_source *source, const struct copy_run *runs, size_t n, uint32_t at,
                     uint64_t n_pages, struct copy_buffer *buffer, struct crs_error *err)
{
    for (uint64_t done = 0; done < n_pages;) {
        uint64_t got = 0, before = 0;
        int r = read_vector(source, runs, n, buffer->data + (at + done) * PAGE, done, &got, err);
        if (r < 0)
            return r;
        done += got;
        if (done == n_pages)
            break;
        const struct copy_run *run = runs;
        for (; before + run->count <= done; run++)
            before += run->count;
        r = read_forced(source, run, run->source + (done - before) * PAGE,
                        buffer->data + (at + done) * PAGE, &buffer->absent[at + done], err);
        if (r < 0)
            return r;
        done++;
    }
    return 0;
}

static int read_forced_run(struct copy_source *source, const struct copy_run *run, uint32_t at,
                           struct copy_buffer *buffer, struct crs_error *err)
{
    uint8_t *to = buffer->data + at * PAGE;

    if (pread_full(source->mem_fd, to, run->count * PAGE, run->source) == 0)
        return 0;
    for (uint32_t i = 0; i < run->count; i++) {
        int r = read_forced(source, run, run->source + i * PAGE, to + i * PAGE,
                            &buffer->absent[at + i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_file_run(int fd, const struct copy_run *run, uint8_t *to, struct crs_error *err)
{
    uint64_t size = run->count * PAGE;

    for (uint64_t at = 0; at < size;) {
        ssize_t n = pread(fd, to + at, size - at, run->source + at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return crs_fail_errno(err, CRS_FAILED, "can't read a shared memory object");
        if (n == 0) { /* the last page of an odd size */
            memset(to + at, 0, size - at);
            break;
        }
        at += n;
    }
    return 0;
}

static int read_chunk(struct copy_source *source, const struct copy_chunk *chunk,
                      struct copy_buffer *buffer, struct crs_error *err)
{
    struct copy_run runs[STORE_CHUNK_PAGES];
    int r = 0;

    copy_plan_runs(source->plan, chunk, runs);
    for (size_t i = 0, n; r == 0 && i < chunk->n_runs; i += n) {
        uint32_t at = buffer->n;
        n = 0;
        do {
            for (uint32_t k = 0; k < runs[i + n].count; k++, buffer->n++) {
                buffer->page[buffer->n] = runs[i + n].page + k;
                buffer->keep_zero[buffer->n] = runs[i + n].how & COPY_KEEP_ZERO;
                buffer->absent[buffer->n] = false;
            }
            n++;
        } while (chunk->fd < 0 && i + n < chunk->n_runs &&
                 !((runs[i + n - 1].how | runs[i + n].how) & COPY_FORCED));
        if (chunk->fd >= 0)
            r = read_file_run(chunk->fd, &runs[i], buffer->data + at * PAGE, err);
        else if (runs[i].how & COPY_FORCED)
            r = read_forced_run(source, &runs[i], at, buffer, err);
        else
            r = read_runs(source, &runs[i], n, at, buffer->n - at, buffer, err);
    }
    return r;
}

static bool is_zero(const uint8_t *page)
{
    uint64_t first;

    memcpy(&first, page, sizeof(first));
    return first == 0 && memcmp(page, page + 8, PAGE - 8) == 0;
}

/* Squeeze out what needs no place. */
static void drop_pages(struct copy_buffer *buffer)
{
    uint32_t to = 0;

    for (uint32_t i = 0; i < buffer->n; i++) {
        const uint8_t *page = buffer->data + i * PAGE;
        if (buffer->absent[i] || (!buffer->keep_zero[i] && is_zero(page)))
            continue;
        if (to != i)
            memcpy(buffer->data + to * PAGE, page, PAGE);
        buffer->page[to++] = buffer->page[i];
    }
    buffer->n = to;
}

static int set_runs(Crs__Chunk *chunk, const struct copy_buffer *buffer)
{
    struct chunk_run_list list = {.n = 0};

    for (uint32_t i = 0; i < buffer->n; i++)
        chunk_run_list_add(&list, buffer->page[i], 1, false);
    return chunk_runs_set(chunk, &list);
}

static int put_chunk(struct copy_source *source, struct copy_chunk *chunk,
                     struct copy_buffer *buffer, struct crs_error *err)
{
    Crs__Chunk *result;

    if (buffer->n == 0)
        return 0;
    result = malloc(sizeof(*result));
    if (!result)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a chunk");
    crs__chunk__init(result);
    chunk->result = result;
    int r = store_put_chunk(source->ctx->writer, buffer->data, buffer->n * PAGE, result, err);
    if (r == 0 && set_runs(result, buffer) < 0)
        r = crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a chunk");
    return r;
}

static int add_missed(struct page_list *missed, uint64_t page)
{
    uint64_t *place = ARRAY_ADD(missed);

    if (place)
        *place = page;
    return place ? 0 : -ENOMEM;
}

/* Pages that were given up: who copies while the process runs wants to know. */
static int note_missed(struct copy_source *source, const struct copy_buffer *buffer,
                       struct crs_error *err)
{
    int r = 0;

    pthread_mutex_lock(&source->guards_lock);
    for (uint32_t i = 0; r == 0 && i < buffer->n; i++)
        if (buffer->absent[i])
            r = add_missed(source->missed, buffer->page[i]);
    pthread_mutex_unlock(&source->guards_lock);
    return r < 0 ? crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages") : 0;
}

int copy_chunk_read(struct copy_source *source, const struct copy_chunk *chunk,
                    struct copy_buffer *buffer, struct crs_error *err)
{
    buffer->n = 0;
    int r = read_chunk(source, chunk, buffer, err);
    return r == 0 && source->missed ? note_missed(source, buffer, err) : r;
}

int copy_chunk_put(struct copy_source *source, struct copy_chunk *chunk, struct copy_buffer *buffer,
                   struct crs_error *err)
{
    struct memory_same *same = source->image->set->same;
    struct page_checksums checksums;

    drop_pages(buffer);
    if (same && memory_same_take(same, buffer, &checksums, &chunk->same) < 0)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a chunk");
    if (chunk->same)
        store_refer_chunk(source->ctx->writer, chunk->same);
    int r = put_chunk(source, chunk, buffer, err);
    if (r == 0 && same && chunk->result)
        memory_same_note(same, chunk->result, &checksums);
    return r;
}
