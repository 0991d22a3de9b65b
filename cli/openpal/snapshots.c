/* snapshots.c - snapshots of Open PAL in their directories, for people */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/units.h"
#include "cli/openpal/snapshots.h"
#include "opal/mca/crs/base/base.h"
#include "opal/util/argv.h"
#include "openpal/mca/base_internal.h"
#include "openpal/runtime/metadata.h"

void snapshot_info_clear(struct snapshot_info *info)
{
    free(info->path);
    free(info->component);
    free(info->time);
    free(info->place);
    *info = (struct snapshot_info){0};
}

/* ---- the directory ---- */

static int is_set(const struct mca_base_param_info *info, void *arg)
{
    if (strcmp(info->name, "crs_base_snapshot_dir") == 0 && strcmp(info->source, "default") != 0)
        *(bool *)arg = true;
    return 0;
}

char *snapshots_directory(bool *ret_given)
{
    int index = mca_base_param_find("crs", "base", "snapshot_dir");
    char *path = NULL;

    *ret_given = false;
    mca_base_param_walk(is_set, ret_given);
    return index >= 0 && mca_base_param_lookup_string(index, &path) == 0 ? path : NULL;
}

int snapshot_find(const char *handle, const char *where, char **ret_path, struct crs_error *err)
{
    bool given;
    _cleanup_free_ char *standard = snapshots_directory(&given), *path = NULL, *real = NULL;
    const char *base = where ? where : standard;

    if (where ? handle[0] == '/' : strchr(handle, '/') != NULL)
        path = strdup(handle);
    else if (base)
        path = format_string("%s/%s", base, handle);
    if (!path)
        return crs_fail(err, CRS_NOT_FOUND, ENOENT,
                        "where snapshots are isn't known: set HOME, or name the directory (-w)");
    real = realpath(path, NULL);
    if (!real)
        return crs_fail_errno(err, CRS_NOT_FOUND, "there is no snapshot %s", path);
    *ret_path = TAKE_PTR(real);
    return 0;
}

/* ---- one ---- */

static _Thread_local uint64_t total_bytes; /* for nftw(3), which takes no argument */

static int add_size(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    if (type == FTW_F && S_ISREG(status->st_mode))
        total_bytes += (uint64_t)status->st_size;
    return 0;
}

static char *read_line(const char *path, const char *token)
{
    char **values = NULL, *last = NULL;

    if (opal_crs_base_metadata_read_token(path, token, &values) != 0)
        return NULL;
    int n = opal_argv_count(values);
    if (n > 0)
        last = strdup(values[n - 1]);
    opal_argv_free(values);
    return last;
}

int snapshot_read(const char *path, struct snapshot_info *ret, struct crs_error *err)
{
    _cleanup_snapshot_info_ struct snapshot_info info = {0};
    _cleanup_free_ char *id = NULL, *restarts = NULL;

    if (opal_crs_base_extract_expected_component(path, &info.component, &info.pid) != 0)
        return crs_fail(err, CRS_DAMAGED, EINVAL,
                        "%s is no complete snapshot: %s in it is missing, or has no component or "
                        "PID",
                        path, CRS_METADATA_FILENAME);
    info.path = strdup(path);
    info.time = read_line(path, CRS_METADATA_TIMESTAMP);
    info.place = read_line(path, METADATA_PLACE);
    id = read_line(path, METADATA_ID);
    restarts = read_line(path, METADATA_RESTARTS);
    info.id = id ? strtoull(id, NULL, 16) : 0;
    info.n_restarts = restarts ? atoi(restarts) : 0;
    total_bytes = 0;
    nftw(path, add_size, 16, FTW_PHYS);
    info.size_bytes = total_bytes;
    if (!info.path)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    *ret = info;
    info = (struct snapshot_info){0};
    return 0;
}

void snapshot_print(const struct snapshot_info *info)
{
    char size[UNIT_TEXT_SIZE];

    printf("Handle:     %s\n", info->path);
    printf("Component:  %s\n", info->component);
    printf("PID:        %d\n", info->pid);
    printf("Time:       %s\n", info->time ? info->time : "unknown");
    printf("Restarts:   %d\n", info->n_restarts);
    printf("Size:       %s\n", format_size(info->size_bytes, size));
}

/* ---- all ---- */

struct list {
    struct snapshot_info *items;
    size_t n, room;
};

static void list_clear(struct list *list)
{
    for (size_t i = 0; i < list->n; i++)
        snapshot_info_clear(&list->items[i]);
    free(list->items);
}

static int by_time(const void *a, const void *b)
{
    const struct snapshot_info *x = a, *y = b;
    int r = strcmp(x->time ? x->time : "", y->time ? y->time : "");

    return r ? r : strcmp(x->path, y->path);
}

/* What isn't a snapshot is none; names with a dot in front are of those under way. */
static int read_all(const char *directory, int pid, struct list *list, struct crs_error *err)
{
    _cleanup_closedir_ DIR *dir = opendir(directory);
    struct dirent *entry;

    if (!dir && errno == ENOENT)
        return 0;
    if (!dir)
        return crs_fail_errno(err, CRS_NOT_PERMITTED, "can't read %s", directory);
    while ((entry = readdir(dir))) {
        _cleanup_free_ char *path = format_string("%s/%s", directory, entry->d_name);
        _cleanup_snapshot_info_ struct snapshot_info info = {0};

        if (entry->d_name[0] == '.' || !path || snapshot_read(path, &info, NULL) < 0 ||
            (pid && info.pid != pid))
            continue;
        struct snapshot_info *item = ARRAY_ADD(list);
        if (!item)
            return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
        *item = info;
        info = (struct snapshot_info){0};
    }
    return 0;
}

int snapshots_list(const char *where, int pid, struct crs_error *err)
{
    bool given;
    _cleanup_free_ char *standard = snapshots_directory(&given);
    const char *directory = where ? where : standard;
    __attribute__((cleanup(list_clear))) struct list list = {0};
    int r;

    if (!directory)
        return crs_fail(err, CRS_NOT_FOUND, ENOENT,
                        "where snapshots are isn't known: set HOME, or name the directory (-w)");
    r = read_all(directory, pid, &list, err);
    if (r < 0)
        return r;
    if (list.n)
        qsort(list.items, list.n, sizeof(list.items[0]), by_time);
    printf("%-20s  %-9s  %8s  %10s  %s\n", "TIME", "COMPONENT", "PID", "SIZE", "HANDLE");
    for (size_t i = 0; i < list.n; i++) {
        const struct snapshot_info *s = &list.items[i];
        char size[UNIT_TEXT_SIZE];
        printf("%-20s  %-9s  %8d  %10s  %s\n", s->time ? s->time : "unknown", s->component, s->pid,
               format_size(s->size_bytes, size), s->path);
    }
    return 0;
}
