/* stream.c - the head of a stream, and the headers of its sections */
#include <endian.h>
#include <stddef.h>
#include <string.h>

#include "store/stream.h"

#define MARK "section\n"

/* Numbers are little endian; what isn't named is zero, up to the end of the block. */
struct head {
    char magic[STREAM_MAGIC_SIZE];
    uint64_t version;
};

struct header {
    char mark[8];
    uint64_t flags; /* what a reader must know; none so far */
    uint64_t offset;
    uint64_t size_bytes;
    char name[80];
    uint8_t checksum[CHECKSUM_SIZE]; /* of what stands before */
};
_Static_assert(sizeof(struct header) == 128, "the header has no holes");

static bool is_zero(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i])
            return false;
    return true;
}

bool stream_is_head(const void *data, size_t size)
{
    return size >= STREAM_MAGIC_SIZE && memcmp(data, STREAM_MAGIC, STREAM_MAGIC_SIZE) == 0;
}

void stream_write_head(uint8_t ret[STREAM_BLOCK])
{
    struct head head = {.version = htole64(STREAM_VERSION)};

    memcpy(head.magic, STREAM_MAGIC, STREAM_MAGIC_SIZE);
    memset(ret, 0, STREAM_BLOCK);
    memcpy(ret, &head, sizeof(head));
}

int stream_check_head(const uint8_t block[STREAM_BLOCK], struct crs_error *err)
{
    struct head head;

    memcpy(&head, block, sizeof(head));
    if (!stream_is_head(block, STREAM_BLOCK))
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "not a snapshot in stream form");
    uint64_t version = le64toh(head.version);
    if (version > STREAM_VERSION && version < 1000)
        return crs_fail(err, CRS_CANT_RESTART, EPROTONOSUPPORT,
                        "the stream has format version %llu; this version reads up to %d: use a "
                        "newer one",
                        (unsigned long long)version, STREAM_VERSION);
    if (version == 0 || version > STREAM_VERSION ||
        !is_zero(block + sizeof(head), STREAM_BLOCK - sizeof(head)))
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "the head of the stream has changed");
    return 0;
}

void stream_write_header(const struct stream_section *section, uint8_t ret[STREAM_BLOCK])
{
    struct header header = {.offset = htole64(section->offset),
                            .size_bytes = htole64(section->size_bytes)};

    memcpy(header.mark, MARK, sizeof(header.mark));
    memcpy(header.name, section->name, strlen(section->name));
    checksum_of(&header, offsetof(struct header, checksum), header.checksum);
    memset(ret, 0, STREAM_BLOCK);
    memcpy(ret, &header, sizeof(header));
}

int stream_parse_header(const uint8_t block[STREAM_BLOCK], struct stream_section *ret,
                        struct crs_error *err)
{
    uint8_t checksum[CHECKSUM_SIZE];
    struct header header;

    memcpy(&header, block, sizeof(header));
    checksum_of(&header, offsetof(struct header, checksum), checksum);
    if (memcmp(header.mark, MARK, sizeof(header.mark)) != 0 ||
        memcmp(checksum, header.checksum, CHECKSUM_SIZE) != 0)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "the header of a section has changed");
    if (header.flags)
        return crs_fail(err, CRS_CANT_RESTART, EPROTONOSUPPORT,
                        "a section has flags %#llx, which this version does not know: use a newer "
                        "one",
                        (unsigned long long)le64toh(header.flags));
    size_t length = strnlen(header.name, sizeof(header.name));
    if (length > LIMIT_FILE_NAME ||
        !is_zero((uint8_t *)header.name + length, sizeof(header.name) - length) ||
        !is_zero(block + sizeof(header), STREAM_BLOCK - sizeof(header)))
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "the header of a section can't be");
    *ret = (struct stream_section){.offset = le64toh(header.offset),
                                   .size_bytes = le64toh(header.size_bytes)};
    memcpy(ret->name, header.name, length);
    return 0;
}
