/*
 * journal.c - CRIU's log, and the cause of a failure in it
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "openpal/criu/journal.h"

#define MAX_READ_BYTES (1024 * 1024)

/* Errors of runs that go well. */
static const char *const harmless[] = {
    "RLIMIT_NOFILE",        "criu.kdat",  "kdat cache", "Diag module",
    "Unable to create tun", "by netlink", "veth pair",  NULL,
};

/* Errors that only tell that something before them failed. */
static const char *const consequences[] = {
    "umping FAILED", "estoring FAILED",           "failed with -",
    "bad status",    "kernel features detection", NULL,
};

static const struct {
    const char *words, *remedy;
} remedies[] = {
    {"half of stream unix", "; a Unix socket leads to a process that is not saved with this one: "
                            "close it before the checkpoint"},
    {"external socket", "; a Unix socket leads to a process that is not saved with this one: set "
                        "crs_criu_ext_unix_sk to 1, or close it before the checkpoint"},
    {"onnected TCP socket", "; set crs_criu_tcp_established to 1, or close it before the "
                            "checkpoint"},
    {"tcp-established", "; set crs_criu_tcp_established to 1, or close it before the checkpoint"},
    {"shell-job", "; set crs_criu_shell_job to 1"},
    {"dangling", "; set crs_criu_shell_job to 1, and restart it from a terminal"},
    {"an't get rlimit", "; CRIU needs CAP_SYS_RESOURCE to save processes of other users"},
    {" opt: Operation not supported", "; this CRIU doesn't know this kernel's sockets: use a newer "
                                      "CRIU, or close sockets before the checkpoint"},
    {"session leader", "; start the program in a session of its own (setsid)"},
    {"ghost file", "; an open file was deleted and is too large for CRIU to save: keep its name"},
    {"ptrace", "; is a debugger attached?"},
    {"io_uring", "; CRIU can't save it: close it before the checkpoint"},
    {"irty track", "; set crs_criu_pre_dump and crs_criu_increments to 0"},
    {"No space left", "; make room where the snapshot is"},
    {"bad size", "; a file has changed since the checkpoint"},
};

static bool has_any(const char *text, size_t length, const char *const words[])
{
    for (; *words; words++)
        if (memmem(text, length, *words, strlen(*words)))
            return true;
    return false;
}

/* "(00.01) 123: Error (file.c:1): words" -> the words and their length; 0: it isn't an error. */
static size_t error_in(const char *line, size_t length, const char **ret)
{
    static const char mark[] = "Error (";
    const char *found = memmem(line, length, mark, sizeof(mark) - 1);
    if (!found)
        return 0;
    const char *end = line + length;
    const char *words = memmem(found, (size_t)(end - found), "): ", 3);
    *ret = words ? words + 3 : found;
    return (size_t)(end - *ret);
}

/* Control characters are what the saved program may have put into a name. */
static void copy_printable(char *ret, size_t size, const char *words, size_t length)
{
    size_t n = length < size - 1 ? length : size - 1;
    for (size_t i = 0; i < n; i++)
        ret[i] = (unsigned char)words[i] < ' ' || words[i] == 0x7f ? '?' : words[i];
    while (n && (ret[n - 1] == ' ' || ret[n - 1] == '.'))
        n--;
    ret[n] = '\0';
}

bool journal_is_telling(const char *words)
{
    size_t length = strlen(words);
    return length && !has_any(words, length, harmless);
}

bool journal_cause(const char *text, char *ret, size_t size)
{
    const char *best = NULL;
    size_t best_length = 0;
    int best_rank = 0;
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n"), n;
        const char *words;
        if ((n = error_in(line, length, &words))) {
            int rank = has_any(words, n, harmless) ? 0 : has_any(words, n, consequences) ? 1 : 2;
            /* The first of the most telling: what follows from it is logged after it. */
            if (rank > best_rank)
                best = words, best_length = n, best_rank = rank;
        }
        line += length + (line[length] == '\n');
    }
    if (best)
        copy_printable(ret, size, best, best_length);
    return best != NULL;
}

/* The end of a file as text; NULL: it can't be read. */
static char *read_end(int fd)
{
    struct stat st;
    _cleanup_free_ char *text = malloc(MAX_READ_BYTES + 1);
    if (!text || fstat(fd, &st) < 0)
        return NULL;
    off_t from = st.st_size > MAX_READ_BYTES ? st.st_size - MAX_READ_BYTES : 0;
    size_t n = 0;
    ssize_t got;
    while (n < MAX_READ_BYTES &&
           (got = pread(fd, text + n, MAX_READ_BYTES - n, from + (off_t)n)) > 0)
        n += (size_t)got;
    for (size_t i = 0; i < n; i++)
        text[i] = text[i] ? text[i] : '?';
    text[n] = '\0';
    return TAKE_PTR(text);
}

static char *read_log(const char *path)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    return fd < 0 ? NULL : read_end(fd);
}

bool journal_cause_of_fd(int fd, char *ret, size_t size)
{
    _cleanup_free_ char *text = read_end(fd);
    return text && journal_cause(text, ret, size);
}

bool journal_cause_of_file(const char *path, char *ret, size_t size)
{
    _cleanup_free_ char *text = read_log(path);
    return text && journal_cause(text, ret, size);
}

void journal_errors_of_file(const char *path, void (*each)(const char *line))
{
    _cleanup_free_ char *text = read_log(path);
    char words[400];
    for (const char *line = text; line && *line;) {
        size_t length = strcspn(line, "\n"), n;
        const char *error;
        if ((n = error_in(line, length, &error))) {
            copy_printable(words, sizeof(words), error, n);
            each(words);
        }
        line += length + (line[length] == '\n');
    }
}

const char *journal_remedy(const char *cause)
{
    for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++)
        if (strstr(cause, remedies[i].words))
            return remedies[i].remedy;
    return "";
}
