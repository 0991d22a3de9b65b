/* manifest.c - the file that makes a directory a snapshot */
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "manifest.h"
#include "store/store.h"

/* How every manifest of every version ends. */
#define TAIL_BEFORE ",\n\"checksum\": \""
#define TAIL_AFTER  "\"}\n"
#define TAIL_SIZE   (sizeof(TAIL_BEFORE) - 1 + 2 * CHECKSUM_SIZE + sizeof(TAIL_AFTER) - 1)

/* What a snapshot may require of its reader. */
static const char *const known_features[] = {"lz4", "zstd", FEATURE_ENCRYPTION};

static int damaged(struct crs_error *err, const char *what)
{
    return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s: %s", MANIFEST_NAME, what);
}

void manifest_clear(struct manifest *m)
{
    json_decref(m->json);
    free(m->files.items);
    *m = (struct manifest){0};
}

static void write_tail(const void *text, size_t size, char ret[TAIL_SIZE + 1])
{
    uint8_t checksum[CHECKSUM_SIZE];
    char digits[CHECKSUM_TEXT_SIZE];

    checksum_of(text, size, checksum);
    checksum_text(checksum, digits);
    snprintf(ret, TAIL_SIZE + 1, TAIL_BEFORE "%s" TAIL_AFTER, digits);
}

int manifest_seal(const json_t *json, struct bytes *ret, struct crs_error *err)
{
    _cleanup_free_ char *text = json_dumps(json, JSON_INDENT(1) | JSON_ENSURE_ASCII);
    size_t size = text ? strlen(text) : 0;

    if (size < 2 || json_object_size(json) == 0)
        return crs_fail(err, CRS_FAILED, ENOMEM, "can't write the manifest's text");
    size--; /* the closing brace moves behind the checksum */
    while (size > 1 && text[size - 1] == '\n')
        size--;
    char *sealed = realloc(text, size + TAIL_SIZE + 1);
    if (!sealed)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    text = NULL;
    write_tail(sealed, size, sealed + size);
    bytes_clear(ret);
    *ret = (struct bytes){(uint8_t *)sealed, size + TAIL_SIZE};
    return 0;
}

static int check_seal(const void *text, size_t size, struct crs_error *err)
{
    char tail[TAIL_SIZE + 1];

    if (size <= TAIL_SIZE)
        return damaged(err, "too short");
    if (memchr(text, 0, size))
        return damaged(err, "has zero bytes");
    write_tail(text, size - TAIL_SIZE, tail);
    if (memcmp((const char *)text + size - TAIL_SIZE, tail, TAIL_SIZE) != 0)
        return damaged(err, "its checksum is wrong: truncated or changed");
    return 0;
}

static int check_version(const json_t *json, struct crs_error *err)
{
    const json_t *version = json_object_get(json, "version");
    const char *format = json_string_value(json_object_get(json, "format"));
    const char *tool = json_string_value(json_object_get(json, "tool"));

    if (!format || strcmp(format, FORMAT_NAME) != 0)
        return damaged(err, "not the manifest of a snapshot");
    if (!json_is_integer(version) || json_integer_value(version) < 1)
        return damaged(err, "has no format version");
    if (json_integer_value(version) > STORE_FORMAT_VERSION)
        return crs_fail(err, CRS_CANT_RESTART, EPROTONOSUPPORT,
                        "the snapshot has format version %" JSON_INTEGER_FORMAT " (written by %s);"
                        " this version reads up to %d: use a newer one",
                        json_integer_value(version), tool ? tool : "an unknown tool",
                        STORE_FORMAT_VERSION);
    return 0;
}

static int check_features(const json_t *json, struct crs_error *err)
{
    const json_t *requires = json_object_get(json, "requires"), *item;
    size_t i;

    if (!json_is_array(requires))
        return damaged(err, "'requires' is not a list");
    json_array_foreach(requires, i, item)
    {
        const char *name = json_string_value(item);
        bool known = false;
        for (size_t j = 0; name && j < ELEMENTS(known_features); j++)
            known |= strcmp(name, known_features[j]) == 0;
        if (!name)
            return damaged(err, "'requires' is not a list of names");
        if (!known)
            return crs_fail(err, CRS_CANT_RESTART, EPROTONOSUPPORT,
                            "the snapshot requires '%.64s', which this version does not know: use "
                            "a newer one",
                            name);
    }
    return 0;
}

static int parse_checksum(const char *text, uint8_t ret[CHECKSUM_SIZE])
{
    if (!text || strlen(text) != 2 * CHECKSUM_SIZE ||
        strspn(text, "0123456789abcdef") != 2 * CHECKSUM_SIZE)
        return -EBADMSG;
    for (size_t i = 0; i < CHECKSUM_SIZE; i++) {
        unsigned value;
        if (sscanf(text + 2 * i, "%2x", &value) != 1)
            return -EBADMSG;
        ret[i] = value;
    }
    return 0;
}

static int parse_file(const json_t *item, struct manifest_file *f, struct crs_error *err)
{
    const char *name = json_string_value(json_object_get(item, "name"));
    const json_t *size = json_object_get(item, "size_bytes");
    const json_t *checksum = json_object_get(item, "checksum");

    if (!name || strlen(name) > LIMIT_FILE_NAME ||
        (!layout_is_record(name) && !layout_is_pack(name, &f->pack)))
        return damaged(err, "lists a file with a name that no file of a snapshot has");
    if (!json_is_integer(size) || json_integer_value(size) < 0)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s: no length of %s", MANIFEST_NAME, name);
    strcpy(f->name, name);
    f->size_bytes = json_integer_value(size);
    f->has_checksum = checksum;
    if ((checksum || !f->pack) && parse_checksum(json_string_value(checksum), f->checksum) < 0)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s: no checksum of %s", MANIFEST_NAME, name);
    if (!f->pack && f->size_bytes > STORE_RECORD_MAX_SIZE)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s: %s has %" PRIu64 " bytes; %u at most",
                        MANIFEST_NAME, name, f->size_bytes, STORE_RECORD_MAX_SIZE);
    return 0;
}

static const struct manifest_file *find_file(const struct manifest *m, const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(m->files.items[i].name, name) == 0)
            return &m->files.items[i];
    }
    return NULL;
}

static int parse_files(struct manifest *m, struct crs_error *err)
{
    const json_t *files = json_object_get(m->json, "files"), *item;
    size_t i, n_packs = 0;

    if (!json_is_array(files) || json_array_size(files) > LIMIT_FILES)
        return damaged(err, "has no list of files, or one that is too long");
    json_array_foreach(files, i, item)
    {
        struct manifest_file *f = ARRAY_ADD(&m->files);
        if (!f)
            return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
        int r = parse_file(item, f, err);
        if (r < 0)
            return r;
        n_packs += f->pack > 0;
        if (find_file(m, f->name, m->files.n - 1))
            return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s: lists %s twice", MANIFEST_NAME,
                            f->name);
    }
    if (n_packs > LIMIT_PACKS)
        return damaged(err, "lists too many packs");
    if (n_packs > 0 && !find_file(m, PACKS_RECORD RECORD_SUFFIX, m->files.n))
        return damaged(err, "lists packs, but no " PACKS_RECORD RECORD_SUFFIX);
    return 0;
}

static int parse(const void *text, size_t size, struct manifest *m, struct crs_error *err)
{
    json_error_t where;

    m->json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (!m->json)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s: byte %d: %s", MANIFEST_NAME, where.position,
                        where.text);
    if (!json_is_object(m->json))
        return damaged(err, "not an object");
    int r = check_version(m->json, err);
    if (r == 0)
        r = check_features(m->json, err);
    if (r == 0)
        r = parse_files(m, err);
    const json_t *memory = json_object_get(m->json, "memory_bytes");
    if (r == 0 && memory && (!json_is_integer(memory) || json_integer_value(memory) < 0))
        return damaged(err, "'memory_bytes' is not a number");
    m->memory_bytes = json_integer_value(memory);
    return r;
}

int manifest_parse(const void *text, size_t size, struct manifest *ret, struct crs_error *err)
{
    struct manifest m = {0};

    if (size > LIMIT_MANIFEST_SIZE)
        return damaged(err, "too large");
    int r = check_seal(text, size, err);
    if (r == 0)
        r = parse(text, size, &m, err);
    if (r < 0) {
        manifest_clear(&m);
        return r;
    }
    m.size_bytes = size;
    *ret = m;
    return 0;
}
