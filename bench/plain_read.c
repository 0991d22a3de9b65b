/*
 * plain_read.c - what reading files into fresh memory costs, at least
 *
 *     plain_read FILE...
 *
 * Reads all of the files into new anonymous memory, in pieces of 1 MiB, and prints bytes and
 * nanoseconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIECE (1u << 20)

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int64_t size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 ? -1 : st.st_size;
}

static int read_into(const char *path, char *memory, int64_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    for (int64_t at = 0; fd >= 0 && at < size;) {
        ssize_t n = read(fd, memory + at, size - at < PIECE ? size - at : PIECE);
        if (n <= 0)
            return -1;
        at += n;
    }
    return fd < 0 ? -1 : close(fd);
}

int main(int argc, char **argv)
{
    int64_t size = 0, at = 0;

    for (int i = 1; i < argc; i++) {
        int64_t n = size_of(argv[i]);
        if (n < 0) {
            fprintf(stderr, "plain_read: %s: %s\n", argv[i], strerror(errno));
            return 1;
        }
        size += n;
    }
    int64_t begin = now_ns();
    char *memory = mmap(NULL, size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        fprintf(stderr, "plain_read: no memory for %lld bytes\n", (long long)size);
        return 1;
    }
    for (int i = 1; i < argc; i++) {
        int64_t n = size_of(argv[i]);
        if (read_into(argv[i], memory + at, n) < 0) {
            fprintf(stderr, "plain_read: can't read %s\n", argv[i]);
            return 1;
        }
        at += n;
    }
    printf("%lld %lld\n", (long long)size, (long long)(now_ns() - begin));
    return 0;
}
