/* message.c - protobuf messages from a hostile world */
#include <string.h>

#include "base/array.h"
#include "message.h"
#include "store/store.h"

#define CRITICAL_BELOW 1000u /* field numbers that a reader must know */
#define DEPTH_MAX      16
#define FIELDS_MAX     256u

/* How many of a repeated field a message may have; not listed: limit_default. */
static const struct {
    const char *message, *field;
    uint64_t max;
} limits[] = {
    {"crs.Tree", "processes", 1u << 16},      {"crs.Process", "threads", 1u << 20},
    {"crs.Process", "descriptors", 1u << 22}, {"crs.Process", "arguments", 1u << 20},
    {"crs.Process", "attributes", 1u << 12},  {"crs.Thread", "attributes", 1u << 12},
    {"crs.Files", "files", 1u << 22},         {"crs.Memory", "spaces", 1u << 16},
    {"crs.Memory", "objects", 1u << 20},      {"crs.Memory", "files", 1u << 20},
    {"crs.AddressSpace", "vmas", 1u << 22},   {"crs.AddressSpace", "chunks", 1u << 26},
    {"crs.AddressSpace", "guards", 1u << 22}, {"crs.Content", "chunks", 1u << 26},
    {"crs.Chunk", "runs", STORE_CHUNK_PAGES}, {"crs.Packs", "packs", 1u << 10},
    {"crs.Pack", "offsets", 1u << 26},        {"crs.Pack", "stored_bytes", 1u << 26},
    {"crs.Pack", "raw_bytes", 1u << 26},
};
static const uint64_t limit_default = 1u << 20;
#define LIMIT_LEAST STORE_CHUNK_PAGES /* of all of these */

struct scan {
    const uint8_t *start, *at, *end;
    enum crs_kind kind;
    struct crs_error *err;
};

static int wrong(struct scan *s, const char *what)
{
    return crs_fail(s->err, s->kind, EBADMSG, "byte %td: %s", s->at - s->start, what);
}

static int wrong_field(struct scan *s, const ProtobufCMessageDescriptor *d,
                       const ProtobufCFieldDescriptor *f, const char *what)
{
    return crs_fail(s->err, s->kind, EBADMSG, "byte %td: %s.%s: %s", s->at - s->start, d->name,
                    f->name, what);
}

static int unknown(struct scan *s, const ProtobufCMessageDescriptor *d, uint32_t number)
{
    return crs_fail(s->err, s->kind == CRS_DAMAGED ? CRS_CANT_RESTART : s->kind, EPROTONOSUPPORT,
                    "byte %td: %s has a field number %u, which this version does not know; the "
                    "snapshot was made by a newer one",
                    s->at - s->start, d->name, number);
}

static int scan_varint(struct scan *s, const uint8_t *end, uint64_t *ret)
{
    uint64_t value = 0;

    if (s->at < end && *s->at < 0x80) { /* as most are */
        *ret = *s->at++;
        return 0;
    }
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (s->at == end)
            return wrong(s, "ends within a number");
        uint8_t byte = *s->at++;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = value;
            return 0;
        }
    }
    return wrong(s, "a number with more than 64 bits");
}

/* The length in front of bytes: never more than what is there. */
static int scan_length(struct scan *s, const uint8_t *end, const uint8_t **ret_end)
{
    uint64_t n;
    int r = scan_varint(s, end, &n);

    if (r < 0)
        return r;
    if (n > (uint64_t)(end - s->at))
        return wrong(s, "says it is longer than what is there");
    *ret_end = s->at + n;
    return 0;
}

static int scan_skip(struct scan *s, const uint8_t *end, ProtobufCWireType wire)
{
    uint64_t value;
    const uint8_t *to = NULL;
    int r;

    switch (wire) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return scan_varint(s, end, &value);
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        r = scan_length(s, end, &to);
        if (r == 0)
            s->at = to;
        return r;
    case PROTOBUF_C_WIRE_TYPE_64BIT:
    case PROTOBUF_C_WIRE_TYPE_32BIT: {
        ptrdiff_t n = wire == PROTOBUF_C_WIRE_TYPE_64BIT ? 8 : 4;
        if (end - s->at < n)
            return wrong(s, "ends within a number");
        s->at += n;
        return 0;
    }
    default:
        return wrong(s, "a field of a type that is not used");
    }
}

static ProtobufCWireType wire_of(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return PROTOBUF_C_WIRE_TYPE_64BIT;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return PROTOBUF_C_WIRE_TYPE_32BIT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    default:
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    }
}

static bool is_32bit(const ProtobufCFieldDescriptor *f)
{
    return f->type == PROTOBUF_C_TYPE_UINT32 || f->type == PROTOBUF_C_TYPE_SINT32;
}

/* A number of the field's type. */
static int scan_number(struct scan *s, const uint8_t *end, const ProtobufCMessageDescriptor *d,
                       const ProtobufCFieldDescriptor *f)
{
    uint64_t value;

    if (wire_of(f) != PROTOBUF_C_WIRE_TYPE_VARINT)
        return scan_skip(s, end, wire_of(f));
    int r = scan_varint(s, end, &value);
    if (r < 0)
        return r;
    if (is_32bit(f) && value > UINT32_MAX)
        return wrong_field(s, d, f, "a number with more than 32 bits");
    if (f->type == PROTOBUF_C_TYPE_BOOL && value > 1)
        return wrong_field(s, d, f, "neither true nor false");
    if (f->type == PROTOBUF_C_TYPE_ENUM &&
        (value > INT32_MAX || !protobuf_c_enum_descriptor_get_value(f->descriptor, (int)value)))
        return crs_fail(s->err, s->kind == CRS_DAMAGED ? CRS_CANT_RESTART : s->kind,
                        EPROTONOSUPPORT,
                        "byte %td: %s.%s has the value %llu, which this version does not know",
                        s->at - s->start, d->name, f->name, (unsigned long long)value);
    return 0;
}

static uint64_t limit_of(const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f)
{
    for (size_t i = 0; i < ELEMENTS(limits); i++) {
        if (strcmp(limits[i].message, d->name) == 0 && strcmp(limits[i].field, f->name) == 0)
            return limits[i].max;
    }
    return limit_default;
}

static int scan_message(struct scan *s, const uint8_t *end, const ProtobufCMessageDescriptor *d,
                        int depth);

/* What stands behind a length: string, bytes, message, or packed numbers (counted). */
static int scan_body(struct scan *s, const uint8_t *end, const ProtobufCMessageDescriptor *d,
                     const ProtobufCFieldDescriptor *f, int depth, uint64_t *count)
{
    const uint8_t *to = NULL;
    int r = scan_length(s, end, &to);

    if (r < 0)
        return r;
    if (f->type == PROTOBUF_C_TYPE_MESSAGE)
        return scan_message(s, to, f->descriptor, depth + 1);
    if (f->type == PROTOBUF_C_TYPE_STRING && memchr(s->at, 0, to - s->at))
        return wrong_field(s, d, f, "a string with a zero byte in it");
    if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_BYTES) {
        s->at = to;
        return 0;
    }
    for (*count -= 1; s->at < to; *count += 1) {
        r = scan_number(s, to, d, f);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Numbers without gaps stand in their order. */
static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *d,
                                                  uint32_t number)
{
    if (number <= d->n_fields && d->fields[number - 1].id == number)
        return &d->fields[number - 1];
    return protobuf_c_message_descriptor_get_field(d, number);
}

static int scan_field(struct scan *s, const uint8_t *end, const ProtobufCMessageDescriptor *d,
                      int depth, uint64_t *counts)
{
    uint64_t tag;
    int r = scan_varint(s, end, &tag);

    if (r < 0)
        return r;
    ProtobufCWireType wire = tag & 7;
    if (tag >> 3 == 0 || tag >> 3 > (1u << 29) - 1)
        return wrong(s, "a field number that can't be");
    uint32_t number = tag >> 3;
    const ProtobufCFieldDescriptor *f = find_field(d, number);
    if (!f)
        return number < CRITICAL_BELOW ? unknown(s, d, number) : scan_skip(s, end, wire);

    bool repeated = f->label == PROTOBUF_C_LABEL_REPEATED;
    bool packed = repeated && wire == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    uint64_t *count = &counts[f - d->fields];
    if (wire != wire_of(f) && !packed)
        return wrong_field(s, d, f, "not of the field's type");
    *count += 1;
    if (wire == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
        r = scan_body(s, end, d, f, depth, count);
    else
        r = scan_number(s, end, d, f);
    if (r < 0)
        return r;
    if (!repeated && *count > 1)
        return wrong_field(s, d, f, "is there twice");
    return 0;
}

static int scan_message(struct scan *s, const uint8_t *end, const ProtobufCMessageDescriptor *d,
                        int depth)
{
    if (depth > DEPTH_MAX || d->n_fields > FIELDS_MAX)
        return wrong(s, "messages within messages, too deep");

    uint64_t counts[d->n_fields + 1]; /* small: a Run has two */
    memset(counts, 0, sizeof(counts));
    while (s->at < end) {
        int r = scan_field(s, end, d, depth, counts);
        if (r < 0)
            return r;
    }
    for (unsigned i = 0; i < d->n_fields; i++) {
        if (counts[i] > LIMIT_LEAST && counts[i] > limit_of(d, &d->fields[i]))
            return crs_fail(s->err, s->kind, E2BIG, "byte %td: %s.%s: %llu of them; %llu at most",
                            s->at - s->start, d->name, d->fields[i].name,
                            (unsigned long long)counts[i],
                            (unsigned long long)limit_of(d, &d->fields[i]));
    }
    return 0;
}

int message_scan(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t size,
                 enum crs_kind kind, struct crs_error *err)
{
    const uint8_t *start = data ? data : (const uint8_t *)""; /* an empty payload may have none */
    struct scan s = {.start = start, .at = start, .end = start + size, .kind = kind, .err = err};

    return scan_message(&s, s.end, descriptor, 0);
}

/*
 * unpack() takes memory for what it finds. A message of a few bytes becomes a struct of a few
 * dozen: a record may grow by a known factor, and no more.
 */
struct budget {
    size_t left;
};

#define BUDGET_FIXED        65536
#define BUDGET_FACTOR       32            /* of any record, */
#define BUDGET_FACTOR_SMALL 224           /* and in addition of a small one, */
#define BUDGET_SMALL_MAX    (256ul << 20) /* up to here */

static size_t budget_for(size_t size)
{
    size_t small = size < BUDGET_SMALL_MAX / BUDGET_FACTOR_SMALL ? size * BUDGET_FACTOR_SMALL
                                                                 : BUDGET_SMALL_MAX;

    return BUDGET_FIXED + size * BUDGET_FACTOR + small;
}

static void *budget_alloc(void *arg, size_t size)
{
    struct budget *b = arg;

    if (size > b->left)
        return NULL;
    b->left -= size;
    return malloc(size);
}

static void budget_free(void *arg, void *p)
{
    free(p);
}

int message_unpack(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t size,
                   pack_size_fn pack_size, void *arg, ProtobufCMessage **ret, struct crs_error *err)
{
    struct budget budget = {budget_for(size)};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};

    int r = message_scan(descriptor, data, size, CRS_DAMAGED, err);
    if (r < 0)
        return r;
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, size, data);
    if (!message)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "can't be unpacked as %s", descriptor->name);
    r = message_check_chunks(message, pack_size, arg, err);
    if (r < 0) {
        protobuf_c_message_free_unpacked(message, NULL);
        return r;
    }
    *ret = message;
    return 0;
}

int store_unpack(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t size,
                 ProtobufCMessage **ret, struct crs_error *err)
{
    return message_unpack(descriptor, data, size, NULL, NULL, ret, err);
}
