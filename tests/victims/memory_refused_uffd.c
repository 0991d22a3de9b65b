/*
 * memory_refused_uffd.c - memory that a userfaultfd handles is refused
 * refused: userfaultfd
 */
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "victim.h"

int main(int argc, char **argv)
{
    struct uffdio_api api = {.api = UFFD_API};

    victim_init(argc, argv);
    int fd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
    char *m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(fd >= 0 && m != MAP_FAILED);
    strcpy(m, "here");
    struct uffdio_register area = {{(uintptr_t)m, 8192}, UFFDIO_REGISTER_MODE_MISSING, 0};
    MUST(ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &area) == 0);
    victim_ready();
    while (victim_wait())
        CHECK(strcmp(m, "here") == 0);
    return 0;
}
