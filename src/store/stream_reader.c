/* stream_reader.c - where the files of a snapshot stand in a stream */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "store/spool.h"
#include "store/store.h"
#include "store/stream_reader.h"

#define LIMIT_SECTION_SIZE (1ull << 62) /* so that sums don't overflow; less than it may be */

struct walk {
    struct stream *s;
    struct spool *spool; /* NULL: it's read in place */
    uint64_t base;       /* where it begins */
    uint64_t end;        /* of the file, from the base; of a spool: unknown */
    uint64_t position;   /* from the base */
    struct crs_error *err;
};

void stream_clear(struct stream *s)
{
    cleanup_close(&s->fd);
    for (size_t i = 0; i < s->files.n; i++)
        free(s->files.items[i].extents.items);
    free(s->files.items);
    *s = (struct stream)STREAM_NONE;
}

const struct stream_file *stream_find(const struct stream *s, const char *name)
{
    for (size_t i = 0; i < s->files.n; i++)
        if (strcmp(s->files.items[i].name, name) == 0)
            return &s->files.items[i];
    return NULL;
}

int stream_place(const struct stream_file *file, uint64_t offset, uint64_t size_bytes,
                 uint64_t *ret_position)
{
    size_t low = 0, high = file->extents.n;

    while (low < high) { /* the last that doesn't begin behind the offset */
        size_t middle = low + (high - low) / 2;
        if (file->extents.items[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return -EBADMSG;
    const struct stream_extent *e = &file->extents.items[low - 1];
    uint64_t room = stream_padded(e->size_bytes), at = offset - e->offset;
    if (at > room || size_bytes > room - at)
        return -EBADMSG;
    *ret_position = e->position + at;
    return 0;
}

/* ---- what is there ---- */

static int incomplete(const struct walk *w, uint64_t end)
{
    return crs_fail(w->err, CRS_DAMAGED, ENODATA,
                    "incomplete: the stream was cut off after %" PRIu64 " bytes", end);
}

/* See to it that the bytes up to `end` are there. */
static int have(struct walk *w, uint64_t end)
{
    if (!w->spool)
        return end <= w->end ? 0 : incomplete(w, w->end);
    int r = spool_until(w->spool, end, w->err);
    return r == -ENODATA ? incomplete(w, w->spool->size_bytes) : r;
}

static int get(struct walk *w, uint64_t position, void *data, size_t size)
{
    int r = have(w, position + size);

    if (r < 0)
        return r;
    r = pread_full(w->s->fd, data, size, w->base + position);
    if (r == -ENODATA) /* it became shorter meanwhile */
        return incomplete(w, position);
    if (r < 0) {
        errno = -r;
        return crs_fail_errno(w->err, CRS_FAILED, "can't read the stream");
    }
    return 0;
}

static int damaged(const struct walk *w, const struct stream_section *section, const char *what)
{
    return crs_fail(w->err, CRS_DAMAGED, EBADMSG, "the section of %s at byte %" PRIu64 " %s",
                    section->name, w->position, what);
}

/* The zeros behind data. */
static int check_padding(struct walk *w, const char *name, uint64_t end)
{
    uint8_t zeros[STREAM_BLOCK];
    size_t n = stream_padded(end) - end;

    int r = get(w, end, zeros, n);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (zeros[i])
            r = crs_fail(w->err, CRS_DAMAGED, EBADMSG,
                         "the stream has changed behind the data of %s, at byte %" PRIu64, name,
                         end + i);
    return r;
}

/* ---- sections ---- */

static struct stream_file *find_or_add(struct walk *w, const char *name)
{
    struct stream_file *file = (struct stream_file *)stream_find(w->s, name);

    if (file)
        return file;
    file = ARRAY_ADD(&w->s->files);
    if (file)
        strcpy(file->name, name);
    return file;
}

/* Pieces of a pack follow each other, with zeros up to the next page between them; a record is one
 * piece. */
static int check_section(const struct walk *w, const struct stream_section *section,
                         const struct stream_file *file)
{
    bool pack = layout_is_pack(section->name, NULL);

    if (!pack && !layout_is_record(section->name))
        return damaged(w, section, "is of no file that a snapshot has");
    if (section->size_bytes > LIMIT_SECTION_SIZE || section->offset > LIMIT_SECTION_SIZE ||
        (!pack && section->size_bytes > STORE_RECORD_MAX_SIZE) || (pack && !section->size_bytes))
        return damaged(w, section, "has a length that can't be");
    if (!pack && file->extents.n > 0)
        return damaged(w, section, "is there twice");
    if (section->offset != stream_padded(file->size_bytes))
        return damaged(w, section, "is not the next piece of it");
    return 0;
}

static int take_section(struct walk *w, const struct stream_section *section)
{
    if (w->s->files.n >= LIMIT_FILES && !stream_find(w->s, section->name))
        return damaged(w, section, "is of one file too many");
    struct stream_file *file = find_or_add(w, section->name);
    if (!file)
        return crs_fail(w->err, CRS_FAILED, ENOMEM, "out of memory");
    int r = check_section(w, section, file);
    if (r < 0)
        return r;
    struct stream_extent *extent = ARRAY_ADD(&file->extents);
    if (!extent)
        return crs_fail(w->err, CRS_FAILED, ENOMEM, "out of memory");
    *extent = (struct stream_extent){.offset = section->offset,
                                     .size_bytes = section->size_bytes,
                                     .position = w->base + w->position + STREAM_BLOCK};
    file->size_bytes = section->offset + section->size_bytes;
    return 0;
}

static int take_manifest(struct walk *w, const struct stream_section *section, struct bytes *ret)
{
    uint64_t at = w->position + STREAM_BLOCK;

    if (section->offset || section->size_bytes > LIMIT_MANIFEST_SIZE)
        return damaged(w, section, "has a length that can't be");
    int r = have(w, at + stream_padded(section->size_bytes));
    if (r < 0)
        return r;
    _cleanup_free_ uint8_t *text = malloc(section->size_bytes + 1);
    if (!text)
        return crs_fail(w->err, CRS_FAILED, ENOMEM, "out of memory");
    r = get(w, at, text, section->size_bytes);
    if (r == 0)
        r = check_padding(w, section->name, at + section->size_bytes);
    if (r == 0 && !w->spool && at + stream_padded(section->size_bytes) != w->end)
        r = crs_fail(w->err, CRS_DAMAGED, EBADMSG,
                     "there are bytes behind the end of the stream, at byte %" PRIu64,
                     at + stream_padded(section->size_bytes));
    if (r == 0)
        *ret = (struct bytes){TAKE_PTR(text), section->size_bytes};
    return r;
}

/* Sections, up to the manifest. */
static int take_all(struct walk *w, struct bytes *ret_manifest)
{
    uint8_t block[STREAM_BLOCK];
    struct stream_section section;

    int r = get(w, 0, block, STREAM_MAGIC_SIZE);
    if (r == 0 && !stream_is_head(block, STREAM_MAGIC_SIZE)) /* before more is waited for */
        r = crs_fail(w->err, CRS_DAMAGED, EBADMSG, "not a snapshot in stream form");
    if (r == 0)
        r = get(w, 0, block, sizeof(block));
    if (r == 0)
        r = stream_check_head(block, w->err);
    for (w->position = STREAM_BLOCK; r == 0;
         w->position += STREAM_BLOCK + stream_padded(section.size_bytes)) {
        r = get(w, w->position, block, sizeof(block));
        if (r == 0) {
            r = stream_parse_header(block, &section, w->err);
            r = r < 0 ? crs_fail_at(w->err, r, "at byte %" PRIu64, w->position) : r;
        }
        if (r == 0 && strcmp(section.name, MANIFEST_NAME) == 0)
            return take_manifest(w, &section, ret_manifest);
        if (r == 0)
            r = take_section(w, &section);
        if (r == 0)
            r = have(w, w->position + STREAM_BLOCK + stream_padded(section.size_bytes));
    }
    return r;
}

/* Those between two pieces of a pack belong to it, and are looked at with it. */
static int check_paddings(struct walk *w)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < w->s->files.n; i++) {
        const struct stream_file *file = &w->s->files.items[i];
        const struct stream_extent *last = &file->extents.items[file->extents.n - 1];
        r = check_padding(w, file->name, last->position - w->base + last->size_bytes);
    }
    return r;
}

/* ---- open ---- */

static int walk(struct walk *w, struct bytes *ret_manifest)
{
    _cleanup_bytes_ struct bytes manifest = {0};

    int r = take_all(w, &manifest);
    if (r == 0)
        r = check_paddings(w);
    if (r < 0)
        return r;
    *ret_manifest = manifest;
    manifest = (struct bytes){0};
    return 0;
}

static int open_in_place(struct stream *s, uint64_t size_bytes, struct bytes *ret_manifest,
                         struct crs_error *err)
{
    off_t base = lseek(s->fd, 0, SEEK_CUR);
    struct walk w = {.s = s, .base = base < 0 ? 0 : base, .err = err};

    w.end = size_bytes > w.base ? size_bytes - w.base : 0;
    return walk(&w, ret_manifest);
}

static int open_copy(struct stream *s, int fd, struct bytes *ret_manifest, struct crs_error *err)
{
    struct spool spool;
    struct walk w = {.s = s, .spool = &spool, .err = err};

    int r = spool_open(fd, &spool, &s->fd, err);
    if (r < 0)
        return r;
    r = walk(&w, ret_manifest);
    spool_close(&spool);
    return r;
}

int stream_open(int fd, struct stream *ret, struct bytes *ret_manifest, struct crs_error *err)
{
    struct stream s = STREAM_NONE;
    struct crs_error own = {0};
    struct stat st;
    int r;

    if (fstat(fd, &st) < 0) {
        r = crs_fail_errno(&own, CRS_FAILED, "can't look at the stream");
        cleanup_close(&fd);
    } else if (S_ISREG(st.st_mode)) {
        s.fd = fd;
        r = open_in_place(&s, st.st_size, ret_manifest, &own);
    } else {
        r = open_copy(&s, fd, ret_manifest, &own);
        cleanup_close(&fd);
    }
    if (r == 0) {
        *ret = s;
        return 0;
    }
    if (err)
        *err = own;
    stream_clear(&s);
    return r;
}
