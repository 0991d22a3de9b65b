/*
 * streams.c - standard input, output and error that are pipes to somebody else
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "openpal/criu/streams.h"

/* ---- note ---- */

/* The name of a pipe in /proc/PID/fd; false: it is something else. */
static bool pipe_name(const char *directory, const char *number, char *ret, size_t size)
{
    char path[320];
    snprintf(path, sizeof(path), "%s/%s", directory, number);
    ssize_t n = readlink(path, ret, size - 1);
    ret[n > 0 ? n : 0] = '\0';
    return strncmp(ret, "pipe:[", 6) == 0;
}

/* A descriptor's access mode is in the owner's bits of its link. */
static mode_t access_of(const char *directory, const char *number)
{
    char path[320];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%s", directory, number);
    return lstat(path, &st) == 0 ? st.st_mode & (S_IRUSR | S_IWUSR) : 0;
}

/* Has the process the other end itself? Then CRIU restores it as it was. */
static bool has_other_end(const char *directory, const char *name, mode_t mode)
{
    _cleanup_closedir_ DIR *dir = opendir(directory);
    struct dirent *entry;
    char other[48];
    while (dir && (entry = readdir(dir)))
        if (pipe_name(directory, entry->d_name, other, sizeof(other)) && strcmp(other, name) == 0 &&
            access_of(directory, entry->d_name) != mode)
            return true;
    return false;
}

int streams_note(const char *directory, pid_t pid, struct crs_error *err)
{
    char path[4096], fds[64], number[16], name[48];
    snprintf(path, sizeof(path), "%s/" STREAMS_FILE, directory);
    snprintf(fds, sizeof(fds), "/proc/%d/fd", pid ? pid : getpid());
    _cleanup_fclose_ FILE *file = fopen(path, "wxe");
    if (!file)
        return crs_fail_errno(err, CRS_STORAGE, "can't create %s", path);
    for (int fd = 0; fd < STREAMS_COUNT; fd++) {
        snprintf(number, sizeof(number), "%d", fd);
        if (pipe_name(fds, number, name, sizeof(name)) &&
            !has_other_end(fds, name, access_of(fds, number)))
            fprintf(file, "%d %s\n", fd, name);
    }
    if (fflush(file) != 0)
        return crs_fail_errno(err, CRS_STORAGE, "can't write %s", path);
    return 0;
}

/* ---- read ---- */

static bool is_known(const struct streams_pipes *pipes, const char *key)
{
    for (size_t i = 0; i < pipes->n; i++)
        if (strcmp(pipes->key[i], key) == 0)
            return true;
    return false;
}

static int add_line(const char *line, struct streams_pipes *pipes)
{
    int number, end = 0;
    unsigned long long inode;
    if (sscanf(line, "%1d pipe:[%20llu]\n%n", &number, &inode, &end) != 2 || line[end] ||
        number < 0 || number >= STREAMS_COUNT || pipes->n == STREAMS_COUNT)
        return -EBADMSG;
    char key[48];
    snprintf(key, sizeof(key), "pipe:[%llu]", inode);
    if (is_known(pipes, key) || fcntl(number, F_GETFD) < 0)
        return 0;
    strcpy(pipes->key[pipes->n], key);
    pipes->number[pipes->n++] = number;
    return 0;
}

int streams_read(const char *directory, struct streams_pipes *ret)
{
    char path[4096], line[128];
    struct streams_pipes pipes = {0};
    snprintf(path, sizeof(path), "%s/" STREAMS_FILE, directory);
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        int r = add_line(line, &pipes);
        if (r < 0)
            return r;
    }
    *ret = pipes;
    return 0;
}
