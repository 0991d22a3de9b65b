/* job.c - the snapshots of one job: STORE/NAME/SEQ */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "job.h"
#include "store/layout.h"
#include "store/store.h"

unsigned job_parse_seq(const char *text)
{
    size_t n = strspn(text, "0123456789");

    return n > 0 && n <= 9 && text[n] == 0 && text[0] != '0' ? strtoul(text, NULL, 10) : 0;
}

static int no_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

/* *ret NULL: there is no such directory. */
static int open_listing(const char *path, DIR **ret, struct crs_error *err)
{
    *ret = opendir(path);
    if (*ret || errno == ENOENT || errno == ENOTDIR)
        return 0;
    return crs_fail_errno(err, errno == EACCES ? CRS_NOT_PERMITTED : CRS_FAILED, "can't read %s",
                          path);
}

static int compare_seqs(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

    return x < y ? -1 : x > y;
}

int job_seqs(const char *root, const char *name, struct seqs *ret, struct crs_error *err)
{
    _cleanup_free_ char *path = format_string("%s/%s", root, name);
    _cleanup_closedir_ DIR *dir = NULL;
    _cleanup_free_ unsigned *owner = NULL;
    struct seqs seqs = {0};

    if (!path)
        return no_memory(err);
    int r = open_listing(path, &dir, err);
    if (r < 0)
        return r;
    for (struct dirent *d; dir && (d = readdir(dir));) {
        unsigned seq = job_parse_seq(d->d_name);
        if (seq == 0)
            continue;
        unsigned *item = ARRAY_ADD(&seqs);
        owner = seqs.items;
        if (!item)
            return no_memory(err);
        *item = seq;
    }
    if (seqs.n > 1)
        qsort(seqs.items, seqs.n, sizeof(*seqs.items), compare_seqs);
    owner = NULL;
    *ret = seqs;
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void job_names_clear(struct job_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct job_names){0};
}

static int collect_names(DIR *dir, struct job_names *names)
{
    for (struct dirent *d; (d = readdir(dir));) {
        if (store_check_name(d->d_name, NULL) < 0)
            continue;
        char *copy = strdup(d->d_name);
        char **item = copy ? ARRAY_ADD(names) : NULL;
        if (!item) {
            free(copy);
            return -ENOMEM;
        }
        *item = copy;
    }
    return 0;
}

int job_names(const char *root, struct job_names *ret, struct crs_error *err)
{
    _cleanup_closedir_ DIR *dir = NULL;
    struct job_names names = {0};

    int r = open_listing(root, &dir, err);
    if (r < 0)
        return r;
    if (dir && collect_names(dir, &names) < 0) {
        job_names_clear(&names);
        return no_memory(err);
    }
    if (names.n > 1)
        qsort(names.items, names.n, sizeof(*names.items), compare_names);
    *ret = names;
    return 0;
}
