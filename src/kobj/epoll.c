/*
 * epoll.c - epoll instances and what they watch
 *
 * The kernel tells under which number a file was added; that number may have another use since,
 * while the file lives on under other numbers. kcmp(2) tells which file it is.
 * epoll_lists.c builds the lists up again.
 */
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "epoll.pb-c.h"
#include "kobj/file.h"

static bool match(const struct open_file *file)
{
    return file_is_anonymous(file, "[eventpoll]");
}

/* Is `candidate` what the slot watches? */
static bool watches(const struct open_file *epoll, const struct open_file *candidate,
                    struct kcmp_epoll_slot *slot)
{
    return syscall(SYS_kcmp, file_holder_task(candidate), file_holder_task(epoll), KCMP_EPOLL_TFD,
                   (unsigned long)candidate->fd, slot) == 0;
}

static uint32_t file_of_number(const Crs__Process *process, uint32_t fd)
{
    size_t low = 0, high = process->n_descriptors;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (process->descriptors[middle]->fd == fd)
            return process->descriptors[middle]->file;
        if (process->descriptors[middle]->fd < fd)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

/* The number is that of the process that added it, which most often is the first holder. */
static uint32_t resolve(const struct kobj_dump *ctx, const struct open_file *epoll,
                        const Crs__Process *holder, const struct fdinfo_target *target,
                        struct kcmp_epoll_slot *slot)
{
    uint32_t id = file_of_number(holder, target->fd);

    if (id && watches(epoll, &ctx->files.items[id - 1], slot))
        return id;
    for (size_t i = 0; i < ctx->files.n; i++)
        if (ctx->files.items[i].st.st_ino == target->ino &&
            watches(epoll, &ctx->files.items[i], slot))
            return i + 1;
    return 0;
}

/* The how many-th entry with this number it is. The kernel lists entries in one order always. */
static uint32_t slot_offset(const struct fdinfo *info, size_t i)
{
    uint32_t offset = 0;

    for (size_t j = i; j-- > 0;)
        if (info->targets.items[j].fd == info->targets.items[i].fd)
            offset++;
    return offset;
}

static int dump_items(const struct kobj_dump *ctx, const struct open_file *file,
                      const struct fdinfo *info, Crs__EpollItem *items, struct crs_error *err)
{
    const Crs__Process *holder = kobj_record_of(ctx, file->holder);

    for (size_t i = 0; i < info->targets.n; i++) {
        const struct fdinfo_target *target = &info->targets.items[i];
        struct kcmp_epoll_slot slot = {file->fd, target->fd, slot_offset(info, i)};
        uint32_t id = resolve(ctx, file, holder, target, &slot);
        if (id == 0)
            return file_refuse(file, err,
                               "it watches something that the program doesn't hold any more, but "
                               "another process does",
                               "remove it with EPOLL_CTL_DEL before closing it");
        if (ctx->files.items[id - 1].in_flight)
            return file_refuse(file, err,
                               "it watches something that is only on its way through a unix socket",
                               "let the program receive it before the checkpoint");
        crs__epoll_item__init(&items[i]);
        items[i].fd = target->fd;
        items[i].file = id;
        items[i].events = target->events;
        items[i].data = target->data;
    }
    return 0;
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    _cleanup_fdinfo_ struct fdinfo info = {0};
    Crs__Epoll m = CRS__EPOLL__INIT;
    int r = file_parse_info(file, &info, err);

    if (r < 0)
        return r;
    if (file->in_flight)
        return file_refuse(file, err, "nobody has it who could watch by it",
                           "let the program receive it before the checkpoint");
    _cleanup_free_ Crs__EpollItem *items = calloc(info.targets.n + 1, sizeof(*items));
    _cleanup_free_ Crs__EpollItem **pointers = calloc(info.targets.n + 1, sizeof(*pointers));
    if (!items || !pointers)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    r = dump_items(ctx, file, &info, items, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < info.targets.n; i++)
        pointers[i] = &items[i];
    m.items = pointers;
    m.n_items = info.targets.n;
    return kobj_pack(&m.base, ret_payload, err);
}

static int unpack(const Crs__OpenFile *record, Crs__Epoll **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__epoll__descriptor, (ProtobufCMessage **)ret, err);
}

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    Crs__Epoll *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < m->n_items; i++)
        if (!file_find(ctx, m->items[i]->file) || m->items[i]->fd > INT32_MAX)
            r = crs_fail(err, CRS_DAMAGED, EINVAL, "file %u watches file %u, which isn't there",
                         record->id, m->items[i]->file);
    crs__epoll__free_unpacked(m, NULL);
    return r;
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);

    if (fd < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't make an epoll instance");
    return file_finish(fd, record, ret_fd, err);
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    Crs__Epoll *m;
    int r = unpack(record, &m, NULL);

    if (r < 0)
        return r;
    snprintf(text, size, "watches %zu", m->n_items);
    crs__epoll__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_epoll = {
    .name = "epoll",
    .title = "epoll instance",
    .saved = "yes",
    .conditions = "an edge that was reported already may be reported once more",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = restore,
    .describe = describe,
};
