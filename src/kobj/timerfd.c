/*
 * timerfd.c - timers read through a descriptor
 *
 * What is saved is the time that remains, as for all timers: the time in between does not count.
 * An absolute time of CLOCK_REALTIME stays the moment on the calendar that it was.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/file.h"
#include "timerfd.pb-c.h"

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#endif

#define NS UINT64_C(1000000000)

static bool match(const struct open_file *file)
{
    return file_is_anonymous(file, "[timerfd]");
}

/*
 * A timer whose time has come while its processor wasn't interrupted for it yet looks like one that
 * isn't set. That may last, where the host of a virtual machine takes the processor away. But a
 * sleep on the same processor doesn't end before all timers that are due there were served.
 */
static void let_late_timers_expire(pid_t pid)
{
    const struct timespec least = {.tv_nsec = 1}, long_enough = {.tv_nsec = 1000000};
    cpu_set_t own, theirs, one;

    if (sched_getaffinity(0, sizeof(own), &own) < 0 ||
        sched_getaffinity(pid, sizeof(theirs), &theirs) < 0) {
        nanosleep(&long_enough, NULL); /* more processors than fit */
        return;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &theirs))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (sched_setaffinity(0, sizeof(one), &one) == 0)
            nanosleep(&least, NULL);
    }
    sched_setaffinity(0, sizeof(own), &own);
}

static int read_info(const struct open_file *file, struct fdinfo *ret, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes text = {0};
    struct itimerspec now;
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", file->dup_fd);
    if (timerfd_gettime(file->dup_fd, &now) < 0)
        return file_refuse_errno(file, err, "read the timer");
    int r = read_file(AT_FDCWD, path, 1 << 20, &text);
    if (r == 0)
        r = fdinfo_parse((const char *)text.data, ret);
    return r < 0 ? crs_fail(err, CRS_FAILED, -r, "fd %d (%s): can't read about the timer", file->fd,
                            file->link)
                 : 0;
}

static bool looks_unset(const struct fdinfo *info)
{
    return info->value_ns == 0 && info->ticks == 0;
}

/* All that look unset are found before one of them is saved: one wait is enough for them. */
static int explore(struct kobj_dump *ctx, const struct open_file *file, ProtobufCMessage **ret,
                   struct crs_error *err)
{
    _cleanup_fdinfo_ struct fdinfo info = {0};
    Crs__Timerfd *seen;
    int r = read_info(file, &info, err);

    if (r < 0 || !looks_unset(&info))
        return r;
    seen = malloc(sizeof(*seen));
    if (!seen)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    crs__timerfd__init(seen);
    *ret = &seen->base;
    return 0;
}

static void wait_for_late_ones(struct kobj_dump *ctx)
{
    let_late_timers_expire(ctx->t->pid);
    ctx->timers_served_of = ctx->t->pid;
}

/*
 * A periodic timer that expired is not set going again before somebody asks; fdinfo then tells
 * neither its phase nor all its ticks. timerfd_gettime() sets it going, as the program's own read
 * would. It may expire between the two.
 */
static int settled_info(struct kobj_dump *ctx, const struct open_file *file, struct fdinfo *ret,
                        struct crs_error *err)
{
    bool waited = file->found && ctx->timers_served_of == ctx->t->pid;

    for (int i = 0; i < 100; i++) {
        int r = read_info(file, ret, err);
        if (r < 0)
            return r;
        if (ret->value_ns > 0 || (looks_unset(ret) && waited) ||
            (ret->ticks > 0 && ret->interval_ns == 0))
            return 0;
        waited = looks_unset(ret);
        if (waited)
            wait_for_late_ones(ctx);
        fdinfo_clear(ret);
    }
    return file_refuse(file, err, "it expires faster than it can be read", "try again");
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec ts = {0};

    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * NS + ts.tv_nsec;
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    _cleanup_fdinfo_ struct fdinfo info = {0};
    Crs__Timerfd m = CRS__TIMERFD__INIT;
    int r = settled_info(ctx, file, &info, err);

    if (r < 0)
        return r;
    m.clock = info.clock;
    m.ticks = info.ticks;
    m.settime_flags = info.settime_flags;
    m.remaining_ns = info.value_ns;
    m.interval_ns = info.interval_ns;
    m.saved_at_ns = clock_ns(CLOCK_REALTIME);
    return kobj_pack(&m.base, ret_payload, err);
}

static int unpack(const Crs__OpenFile *record, Crs__Timerfd **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__timerfd__descriptor, (ProtobufCMessage **)ret, err);
}

static int create(const Crs__Timerfd *m, struct crs_error *err)
{
    int fd = timerfd_create(m->clock, TFD_CLOEXEC);

    if (fd < 0)
        crs_fail_errno(err, CRS_CANT_RESTART, "can't make a timerfd of clock %u%s", m->clock,
                       errno == EPERM ? ", which needs CAP_WAKE_ALARM" : "");
    return fd;
}

/* As absolute time where it was absolute, so that the flags come back too. */
static int arm(const Crs__Timerfd *m, int fd, struct crs_error *err)
{
    bool calendar = m->clock == CLOCK_REALTIME || m->clock == CLOCK_REALTIME_ALARM;
    uint64_t when = m->remaining_ns;

    if (when > INT64_MAX / 2 || m->interval_ns > INT64_MAX / 2 || m->saved_at_ns > INT64_MAX / 2)
        return crs_fail(err, CRS_DAMAGED, ERANGE, "a timer's time is out of range");
    if (m->settime_flags & TFD_TIMER_ABSTIME)
        when += calendar ? m->saved_at_ns : clock_ns(m->clock);
    struct itimerspec its = {.it_interval = {m->interval_ns / NS, m->interval_ns % NS}};
    if (m->remaining_ns > 0)
        its.it_value = (struct timespec){when / NS, when % NS};
    if (timerfd_settime(fd, m->settime_flags, &its, NULL) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't set the timer");
    if (m->ticks > 0 && ioctl(fd, TFD_IOC_SET_TICKS, &m->ticks) < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART,
                              "can't set the ticks of the timer (%" PRIu64 ")", m->ticks);
    return 0;
}

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    Crs__Timerfd *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    _cleanup_close_ int fd = create(m, err);
    crs__timerfd__free_unpacked(m, NULL);
    return fd < 0 ? -EPERM : 0;
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    Crs__Timerfd *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    int fd = create(m, err);
    crs__timerfd__free_unpacked(m, NULL);
    return fd < 0 ? -EPERM : file_finish(fd, record, ret_fd, err);
}

/* Armed late: the time that the restart takes isn't the program's. */
static int connect_timer(struct kobj_restore *ctx, const Crs__OpenFile *record, int fd,
                         struct crs_error *err)
{
    Crs__Timerfd *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    r = arm(m, ctx->file_fds[record->id - 1], err);
    crs__timerfd__free_unpacked(m, NULL);
    return r;
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    Crs__Timerfd *m;
    int r = unpack(record, &m, NULL);

    if (r < 0)
        return r;
    int n = snprintf(text, size, "clock %u, ", m->clock);
    if (m->remaining_ns)
        n += snprintf(text + n, size - n, "%" PRIu64 " ms left", m->remaining_ns / 1000000);
    else
        n += snprintf(text + n, size - n, "not armed");
    if (m->interval_ns && (size_t)n < size)
        n += snprintf(text + n, size - n, ", every %" PRIu64 " ms", m->interval_ns / 1000000);
    if (m->ticks && (size_t)n < size)
        snprintf(text + n, size - n, ", %" PRIu64 " ticks", m->ticks);
    crs__timerfd__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_timerfd = {
    .name = "timerfd",
    .title = "timer descriptor (timerfd)",
    .saved = "yes",
    .conditions = "the time that was left goes on at the restart; absolute times of CLOCK_REALTIME "
                  "stay what they are",
    .privilege = "CAP_WAKE_ALARM for the clocks CLOCK_REALTIME_ALARM and CLOCK_BOOTTIME_ALARM",
    .match = match,
    .explore = explore,
    .dump = dump,
    .check = check,
    .restore = restore,
    .connect = connect_timer,
    .describe = describe,
};
