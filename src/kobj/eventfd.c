/* eventfd.c - event counters */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/io.h"
#include "eventfd.pb-c.h"
#include "kobj/file.h"

static bool match(const struct open_file *file)
{
    return file_is_anonymous(file, "[eventfd]");
}

/*
 * Before Linux 6.5 the kernel doesn't tell whether the counter is a semaphore. With a count of two
 * or more a read does: it takes one, or all. What was taken, or added for the test, is put back;
 * nobody runs meanwhile who could tell.
 */
static int probe_semaphore(int fd, uint64_t count, bool *ret)
{
    uint64_t extra = count < 2 ? 2 - count : 0, got;

    if (extra && write(fd, &extra, sizeof(extra)) != sizeof(extra))
        return -errno;
    if (read(fd, &got, sizeof(got)) != sizeof(got))
        return -errno;
    *ret = got == 1;
    if (!*ret)
        return count == 0 || write(fd, &count, sizeof(count)) == sizeof(count) ? 0 : -errno;
    uint64_t left = count + extra - 1;
    for (; left > count; left--)
        if (read(fd, &got, sizeof(got)) != sizeof(got))
            return -errno;
    got = count - left;
    return got == 0 || write(fd, &got, sizeof(got)) == sizeof(got) ? 0 : -errno;
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    _cleanup_fdinfo_ struct fdinfo info = {0};
    Crs__Eventfd m = CRS__EVENTFD__INIT;
    int r = file_parse_info(file, &info, err);
    bool semaphore = info.semaphore;

    if (r < 0)
        return r;
    if (info.eventfd_count == UINT64_MAX)
        return file_refuse(file, err, "its count has overflowed", "read it before the checkpoint");
    if (!info.has_semaphore) {
        r = probe_semaphore(file->dup_fd, info.eventfd_count, &semaphore);
        if (r < 0)
            return crs_fail(err, CRS_CANT_CHECKPOINT, -r,
                            "fd %d (%s): can't find out whether it is a semaphore", file->fd,
                            file->link);
    }
    m.count = info.eventfd_count;
    m.semaphore = semaphore;
    return kobj_pack(&m.base, ret_payload, err);
}

static int unpack(const Crs__OpenFile *record, Crs__Eventfd **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__eventfd__descriptor, (ProtobufCMessage **)ret, err);
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    Crs__Eventfd *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    uint64_t count = m->count;
    _cleanup_close_ int fd = eventfd(0, EFD_CLOEXEC | (m->semaphore ? EFD_SEMAPHORE : 0));
    crs__eventfd__free_unpacked(m, NULL);
    if (fd < 0 || (count && write(fd, &count, sizeof(count)) != sizeof(count)))
        return crs_fail_errno(err, CRS_CANT_RESTART,
                              "can't make an eventfd with the count %" PRIu64, count);
    return file_finish(TAKE_FD(fd), record, ret_fd, err);
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    Crs__Eventfd *m;
    int r = unpack(record, &m, NULL);

    if (r < 0)
        return r;
    snprintf(text, size, "count %" PRIu64 "%s", m->count, m->semaphore ? ", semaphore" : "");
    crs__eventfd__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_eventfd = {
    .name = "eventfd",
    .title = "event counter (eventfd)",
    .saved = "yes",
    .alone = true,
    .match = match,
    .dump = dump,
    .restore = restore,
    .describe = describe,
};
