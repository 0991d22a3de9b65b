/* descriptors.c - numbers for our own descriptors */
#include <fcntl.h>
#include <sys/resource.h>

#include "descriptors.h"

#define NEEDED 64

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

bool is_want_of_descriptors(int errnum)
{
    return errnum == EMFILE || errnum == ENFILE;
}
