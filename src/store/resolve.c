/* resolve.c - which directory a name means */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/descriptors.h"
#include "base/io.h"
#include "store/job.h"
#include "store/layout.h"
#include "store/store.h"
#include "store/stream.h"

/* As many are named when something isn't found. */
#define NAMED_MAX 8

static int no_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

/* A directory, or what a stream may be in. */
static bool may_be_snapshot(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 &&
           (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode));
}

static bool is_stream(const char *path)
{
    char start[STREAM_MAGIC_SIZE];
    struct stat st;

    _cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
           pread_full(fd, start, sizeof(start), 0) == 0 && stream_is_head(start, sizeof(start));
}

static bool has_manifest(const char *path)
{
    _cleanup_free_ char *file = format_string("%s/" MANIFEST_NAME, path);

    return file && access(file, F_OK) == 0;
}

static void append(char *text, size_t size, const char *word, size_t i)
{
    size_t n = strlen(text);

    if (i < NAMED_MAX)
        snprintf(text + n, size - n, "%s%s", i ? ", " : "", word);
    else if (i == NAMED_MAX)
        snprintf(text + n, size - n, ", ...");
}

/* Jobs that have a snapshot; others have none yet, or none any more. */
static void name_jobs(const char *root, char *text, size_t size)
{
    struct job_names names = {0};
    size_t n = 0;

    job_names(root, &names, NULL);
    for (size_t i = 0; i < names.n; i++) {
        struct seqs seqs = {0};
        if (job_seqs(root, names.items[i], &seqs, NULL) == 0 && seqs.n > 0)
            append(text, size, names.items[i], n++);
        free(seqs.items);
    }
    job_names_clear(&names);
}

static int no_such_job(const char *root, const char *spec, struct crs_error *err)
{
    char there[512] = "";

    name_jobs(root, there, sizeof(there));
    if (!there[0])
        return crs_fail(err, CRS_NOT_FOUND, ENOENT, "there is no snapshot '%.300s'; %s has none",
                        spec, root);
    return crs_fail(err, CRS_NOT_FOUND, ENOENT, "there is no snapshot '%.300s'; %s has some of: %s",
                    spec, root, there);
}

static int no_such_seq(const char *root, const char *name, const char *wanted,
                       const struct seqs *seqs, struct crs_error *err)
{
    char there[256] = "", word[16];

    for (size_t i = 0; i < seqs->n; i++) { /* the newest first: these are asked for */
        snprintf(word, sizeof(word), "%u", seqs->items[seqs->n - 1 - i]);
        append(there, sizeof(there), word, i);
    }
    return crs_fail(err, CRS_NOT_FOUND, ENOENT,
                    "there is no snapshot %s@%.32s in %s; there are: %s", name, wanted, root,
                    there);
}

static int find_latest(const char *root, const char *name, const struct seqs *seqs, char **ret_path,
                       struct crs_error *err)
{
    struct crs_error why = {0};

    for (size_t i = seqs->n; i-- > 0;) {
        _cleanup_(cleanup_store_reader) struct store_reader *reader = NULL;
        _cleanup_free_ char *path = format_string("%s/%s/%u", root, name, seqs->items[i]);
        if (!path)
            return no_memory(err);
        int r = store_reader_open(path, &reader, &why);
        if (is_want_of_descriptors(-r)) {
            if (err)
                *err = why;
            return r;
        }
        if (r < 0)
            continue;
        *ret_path = TAKE_PTR(path);
        return 0;
    }
    return crs_fail(err, CRS_NOT_FOUND, ENOENT,
                    "the job %s has no complete snapshot in %s; the oldest: %.500s", name, root,
                    seqs->n ? why.text : "there is none");
}

int store_find_latest(const char *store, const char *name, char **ret_path, struct crs_error *err)
{
    _cleanup_free_ char *root = NULL;
    struct seqs seqs = {0};
    int r = store_root(store, &root, err);

    if (r == 0)
        r = job_seqs(root, name, &seqs, err);
    if (r == 0)
        r = find_latest(root, name, &seqs, ret_path, err);
    free(seqs.items);
    return r;
}

static int find_seq(const char *root, const char *name, const char *wanted, const struct seqs *seqs,
                    char **ret_path, struct crs_error *err)
{
    unsigned seq = job_parse_seq(wanted);

    for (size_t i = 0; i < seqs->n; i++) {
        if (seq == 0 || seqs->items[i] != seq)
            continue;
        char *path = format_string("%s/%s/%u", root, name, seq);
        if (!path)
            return no_memory(err);
        *ret_path = path;
        return 0;
    }
    return no_such_seq(root, name, wanted, seqs, err);
}

/* NAME, NAME@SEQ, NAME@latest. *ret_path stays NULL when there's no such job. */
static int find_in_store(const char *root, const char *spec, char **ret_path, struct crs_error *err)
{
    const char *at = strchr(spec, '@');
    _cleanup_free_ char *name = at ? strndup(spec, at - spec) : strdup(spec);
    struct seqs seqs = {0};

    if (!name)
        return no_memory(err);
    if (store_check_name(name, NULL) < 0)
        return 0;
    int r = job_seqs(root, name, &seqs, err);
    if (r == 0 && seqs.n > 0) {
        if (!at || strcmp(at, "@latest") == 0)
            r = find_latest(root, name, &seqs, ret_path, err);
        else
            r = find_seq(root, name, at + 1, &seqs, ret_path, err);
    }
    free(seqs.items);
    return r;
}

/*
 * The store comes before a directory or a stream of that name in the current one, which somebody
 * else may have made; with a slash in it, it's a path and nothing else.
 */
int store_resolve(const char *store, const char *spec, char **ret_path, struct crs_error *err)
{
    _cleanup_free_ char *root = NULL;
    char *path = NULL;

    if (*spec == 0)
        return crs_fail(err, CRS_USAGE, EINVAL, "the name of a snapshot is empty");
    int r = store_root(store, &root, strchr(spec, '/') ? NULL : err);
    if (r < 0 && !strchr(spec, '/') && !has_manifest(spec) && !is_stream(spec))
        return r;
    if (r == 0 && !strchr(spec, '/')) {
        r = find_in_store(root, spec, &path, err);
        if (r < 0)
            return r;
    }
    if (!path &&
        (strchr(spec, '/') ? may_be_snapshot(spec) : has_manifest(spec) || is_stream(spec))) {
        path = strdup(spec);
        if (!path)
            return no_memory(err);
    }
    if (!path && strchr(spec, '/'))
        return crs_fail(err, CRS_NOT_FOUND, ENOENT, "there is no snapshot %s", spec);
    if (!path)
        return no_such_job(root, spec, err);
    *ret_path = path;
    return 0;
}
