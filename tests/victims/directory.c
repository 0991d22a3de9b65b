/*
 * directory.c - a directory that was read halfway
 */
#include <dirent.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "victim.h"

#define N 40

static unsigned seen[N];

static void mark(const char *buffer, long n)
{
    unsigned number;

    for (long at = 0; at < n;) {
        const struct dirent64 *e = (const void *)(buffer + at);
        if (sscanf(e->d_name, "entry-%u", &number) == 1 && number < N)
            seen[number]++;
        at += e->d_reclen;
    }
}

int main(int argc, char **argv)
{
    char path[5000], buffer[512] __attribute__((aligned(8)));
    long n;

    victim_init(argc, argv);
    victim_path(path, sizeof(path), "directory");
    MUST(mkdir(path, 0700) == 0);
    for (int i = 0; i < N; i++) {
        victim_path(path, sizeof(path), "directory/entry-%d", i);
        MUST(close(open(path, O_CREAT | O_WRONLY, 0600)) == 0);
    }
    victim_path(path, sizeof(path), "directory");
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    MUST(fd >= 0 && (n = syscall(SYS_getdents64, fd, buffer, sizeof(buffer))) > 0);
    mark(buffer, n);
    off_t position = lseek(fd, 0, SEEK_CUR);

    victim_ready();
    while (victim_wait()) {
        unsigned before[N];
        memcpy(before, seen, sizeof(seen));
        CHECK_EQ(lseek(fd, 0, SEEK_CUR), position);
        while ((n = syscall(SYS_getdents64, fd, buffer, sizeof(buffer))) > 0)
            mark(buffer, n);
        for (int i = 0; i < N; i++)
            CHECK_EQ(seen[i], 1);
        memcpy(seen, before, sizeof(seen));
        CHECK_EQ(lseek(fd, position, SEEK_SET), position);
        CHECK_EQ(faccessat(fd, "entry-7", F_OK, 0), 0);
    }
    return 0;
}
