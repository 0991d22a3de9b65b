/* fdinfo.c - /proc/PID/fdinfo/FD as a struct */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "fdinfo.h"

/* "(SECONDS, NANOSECONDS)" */
static int parse_time(const char *value, uint64_t *ret_ns)
{
    uint64_t seconds, ns;

    if (sscanf(value, " (%" SCNu64 ", %" SCNu64 ")", &seconds, &ns) != 2 || ns >= 1000000000 ||
        seconds > UINT64_MAX / 1000000000 - 1)
        return -EINVAL;
    *ret_ns = seconds * 1000000000 + ns;
    return 0;
}

static int parse_number(const char *value, int base, uint64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoull(value, &end, base);
    return errno || end == value ? -EINVAL : 0;
}

static int parse_number32(const char *value, int base, uint32_t *ret)
{
    uint64_t number;
    int r = parse_number(value, base, &number);

    if (r < 0 || number > UINT32_MAX)
        return -EINVAL;
    *ret = number;
    return 0;
}

static int parse_bool(const char *value, bool *ret)
{
    uint64_t number;
    int r = parse_number(value, 10, &number);

    if (r == 0)
        *ret = number != 0;
    return r;
}

/* "tfd:        5 events:       19 data:               2a  pos:0 ino:1 sdev:2" */
static int parse_target(const char *value, struct fdinfo *info)
{
    struct fdinfo_target t = {0};

    if (sscanf(value, "%" SCNu32 " events: %" SCNx32 " data: %" SCNx64 " pos:%*d ino:%" SCNx64,
               &t.fd, &t.events, &t.data, &t.ino) != 4)
        return -EINVAL;
    struct fdinfo_target *new = ARRAY_ADD(&info->targets);
    if (!new)
        return -ENOMEM;
    *new = t;
    return 0;
}

/* "1: POSIX  ADVISORY  WRITE 1234 08:01:5678 0 EOF" */
static int parse_lock(const char *value, struct fdinfo *info)
{
    char kind[16], advisory[16], type[16], end[32];
    struct fdinfo_lock lock = {0};

    if (sscanf(value, " %*u: %15s %15s %15s %d %*x:%*x:%*u %" SCNu64 " %31s", kind, advisory, type,
               &lock.pid, &lock.start, end) != 6)
        return -EINVAL;
    if (strcmp(kind, "POSIX") == 0)
        lock.kind = FDINFO_LOCK_POSIX;
    else if (strcmp(kind, "OFDLCK") == 0)
        lock.kind = FDINFO_LOCK_OFD;
    else if (strcmp(kind, "FLOCK") == 0)
        lock.kind = FDINFO_LOCK_FLOCK;
    else if (strcmp(kind, "LEASE") == 0 && strcmp(advisory, "ACTIVE") == 0)
        lock.kind = FDINFO_LOCK_LEASE;
    else
        lock.kind = FDINFO_LOCK_OTHER;
    lock.write = strcmp(type, "WRITE") == 0;
    lock.end = UINT64_MAX;
    if (strcmp(end, "EOF") != 0 && parse_number(end, 10, &lock.end) < 0)
        return -EINVAL;
    struct fdinfo_lock *new = ARRAY_ADD(&info->locks);
    if (!new)
        return -ENOMEM;
    *new = lock;
    return 0;
}

static int parse_hex_bytes(const char *text, uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (sscanf(text + 2 * i, "%2hhx", &data[i]) != 1)
            return -EINVAL;
    return 0;
}

/* Of a device the lower 20 bits are the minor number. */
static dev_t make_device(uint32_t number)
{
    return makedev(number >> 20, number & 0xfffff);
}

/* "... fhandle-bytes:8 fhandle-type:1 f_handle:1ac5030000000000", if it is there. */
static int parse_handle(const char *value, struct fdinfo_watch *w)
{
    const char *handle = strstr(value, "fhandle-bytes:");
    uint32_t size, type;
    int end = 0;

    if (!handle || sscanf(handle, "fhandle-bytes:%" SCNx32 " fhandle-type:%" SCNx32 " f_handle:%n",
                          &size, &type, &end) != 2)
        return 0;
    if (end == 0 || size > sizeof(w->handle) || parse_hex_bytes(handle + end, w->handle, size) < 0)
        return -EINVAL;
    w->handle_size = size;
    w->handle_type = type;
    return 0;
}

static int add_watch(struct fdinfo *info, const struct fdinfo_watch *w)
{
    struct fdinfo_watch *new = ARRAY_ADD(&info->watches);

    if (!new)
        return -ENOMEM;
    *new = *w;
    return 0;
}

/* "wd:2 ino:3c51a sdev:fe00003 mask:84000fff ignored_mask:0 fhandle-bytes:8 ..." */
static int parse_watch(const char *value, struct fdinfo *info)
{
    struct fdinfo_watch w = {0};
    uint32_t device;

    if (sscanf(value, "%" SCNx32 " ino:%" SCNx64 " sdev:%" SCNx32 " mask:%" SCNx32,
               (uint32_t *)&w.wd, &w.ino, &device, &w.mask) != 4)
        return -EINVAL;
    w.device = make_device(device);
    int r = parse_handle(value, &w);
    return r < 0 ? r : add_watch(info, &w);
}

/* "flags:e03 event-flags:8000" */
static int parse_fanotify(const char *value, struct fdinfo *info)
{
    info->has_fanotify = true;
    return sscanf(value, "%" SCNx32 " event-flags:%" SCNx32, &info->fanotify_flags,
                  &info->event_flags) == 2
               ? 0
               : -EINVAL;
}

/* "... mflags:40 mask:0 ignored_mask:20 ..." */
static int add_mark(const char *value, struct fdinfo *info, struct fdinfo_mark *m)
{
    const char *rest = strstr(value, "mflags:");
    struct fdinfo_mark *new;

    if (!rest || sscanf(rest, "mflags:%" SCNx32 " mask:%" SCNx64 " ignored_mask:%" SCNx64,
                        &m->flags, &m->mask, &m->ignored_mask) != 3)
        return -EINVAL;
    new = ARRAY_ADD(&info->marks);
    if (!new)
        return -ENOMEM;
    *new = *m;
    return 0;
}

/* "ino:3c51a sdev:fe00000 mflags:40 mask:0 ignored_mask:20 fhandle-bytes:8 ..." */
static int parse_inode_mark(const char *value, struct fdinfo *info)
{
    struct fdinfo_mark m = {.kind = FDINFO_MARK_INODE, .watch = info->watches.n};
    struct fdinfo_watch w = {0};
    uint32_t device;

    if (sscanf(value, "%" SCNx64 " sdev:%" SCNx32, &w.ino, &device) != 2)
        return -EINVAL;
    w.device = make_device(device);
    int r = parse_handle(value, &w);
    if (r == 0)
        r = add_watch(info, &w);
    return r < 0 ? r : add_mark(value, info, &m);
}

static int parse_mount_mark(const char *value, struct fdinfo *info)
{
    struct fdinfo_mark m = {.kind = FDINFO_MARK_MOUNT};

    return sscanf(value, "%" SCNx32, &m.mount) == 1 ? add_mark(value, info, &m) : -EINVAL;
}

static int parse_file_system_mark(const char *value, struct fdinfo *info)
{
    struct fdinfo_mark m = {.kind = FDINFO_MARK_FILE_SYSTEM};
    uint32_t device;

    if (sscanf(value, "%" SCNx32, &device) != 1)
        return -EINVAL;
    m.device = make_device(device);
    return add_mark(value, info, &m);
}

static int parse_other_mark(const char *value, struct fdinfo *info)
{
    struct fdinfo_mark *new = ARRAY_ADD(&info->marks);

    if (!new)
        return -ENOMEM;
    *new = (struct fdinfo_mark){.kind = FDINFO_MARK_OTHER};
    return 0;
}

static int parse_eventfd_count(const char *value, struct fdinfo *info)
{
    info->has_eventfd = true;
    return parse_number(value, 16, &info->eventfd_count);
}

static int parse_eventfd_id(const char *value, struct fdinfo *info)
{
    return parse_number(value, 10, &info->eventfd_id);
}

static int parse_semaphore(const char *value, struct fdinfo *info)
{
    info->has_semaphore = true;
    return parse_bool(value, &info->semaphore);
}

static int parse_pid(const char *value, struct fdinfo *info)
{
    info->has_pidfd = true;
    return sscanf(value, "%" SCNd32, &info->pid) == 1 ? 0 : -EINVAL;
}

/* From the reader's PID namespace to its own: the last is what it calls itself. */
static int parse_inner_pid(const char *value, struct fdinfo *info)
{
    int n;

    for (; sscanf(value, "%" SCNd32 "%n", &info->inner_pid, &n) == 1; value += n)
        ;
    return 0;
}

static int parse_sigmask(const char *value, struct fdinfo *info)
{
    info->has_signalfd = true;
    return parse_number(value, 16, &info->sigmask);
}

static int parse_clock(const char *value, struct fdinfo *info)
{
    info->has_timerfd = true;
    return parse_number32(value, 10, &info->clock);
}

static int parse_position(const char *value, struct fdinfo *info)
{
    return parse_number(value, 10, &info->position);
}

static int parse_flags(const char *value, struct fdinfo *info)
{
    return parse_number32(value, 8, &info->flags);
}

static int parse_ticks(const char *value, struct fdinfo *info)
{
    return parse_number(value, 10, &info->ticks);
}

static int parse_settime_flags(const char *value, struct fdinfo *info)
{
    return parse_number32(value, 8, &info->settime_flags);
}

static int parse_value(const char *value, struct fdinfo *info)
{
    return parse_time(value, &info->value_ns);
}

static int parse_interval(const char *value, struct fdinfo *info)
{
    return parse_time(value, &info->interval_ns);
}

static const struct {
    const char *name;
    int (*parse)(const char *value, struct fdinfo *info);
} lines[] = {
    {"pos:", parse_position},
    {"flags:", parse_flags},
    {"eventfd-count:", parse_eventfd_count},
    {"eventfd-id:", parse_eventfd_id},
    {"eventfd-semaphore:", parse_semaphore},
    {"sigmask:", parse_sigmask},
    {"clockid:", parse_clock},
    {"ticks:", parse_ticks},
    {"settime flags:", parse_settime_flags},
    {"it_value:", parse_value},
    {"it_interval:", parse_interval},
    {"tfd:", parse_target},
    {"lock:", parse_lock},
    {"Pid:", parse_pid},
    {"NSpid:", parse_inner_pid},
    {"inotify wd:", parse_watch},
    {"fanotify flags:", parse_fanotify},
    {"fanotify ino:", parse_inode_mark},
    {"fanotify mnt_id:", parse_mount_mark},
    {"fanotify sdev:", parse_file_system_mark},
    {"fanotify ", parse_other_mark},
};

static int parse_line(const char *line, struct fdinfo *info, bool *ret_flags)
{
    for (size_t i = 0; i < ELEMENTS(lines); i++) {
        size_t n = strlen(lines[i].name);
        if (strncmp(line, lines[i].name, n) != 0)
            continue;
        if (lines[i].parse == parse_flags)
            *ret_flags = true;
        return lines[i].parse(line + n, info);
    }
    return 0;
}

int fdinfo_parse(const char *text, struct fdinfo *ret)
{
    _cleanup_fdinfo_ struct fdinfo info = {0};
    bool flags = false;
    char line[512];

    while (*text) {
        size_t n = strcspn(text, "\n");
        if (n < sizeof(line)) { /* no line that is known is longer */
            memcpy(line, text, n);
            line[n] = 0;
            int r = parse_line(line, &info, &flags);
            if (r < 0)
                return r;
        }
        text += n + (text[n] == '\n');
    }
    if (!flags)
        return -EINVAL;
    *ret = info;
    info = (struct fdinfo){0};
    return 0;
}

void fdinfo_clear(struct fdinfo *info)
{
    free(info->targets.items);
    free(info->locks.items);
    free(info->watches.items);
    free(info->marks.items);
    *info = (struct fdinfo){0};
}
