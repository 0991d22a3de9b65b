/* signalfd.c - signals read through a descriptor: only the mask is its own, the signals that wait
 * are the process's */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kobj/file.h"
#include "signalfd.pb-c.h"

static bool match(const struct open_file *file)
{
    return file_is_anonymous(file, "[signalfd]");
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    _cleanup_fdinfo_ struct fdinfo info = {0};
    Crs__Signalfd m = CRS__SIGNALFD__INIT;
    int r = file_parse_info(file, &info, err);

    if (r < 0)
        return r;
    m.mask = info.sigmask;
    return kobj_pack(&m.base, ret_payload, err);
}

static int unpack(const Crs__OpenFile *record, Crs__Signalfd **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__signalfd__descriptor, (ProtobufCMessage **)ret, err);
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    Crs__Signalfd *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    uint64_t mask = m->mask;
    crs__signalfd__free_unpacked(m, NULL);
    /* the call itself: glibc's sigset_t leaves two signals out */
    int fd = syscall(SYS_signalfd4, -1, &mask, sizeof(mask), SFD_CLOEXEC);
    if (fd < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't make a signalfd");
    return file_finish(fd, record, ret_fd, err);
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    Crs__Signalfd *m;
    int r = unpack(record, &m, NULL);

    if (r < 0)
        return r;
    snprintf(text, size, "mask %016" PRIx64, m->mask);
    crs__signalfd__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_signalfd = {
    .name = "signalfd",
    .title = "signal descriptor (signalfd)",
    .saved = "yes",
    .alone = true,
    .match = match,
    .dump = dump,
    .restore = restore,
    .describe = describe,
};
