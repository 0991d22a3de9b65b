/*
 * dialogue.c - files of a directory, each of which is opened only for a moment
 */
#include "dialogue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *dialogue_dir;

void die(const char *format, ...)
{
    int saved = errno;
    va_list ap;

    va_start(ap, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, ap);
    fprintf(stderr, ": %s\n", strerror(saved));
    va_end(ap);
    exit(1);
}

int64_t clock_ns(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

uint64_t number_of(const char *text)
{
    char *end = NULL;
    unsigned long long n = text ? strtoull(text, &end, 10) : 0;

    errno = EINVAL;
    if (!text || !*text || *end)
        die("a number is missing or wrong");
    return n;
}

void path_of(char path[PATH_MAX], const char *name)
{
    snprintf(path, PATH_MAX, "%s/%s", dialogue_dir, name);
}

void append(const char *name, const char *text)
{
    char path[PATH_MAX];

    path_of(path, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        die("can't write %s", path);
    close(fd);
}

void put(const char *name, const char *text)
{
    char temporary[PATH_MAX], path[PATH_MAX], hidden[64];

    snprintf(hidden, sizeof(hidden), ".%s", name);
    append(hidden, text);
    path_of(temporary, hidden);
    path_of(path, name);
    if (rename(temporary, path) < 0)
        die("can't rename %s", temporary);
}

bool take(const char *name, char *text, size_t size)
{
    char path[PATH_MAX];

    path_of(path, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    unlink(path);
    text[n < 0 ? 0 : n] = 0;
    text[strcspn(text, "\n")] = 0;
    return true;
}
