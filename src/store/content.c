/* content.c - a file's bytes, into packs and out of them */
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#include "base/io.h"
#include "store/chunk_runs.h"
#include "store/layout.h"
#include "store/store.h"
#include "store/writer.h"

/* Short content stands in the record itself: a chunk has at least a page. */
#define INLINE_MAX STORE_PAGE_SIZE

struct saving {
    struct store_writer *w;
    Crs__Content *content; /* being filled */
    size_t room;           /* in content->chunks */
    int fd;
    bool can_seek;   /* fd is our own description of it */
    uint8_t *buffer; /* STORE_CHUNK_SIZE: pages that hold data, one after the other */
    size_t n_pages;
    struct chunk_run_list runs; /* of the pages in the buffer */
    const Crs__Run *wanted;     /* only these pages, sorted; NULL: all */
    size_t n_wanted;
    struct crs_error *err;
};

static int no_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

/* A second open file description, so that SEEK_DATA doesn't move the position of one that the
 * program shares. -1: not possible; the file is read whole, holes and all. */
static int open_again(int fd)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

static int add_chunk(struct saving *s, Crs__Chunk **ret)
{
    Crs__Content *c = s->content;

    if (c->n_chunks == s->room) {
        size_t room = s->room ? s->room * 2 : 16;
        Crs__Chunk **chunks = reallocarray(c->chunks, room, sizeof(*chunks));
        if (!chunks)
            return -ENOMEM;
        c->chunks = chunks;
        s->room = room;
    }
    Crs__Chunk *chunk = malloc(sizeof(*chunk));
    if (!chunk)
        return -ENOMEM;
    *chunk = (Crs__Chunk)CRS__CHUNK__INIT;
    c->chunks[c->n_chunks++] = chunk;
    *ret = chunk;
    return 0;
}

/* Put what is in the buffer. */
static int flush(struct saving *s)
{
    Crs__Chunk *chunk;

    if (s->n_pages == 0)
        return 0;
    if (add_chunk(s, &chunk) < 0 || chunk_runs_set(chunk, &s->runs) < 0)
        return no_memory(s->err);
    int r = writer_put_chunk(s->w, s->buffer, s->n_pages * STORE_PAGE_SIZE, chunk, s->err);
    s->n_pages = 0;
    s->runs.n = 0;
    return r;
}

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, STORE_PAGE_SIZE - 1) == 0;
}

/* The page that stands behind those in the buffer is number `page`: keep it if it holds data. */
static int keep_page(struct saving *s, uint64_t page)
{
    if (is_zero(s->buffer + s->n_pages * STORE_PAGE_SIZE))
        return 0;
    chunk_run_list_add(&s->runs, page, 1, false);
    s->n_pages++;
    return s->n_pages == STORE_CHUNK_PAGES ? flush(s) : 0;
}

/* Read up to `most` pages from number `page` behind those in the buffer; bytes behind the file's
 * end are zero. */
static int read_pages(struct saving *s, uint64_t page, size_t most)
{
    uint8_t *at = s->buffer + s->n_pages * STORE_PAGE_SIZE;
    uint64_t left = s->content->size - page * STORE_PAGE_SIZE;
    size_t size = most * STORE_PAGE_SIZE;
    size_t want = left < size ? left : size;

    int r = pread_full(s->fd, at, want, page * STORE_PAGE_SIZE);
    if (r == -ENODATA)
        return crs_fail(s->err, CRS_BUSY, EAGAIN,
                        "a file became shorter while it was read; try again");
    if (r < 0) {
        errno = -r;
        return crs_fail_errno(s->err, CRS_FAILED, "can't read a file that is to be saved");
    }
    memset(at + want, 0, size - want);
    return 0;
}

/* Save the pages [first, end). */
static int save_pages(struct saving *s, uint64_t first, uint64_t end)
{
    while (first < end) {
        size_t n = STORE_CHUNK_PAGES - s->n_pages;
        if (n > end - first)
            n = end - first;
        int r = read_pages(s, first, n);
        /* pages move forward over zero ones, within what was read */
        uint8_t *from = s->buffer + s->n_pages * STORE_PAGE_SIZE;
        for (size_t i = 0; i < n && r == 0; i++) {
            uint8_t *to = s->buffer + s->n_pages * STORE_PAGE_SIZE;
            if (to != from + i * STORE_PAGE_SIZE)
                memcpy(to, from + i * STORE_PAGE_SIZE, STORE_PAGE_SIZE);
            r = keep_page(s, first + i);
        }
        if (r < 0)
            return r;
        first += n;
    }
    return 0;
}

/* The next pages with data at or behind `page`; an empty range at the end. */
static int next_data(struct saving *s, uint64_t page, uint64_t *ret_first, uint64_t *ret_end)
{
    uint64_t n_pages = (s->content->size + STORE_PAGE_SIZE - 1) / STORE_PAGE_SIZE;
    off_t data = 0, hole = -1;

    *ret_first = page;
    *ret_end = n_pages;
    if (!s->can_seek)
        return 0;
    data = lseek(s->fd, page * STORE_PAGE_SIZE, SEEK_DATA);
    if (data < 0 && errno == ENXIO) {
        *ret_first = n_pages;
        return 0;
    }
    if (data >= 0)
        hole = lseek(s->fd, data, SEEK_HOLE);
    if (hole < 0)
        return errno == EINVAL ? 0 : crs_fail_errno(s->err, CRS_FAILED, "can't seek in a file");
    *ret_first = data / STORE_PAGE_SIZE > (off_t)page ? (uint64_t)data / STORE_PAGE_SIZE : page;
    *ret_end = ((uint64_t)hole + STORE_PAGE_SIZE - 1) / STORE_PAGE_SIZE;
    if (*ret_end > n_pages)
        *ret_end = n_pages;
    if (*ret_first > n_pages)
        *ret_first = n_pages;
    return 0;
}

/* What is data of the pages [at, limit). */
static int save_range(struct saving *s, uint64_t at, uint64_t limit)
{
    uint64_t first, end;

    while (at < limit) {
        int r = next_data(s, at, &first, &end);
        if (end > limit)
            end = limit;
        if (r == 0 && first < end)
            r = save_pages(s, first, end);
        if (r < 0)
            return r;
        at = end;
    }
    return 0;
}

static int save_chunks(struct saving *s)
{
    uint64_t n_pages = (s->content->size + STORE_PAGE_SIZE - 1) / STORE_PAGE_SIZE;
    int r = 0;

    s->buffer = aligned_alloc(STORE_PAGE_SIZE, STORE_CHUNK_SIZE);
    if (!s->buffer)
        return no_memory(s->err);
    if (!s->wanted)
        r = save_range(s, 0, n_pages);
    for (size_t i = 0, next = 0; r == 0 && i < s->n_wanted; i++) {
        uint64_t first = s->wanted[i].first, end = first + s->wanted[i].count;
        r = save_range(s, first > next ? first : next, end < n_pages ? end : n_pages);
        next = end > next ? end : next;
    }
    return r < 0 ? r : flush(s);
}

static int save_inline(struct saving *s)
{
    Crs__Content *c = s->content;

    c->inline_data.data = malloc(c->size);
    if (!c->inline_data.data)
        return no_memory(s->err);
    c->inline_data.len = c->size;
    int r = pread_full(s->fd, c->inline_data.data, c->size, 0);
    if (r < 0) {
        errno = r == -ENODATA ? EAGAIN : -r;
        return crs_fail_errno(s->err, CRS_FAILED, "can't read a file that is to be saved");
    }
    return 0;
}

static int put_content(struct saving s, uint64_t size, Crs__Content **ret, struct crs_error *err)
{
    _cleanup_close_ int own_fd = open_again(s.fd);

    if (own_fd >= 0) {
        s.fd = own_fd;
        s.can_seek = true;
    }
    if (size > LIMIT_CONTENT_SIZE)
        return crs_fail(err, CRS_CANT_CHECKPOINT, EFBIG, "a file of %llu bytes is too large",
                        (unsigned long long)size);
    s.content = malloc(sizeof(*s.content));
    if (!s.content)
        return no_memory(err);
    *s.content = (Crs__Content)CRS__CONTENT__INIT;
    s.content->size = size;
    int r = 0;
    if (size > 0)
        r = size <= INLINE_MAX ? save_inline(&s) : save_chunks(&s);
    free(s.buffer);
    if (r < 0) {
        crs__content__free_unpacked(s.content, NULL);
        return r;
    }
    *ret = s.content;
    return 0;
}

int store_put_content(struct store_writer *w, int fd, uint64_t size, Crs__Content **ret,
                      struct crs_error *err)
{
    return put_content((struct saving){.w = w, .fd = fd, .err = err}, size, ret, err);
}

static int compare_runs(const void *a, const void *b)
{
    const Crs__Run *x = a, *y = b;

    return (x->first > y->first) - (x->first < y->first);
}

int store_put_content_runs(struct store_writer *w, int fd, uint64_t size, Crs__Run *runs, size_t n,
                           Crs__Content **ret, struct crs_error *err)
{
    qsort(runs, n, sizeof(*runs), compare_runs);
    return put_content((struct saving){.w = w, .fd = fd, .wanted = runs, .n_wanted = n, .err = err},
                       size, ret, err);
}

/* Where content goes: into a file, or to memory. */
struct target {
    int fd;
    uint8_t *memory;          /* not NULL: there */
    uint64_t huge_page_bytes; /* not 0: of the file, which can only be mapped */
};

/* Page by page: what is mapped is reserved for good, and holes are to stay holes. */
static int write_huge(const struct target *to, const uint8_t *data, size_t size, uint64_t offset,
                      struct crs_error *err)
{
    const uint64_t page = to->huge_page_bytes;

    while (size > 0) {
        uint64_t within = offset % page;
        size_t n = size < page - within ? size : page - within;
        uint8_t *memory =
            mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, to->fd, offset - within);
        if (memory == MAP_FAILED)
            return crs_fail_errno(err, CRS_CANT_RESTART,
                                  "no huge page of %llu KiB is left for a file (see "
                                  "/sys/kernel/mm/hugepages)",
                                  (unsigned long long)page >> 10);
        memcpy(memory + within, data, n);
        munmap(memory, page);
        data += n;
        offset += n;
        size -= n;
    }
    return 0;
}

static int write_at(const struct target *to, const void *data, size_t size, uint64_t offset,
                    struct crs_error *err)
{
    if (to->memory) {
        memcpy(to->memory + offset, data, size);
        return 0;
    }
    if (to->huge_page_bytes)
        return write_huge(to, data, size, offset, err);
    int r = pwrite_full(to->fd, data, size, offset);
    if (r < 0) {
        errno = -r;
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't write the saved content of a file");
    }
    return 0;
}

static int restore_chunk(struct store_reader *r, const Crs__Content *content,
                         const Crs__Chunk *chunk, const struct target *to, uint8_t *buffer,
                         struct crs_error *err)
{
    int x = store_read_chunk(r, chunk, buffer, err);

    struct chunk_runs_at at = chunk_runs_begin(chunk);
    struct chunk_run run;
    uint64_t done = 0;

    while (x == 0 && chunk_runs_next(&at, &run)) {
        uint64_t offset = run.first * STORE_PAGE_SIZE;
        uint64_t size = run.count * STORE_PAGE_SIZE;
        if (run.dropped) {
            done += size;
            continue;
        }
        if (offset >= content->size || size > chunk->raw_bytes - done)
            return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s: content with pages behind its end",
                            store_reader_path(r));
        x = write_at(to, buffer + done,
                     size < content->size - offset ? size : content->size - offset, offset, err);
        done += size;
    }
    return x;
}

static int check_size(struct store_reader *r, const Crs__Content *content, struct crs_error *err)
{
    if (content->size > LIMIT_CONTENT_SIZE || content->inline_data.len > content->size)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s: content of a size that can't be",
                        store_reader_path(r));
    return 0;
}

static int restore_data(struct store_reader *r, const Crs__Content *content,
                        const struct target *to, struct crs_error *err)
{
    int x = 0;

    if (content->inline_data.len > 0)
        x = write_at(to, content->inline_data.data, content->inline_data.len, 0, err);
    if (x < 0 || content->n_chunks == 0)
        return x;
    _cleanup_free_ uint8_t *buffer = aligned_alloc(STORE_PAGE_SIZE, STORE_CHUNK_SIZE);
    if (!buffer)
        return no_memory(err);
    for (size_t i = 0; i < content->n_chunks && x == 0; i++)
        x = restore_chunk(r, content, content->chunks[i], to, buffer, err);
    return x;
}

int store_get_content(struct store_reader *r, const Crs__Content *content, int fd,
                      struct crs_error *err)
{
    struct target to = {.fd = fd};
    int x = check_size(r, content, err);
    struct statfs fs;

    if (fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC)
        to.huge_page_bytes = fs.f_bsize;
    if (x == 0 && ftruncate(fd, content->size) < 0)
        x = crs_fail_errno(err, CRS_CANT_RESTART, "can't make a file of %llu bytes",
                           (unsigned long long)content->size);
    return x < 0 ? x : restore_data(r, content, &to, err);
}

int store_get_content_to_memory(struct store_reader *r, const Crs__Content *content, void *memory,
                                size_t size, struct crs_error *err)
{
    const struct target to = {.fd = -1, .memory = memory};
    int x = check_size(r, content, err);

    if (x == 0 && content->size > size)
        x = crs_fail(err, CRS_DAMAGED, EBADMSG, "%s: content that is longer than its object",
                     store_reader_path(r));
    return x < 0 ? x : restore_data(r, content, &to, err);
}
