/* descriptors.c - numbers for our own descriptors */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/descriptors.h"
#include "base/io.h"

#define NEEDED     64
#define ROOM_MAX   (1u << 20) /* 8 MiB of the kernel's memory */
#define ROOM_LEAST 1024

/* Free numbers below the limit, counted up to `enough`. Without opening anything. */
static unsigned count_free(rlim_t limit, unsigned enough)
{
    unsigned n = 0;

    for (rlim_t fd = 0; fd < limit && n < enough; fd++)
        n += fcntl((int)fd, F_GETFD) < 0 && errno == EBADF;
    return n;
}

int descriptors_reserve(uint64_t *ret_before, struct crs_error *err)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't read the limit of open files");
    *ret_before = 0;
    if (count_free(limit.rlim_cur, NEEDED) >= NEEDED)
        return 0;
    rlim_t before = limit.rlim_cur;
    unsigned n = count_free(limit.rlim_max, NEEDED);
    if (n < NEEDED)
        return crs_fail(err, CRS_FAILED, EMFILE,
                        "%u file descriptors are left of the %llu that this process may have "
                        "(ulimit -n), and about %d are needed: raise the limit, or close some",
                        n, (unsigned long long)limit.rlim_max, NEEDED);
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't raise the limit of open files");
    *ret_before = before;
    return 0;
}

void descriptors_give_back(uint64_t before)
{
    struct rlimit limit;
    int saved = errno;

    if (before > 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = before;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    errno = saved;
}

void descriptors_make_room(uint64_t n)
{
    const uint64_t wanted = n < ROOM_LEAST - NEEDED ? ROOM_LEAST : n + NEEDED;
    struct rlimit limit, more;
    int saved = errno;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || wanted > ROOM_MAX)
        return;
    more = limit;
    more.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    if (more.rlim_cur > limit.rlim_cur && setrlimit(RLIMIT_NOFILE, &more) < 0)
        more.rlim_cur = limit.rlim_cur;
    int any = open("/", O_PATH | O_CLOEXEC), last = -1;
    if (any >= 0 && more.rlim_cur > 0)
        last =
            fcntl(any, F_DUPFD_CLOEXEC, (int)(wanted < more.rlim_cur ? wanted : more.rlim_cur) - 1);
    cleanup_close(&last);
    cleanup_close(&any);
    if (more.rlim_cur > limit.rlim_cur)
        setrlimit(RLIMIT_NOFILE, &limit);
    errno = saved;
}

/* The size of its directory of them, from Linux 6.2 on; before, that of its table. */
uint64_t descriptors_of(pid_t pid)
{
    _cleanup_bytes_ struct bytes text = {0};
    const char *size = NULL;
    struct stat st;
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    if (stat(path, &st) == 0 && st.st_size > 0)
        return st.st_size;
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    if (read_file(AT_FDCWD, path, 1 << 16, &text) == 0)
        size = strstr((const char *)text.data, "\nFDSize:\t");
    return size ? strtoull(size + strlen("\nFDSize:\t"), NULL, 10) : 0;
}

bool is_want_of_descriptors(int errnum)
{
    return errnum == EMFILE || errnum == ENFILE;
}
