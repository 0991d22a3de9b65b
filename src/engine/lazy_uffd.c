/* lazy_uffd.c - a userfaultfd in missing mode */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "engine/lazy_uffd.h"

#define PAGE_BYTES 4096ull
#define FIRST_PAGE 0x10000ull
#define ANY_PAGE   0x7fffffffe000ull

/* Linux 6.6, not in older headers. */
struct poison {
    struct uffdio_range range;
    uint64_t mode;
    int64_t updated;
};
#define IOCTL_POISON _IOWR(UFFDIO, 0x08, struct poison)

#define FEATURES                                                                                   \
    (UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE |              \
     UFFD_FEATURE_EVENT_UNMAP)

int lazy_uffd_begin(int fd)
{
    struct uffdio_api api = {.api = UFFD_API, .features = FEATURES};

    return ioctl(fd, UFFDIO_API, &api) < 0 ? -errno : 0;
}

/* What the system says about others than root: for words. */
static void describe_policy(char *ret, size_t size)
{
    _cleanup_bytes_ struct bytes text = {0};
    struct stat st;
    char device[48] = "there is no /dev/userfaultfd";

    if (read_file(AT_FDCWD, "/proc/sys/vm/unprivileged_userfaultfd", 64, &text) == 0)
        text.data[strcspn((char *)text.data, "\n")] = 0;
    if (stat("/dev/userfaultfd", &st) == 0)
        snprintf(device, sizeof(device), "/dev/userfaultfd has mode %04o", st.st_mode & 07777);
    snprintf(ret, size, "vm.unprivileged_userfaultfd is %s, %s",
             text.data ? (char *)text.data : "not there", device);
}

static int explain(int errnum, struct crs_error *err)
{
    char policy[128];

    if (errnum != EPERM)
        return crs_fail(err, CRS_NOT_PERMITTED, errnum, "this kernel has no userfaultfd(2): %s",
                        strerror(errnum));
    describe_policy(policy, sizeof(policy));
    return crs_fail(
        err, CRS_NOT_PERMITTED, EPERM,
        "that takes a userfaultfd that serves system calls and is told of forks, and so "
        "CAP_SYS_PTRACE in the first user namespace (root has it); %s, but neither "
        "would allow the latter",
        policy);
}

int lazy_uffd_probe(struct crs_error *err)
{
    _cleanup_close_ int fd = syscall(SYS_userfaultfd, LAZY_UFFD_FLAGS);

    if (fd < 0)
        return explain(errno, err);
    int r = lazy_uffd_begin(fd);
    return r < 0 ? explain(-r, err) : 0;
}

int lazy_uffd_register(int fd, uint64_t start, uint64_t end)
{
    struct uffdio_register arg = {{start, end - start}, UFFDIO_REGISTER_MODE_MISSING, 0};

    return ioctl(fd, UFFDIO_REGISTER, &arg) < 0 ? -errno : 0;
}

int lazy_uffd_copy(int fd, uint64_t to, const void *from, uint64_t size, uint64_t *ret_done)
{
    struct uffdio_copy arg = {.dst = to, .src = (uintptr_t)from, .len = size};
    int r = ioctl(fd, UFFDIO_COPY, &arg) < 0 ? -errno : 0;

    *ret_done = arg.copy > 0 ? arg.copy : 0;
    return r;
}

int lazy_uffd_zero(int fd, uint64_t to, uint64_t size)
{
    struct uffdio_zeropage arg = {.range = {to, size}};

    return ioctl(fd, UFFDIO_ZEROPAGE, &arg) < 0 ? -errno : 0;
}

void lazy_uffd_wake(int fd, uint64_t address, uint64_t size)
{
    struct uffdio_range range = {address, size};

    ioctl(fd, UFFDIO_WAKE, &range);
}

int lazy_uffd_poison(int fd, uint64_t address, uint64_t size)
{
    struct poison arg = {.range = {address, size}};

    return ioctl(fd, IOCTL_POISON, &arg) < 0 ? -errno : 0;
}

/* The address space is looked for before anything is read. */
bool lazy_uffd_alive(int fd, const void *unreadable)
{
    uint64_t done;

    return lazy_uffd_copy(fd, ANY_PAGE, unreadable, PAGE_BYTES, &done) != -ESRCH;
}

void lazy_uffd_wake_all(int fd)
{
    lazy_uffd_wake(fd, FIRST_PAGE, ANY_PAGE - FIRST_PAGE + PAGE_BYTES);
}
