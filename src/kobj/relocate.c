/* relocate.c - the records of a snapshot, for files that are somewhere else now */
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "kobj/attributes.h"
#include "kobj/relocate.h"

#define SOCKET_NAME_MAX sizeof(((struct sockaddr_un *)0)->sun_path)

void kobj_relocating_clear(struct kobj_relocating *r)
{
    for (size_t i = 0; i < r->moved.n; i++) {
        free(r->moved.items[i].from);
        free(r->moved.items[i].to);
    }
    free(r->moved.items);
    *r = (struct kobj_relocating){0};
}

static int note(struct kobj_relocating *r, const char *from, const char *to,
                const struct relocation *by, struct crs_error *err)
{
    for (size_t i = 0; i < r->moved.n; i++)
        if (strcmp(r->moved.items[i].from, from) == 0)
            return 0;
    struct kobj_moved *one = ARRAY_ADD(&r->moved);
    if (!one || !(one->from = strdup(from)) || !(one->to = strdup(to)))
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    one->by = by;
    return 0;
}

int kobj_relocate_path(struct kobj_relocating *r, char **path, struct crs_error *err)
{
    const struct relocation *by = relocations_find(r->pairs, *path);
    char *new;

    if (!by)
        return 0;
    new = relocation_apply(by, *path);
    if (!new)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int x = note(r, *path, new, by, err);
    free(*path);
    *path = new;
    return x;
}

/* Names of sockets are bytes, and short. */
static int relocate_bytes(struct kobj_relocating *r, ProtobufCBinaryData *bytes,
                          struct crs_error *err)
{
    if (bytes->len == 0 || bytes->data[0] != '/')
        return 0;
    char *path = strndup((const char *)bytes->data, bytes->len);
    if (!path)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int x = kobj_relocate_path(r, &path, err);
    size_t n = strlen(path);
    if (x == 0 && n > SOCKET_NAME_MAX)
        x = crs_fail(err, CRS_CANT_RESTART, ENAMETOOLONG,
                     "%s is too long for the name of a unix socket (%zu bytes)", path,
                     SOCKET_NAME_MAX);
    free(bytes->data);
    bytes->data = (uint8_t *)path;
    bytes->len = n;
    return x;
}

static int relocate_field(struct kobj_relocating *r, ProtobufCMessage *message, const char *name,
                          size_t length, struct crs_error *err);

static int relocate_all(struct kobj_relocating *r, ProtobufCMessage **messages, size_t n,
                        const char *name, size_t length, struct crs_error *err)
{
    int x = 0;

    for (size_t i = 0; x == 0 && i < n; i++)
        x = relocate_field(r, messages[i], name, length, err);
    return x;
}

/* `name` is of a field, or of a repeated message and, behind a dot, of a field of that. */
static int relocate_field(struct kobj_relocating *r, ProtobufCMessage *message, const char *name,
                          size_t length, struct crs_error *err)
{
    const char *dot = memchr(name, '.', length);
    char first[40];

    snprintf(first, sizeof(first), "%.*s", (int)(dot ? dot - name : (ptrdiff_t)length), name);
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, first);
    if (!field)
        return crs_fail(err, CRS_FAILED, EINVAL, "%s has no field %s", message->descriptor->name,
                        first);
    char *at = (char *)message + field->offset;
    if (dot)
        return relocate_all(r, *(ProtobufCMessage ***)at,
                            *(size_t *)((char *)message + field->quantifier_offset), dot + 1,
                            length - (dot + 1 - name), err);
    return field->type == PROTOBUF_C_TYPE_BYTES ? relocate_bytes(r, (ProtobufCBinaryData *)at, err)
                                                : kobj_relocate_path(r, (char **)at, err);
}

static int relocate_fields(struct kobj_relocating *r, ProtobufCMessage *message, const char *names,
                           struct crs_error *err)
{
    int x = 0;

    while (x == 0 && *names) {
        size_t n = strcspn(names, " ");
        x = relocate_field(r, message, names, n, err);
        names += n + strspn(names + n, " ");
    }
    return x;
}

static int relocate_payload(struct kobj_relocating *r, ProtobufCBinaryData *payload,
                            const struct kobj_paths *paths, struct crs_error *err)
{
    const struct bytes packed = {payload->data, payload->len};
    _cleanup_message_ ProtobufCMessage *message = NULL;
    struct bytes again = {0};

    if (!paths->message)
        return 0;
    int x = kobj_unpack(paths->message, &packed, &message, err);
    if (x == 0)
        x = relocate_fields(r, message, paths->fields, err);
    if (x == 0)
        x = kobj_pack(message, &again, err);
    if (x < 0)
        return x;
    free(payload->data);
    payload->data = again.data;
    payload->len = again.size;
    return 0;
}

int kobj_relocate_file(struct kobj_relocating *r, Crs__OpenFile *record, struct crs_error *err)
{
    const struct kobj_file_kind *kind = kobj_find_file_kind(record->kind);
    int x = kind ? relocate_payload(r, &record->payload, &kind->paths, err) : 0;

    return x < 0 ? crs_fail_at(err, x, "file %u (%s)", record->id, record->name) : 0;
}

static int relocate_thread(struct kobj_relocating *r, Crs__Thread *thread, struct crs_error *err)
{
    int x = 0;

    for (size_t i = 0; i < thread->n_attributes; i++)
        for (size_t k = 0; x == 0 && kobj_thread_kinds[k]; k++)
            if (strcmp(kobj_thread_kinds[k]->name, thread->attributes[i]->kind) == 0)
                x = relocate_payload(r, &thread->attributes[i]->payload,
                                     &kobj_thread_kinds[k]->paths, err);
    return x;
}

int kobj_relocate_process(struct kobj_relocating *r, Crs__Process *process, struct crs_error *err)
{
    int x = 0;

    for (size_t i = 0; i < process->n_attributes; i++)
        for (size_t k = 0; x == 0 && kobj_process_kinds[k]; k++)
            if (strcmp(kobj_process_kinds[k]->name, process->attributes[i]->kind) == 0)
                x = relocate_payload(r, &process->attributes[i]->payload,
                                     &kobj_process_kinds[k]->paths, err);
    for (size_t i = 0; x == 0 && i < process->n_threads; i++)
        x = relocate_thread(r, process->threads[i], err);
    return x;
}
