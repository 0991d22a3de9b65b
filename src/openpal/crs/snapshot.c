/*
 * snapshot.c - a snapshot's directory: begun, committed, or given up
 *
 * It is made under a hidden name beside its place, ".NAME.new.PID", and put there when it is
 * complete, in one step with the end of the snapshot that had that name: at no time there is none,
 * or half of one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "openpal/crs/base_internal.h"
#include "openpal/crs/directory.h"
#include "openpal/crs/metadata.h"

#define OLD_SUFFIX ".old"

/* The one that is under way: checkpoints are taken one at a time. */
static struct {
    opal_crs_base_snapshot_t *snapshot;
    char *place; /* where it is going to be */
} now;

static void construct(opal_crs_base_snapshot_t *snapshot)
{
    snapshot->component_name = snapshot->reference_name = NULL;
    snapshot->local_location = snapshot->remote_location = NULL;
    snapshot->cold_start = false;
}

static void destruct(opal_crs_base_snapshot_t *snapshot)
{
    free(snapshot->component_name);
    free(snapshot->reference_name);
    free(snapshot->local_location);
    free(snapshot->remote_location);
    construct(snapshot);
}

OBJ_CLASS_INSTANCE(opal_crs_base_snapshot_t, opal_list_item_t, construct, destruct);

/* ---- names ---- */

char *opal_crs_base_unique_snapshot_name(pid_t pid)
{
    return format_string("opal_snapshot_%d.ckpt", (int)pid);
}

char *opal_crs_base_get_snapshot_directory(const char *name)
{
    int index = mca_base_param_find("crs", "base", "snapshot_dir");
    _cleanup_free_ char *base = NULL, *here = NULL;

    if (!name || mca_base_param_lookup_string(index, &base) != OPAL_SUCCESS || !base || !*base)
        return NULL;
    if (*base == '/')
        return format_string("%s/%s", base, name);
    here = getcwd(NULL, 0);
    return here ? format_string("%s/%s/%s", here, base, name) : NULL;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static bool is_name(const char *name)
{
    return *name && *name != '.' && !strchr(name, '/') && !strchr(name, '\n');
}

static int fill_in(opal_crs_base_snapshot_t *snapshot, pid_t pid)
{
    opal_crs_base_component_t *selected = opal_crs_base_selected_component;

    if (!snapshot->component_name && selected)
        snapshot->component_name = strdup(selected->base_version.mca_component_name);
    if (!snapshot->reference_name)
        snapshot->reference_name = opal_crs_base_unique_snapshot_name(pid ? pid : getpid());
    if (!snapshot->reference_name || (selected && !snapshot->component_name))
        return OPAL_ERR_OUT_OF_RESOURCE;
    if (!is_name(snapshot->reference_name))
        return opal_crs_base_fail(OPAL_ERR_BAD_PARAM,
                                  "\"%s\" can't be a snapshot's name: no slash in it, no dot in "
                                  "front",
                                  snapshot->reference_name);
    if (!snapshot->local_location)
        snapshot->local_location = opal_crs_base_get_snapshot_directory(snapshot->reference_name);
    if (!snapshot->local_location)
        return opal_crs_base_fail(OPAL_ERR_BAD_PARAM,
                                  "there is no place for snapshots: set the parameter "
                                  "crs_base_snapshot_dir, or HOME");
    return *snapshot->local_location == '/'
               ? OPAL_SUCCESS
               : opal_crs_base_fail(OPAL_ERR_BAD_PARAM, "%s isn't an absolute path",
                                    snapshot->local_location);
}

/* ---- begun ---- */

static int failed(const char *what, const char *path)
{
    int saved = errno, r;

    r = opal_crs_base_fail(OPAL_ERR_IN_ERRNO, "%s %s: %s", path, what, strerror(saved));
    if (saved == ENOSPC || saved == EDQUOT || saved == EIO || saved == EROFS)
        r = OPAL_ERR_FILE_WRITE_FAILURE;
    else if (saved == EPERM || saved == EACCES)
        r = OPAL_ERR_PERM;
    errno = saved;
    return r;
}

/* A directory that isn't ours to replace: neither a snapshot nor empty. */
static int check_place(const char *place)
{
    _cleanup_free_ char *metadata = format_string("%s/" CRS_METADATA_FILENAME, place);
    struct stat st;

    if (!metadata)
        return OPAL_ERR_OUT_OF_RESOURCE;
    if (lstat(place, &st) < 0)
        return errno == ENOENT ? OPAL_SUCCESS : failed("can't be looked at", place);
    if (!S_ISDIR(st.st_mode) || (lstat(metadata, &st) < 0 && directory_is_empty(place) < 0))
        return opal_crs_base_fail(OPAL_EXISTS,
                                  "%s is there, and is not a snapshot: it is not replaced; choose "
                                  "another name, or remove it",
                                  place);
    return OPAL_SUCCESS;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), size = strlen(end);

    return length >= size && strcmp(text + length - size, end) == 0;
}

/* One that had been put aside when its process was killed, and has no successor, is there again. */
static void remove_one_stale(const char *path, const char *place)
{
    struct stat st;

    if (ends_with(path, OLD_SUFFIX) && lstat(place, &st) < 0 && errno == ENOENT)
        (void)rename(path, place);
    else
        (void)directory_remove(path);
}

/* What processes left behind that were killed in a checkpoint of this name. */
static void remove_stale(const char *parent, const char *place)
{
    _cleanup_closedir_ DIR *dir = opendir(parent);
    _cleanup_free_ char *prefix = format_string(".%s.new.", last_part(place));
    struct dirent *entry;

    while (dir && prefix && (entry = readdir(dir))) {
        size_t length = strlen(prefix);
        _cleanup_free_ char *path = NULL;
        int pid;

        if (strncmp(entry->d_name, prefix, length) != 0)
            continue;
        pid = atoi(entry->d_name + length);
        path = format_string("%s/%s", parent, entry->d_name);
        if (path && pid > 0 && (pid == getpid() || (kill(pid, 0) < 0 && errno == ESRCH)))
            remove_one_stale(path, place);
    }
}

static int make_parent(const char *place)
{
    _cleanup_free_ char *parent = strndup(place, (size_t)(last_part(place) - place));
    struct stat st;

    if (!parent)
        return OPAL_ERR_OUT_OF_RESOURCE;
    if (parent[1] && parent[strlen(parent) - 1] == '/')
        parent[strlen(parent) - 1] = '\0';
    if (stat(parent, &st) < 0 && directory_make(parent) < 0)
        return failed("can't be made", parent);
    remove_stale(parent, place);
    return OPAL_SUCCESS;
}

static int make_new(const char *place, char **ret)
{
    const char *name = last_part(place);
    _cleanup_free_ char *path =
        format_string("%.*s.%s.new.%d", (int)(name - place), place, name, (int)getpid());

    if (!path)
        return OPAL_ERR_OUT_OF_RESOURCE;
    if (mkdir(path, 0700) < 0)
        return failed("can't be made", path);
    *ret = TAKE_PTR(path);
    return OPAL_SUCCESS;
}

static int write_heading(const opal_crs_base_snapshot_t *snapshot, pid_t pid)
{
    _cleanup_free_ char *number = format_string("%d", (int)(pid ? pid : getpid()));
    int r = number ? OPAL_SUCCESS : OPAL_ERR_OUT_OF_RESOURCE;

    if (r == OPAL_SUCCESS)
        r = opal_crs_base_metadata_write_token(snapshot->local_location, CRS_METADATA_PID, number);
    if (r == OPAL_SUCCESS && snapshot->component_name)
        r = opal_crs_base_metadata_write_token(snapshot->local_location, CRS_METADATA_COMP,
                                               snapshot->component_name);
    return r;
}

int opal_crs_base_snapshot_begin(opal_crs_base_snapshot_t *snapshot, pid_t pid)
{
    char *path = NULL;
    int r;

    if (now.snapshot == snapshot)
        return OPAL_SUCCESS;
    if (now.snapshot)
        return opal_crs_base_fail(OPAL_ERR_RESOURCE_BUSY, "another checkpoint is under way");
    r = fill_in(snapshot, pid);
    if (r == OPAL_SUCCESS)
        r = make_parent(snapshot->local_location);
    if (r == OPAL_SUCCESS)
        r = check_place(snapshot->local_location);
    if (r == OPAL_SUCCESS)
        r = make_new(snapshot->local_location, &path);
    if (r != OPAL_SUCCESS)
        return r;
    now.snapshot = snapshot;
    now.place = snapshot->local_location;
    snapshot->local_location = path;
    r = write_heading(snapshot, pid);
    if (r != OPAL_SUCCESS)
        opal_crs_base_snapshot_abort(snapshot);
    return r;
}

int opal_crs_base_init_snapshot_directory(opal_crs_base_snapshot_t *snapshot)
{
    return snapshot ? opal_crs_base_snapshot_begin(snapshot, 0) : OPAL_ERR_BAD_PARAM;
}

const char *opal_crs_base_snapshot_place(const opal_crs_base_snapshot_t *snapshot)
{
    return now.snapshot == snapshot ? now.place : snapshot->local_location;
}

/* ---- ended ---- */

/* The snapshot is where it belongs, for those who look at it. */
void opal_crs_base_snapshot_settle(opal_crs_base_snapshot_t *snapshot)
{
    if (now.snapshot != snapshot)
        return;
    free(snapshot->local_location);
    snapshot->local_location = now.place;
    now.place = NULL;
    now.snapshot = NULL;
}

void opal_crs_base_snapshot_abort(opal_crs_base_snapshot_t *snapshot)
{
    int saved = errno;

    if (now.snapshot != snapshot)
        return;
    (void)directory_remove(snapshot->local_location);
    opal_crs_base_snapshot_settle(snapshot);
    errno = saved;
}

/* Not every file system can exchange two directories. Without, there is a moment in which the old
 * one has another name. */
static int take_the_place(const char *path, const char *place)
{
    _cleanup_free_ char *aside = NULL;

    if (renameat2(AT_FDCWD, path, AT_FDCWD, place, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno == EEXIST && renameat2(AT_FDCWD, path, AT_FDCWD, place, RENAME_EXCHANGE) == 0)
        return directory_remove(path);
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    aside = format_string("%s" OLD_SUFFIX, path);
    if (!aside || (rename(place, aside) < 0 && errno != ENOENT))
        return -1;
    if (rename(path, place) < 0) {
        int saved = errno;

        (void)rename(aside, place);
        errno = saved;
        return -1;
    }
    return directory_remove(aside) < 0 && errno != ENOENT ? -1 : 0;
}

static int sync_parent(const char *place)
{
    _cleanup_free_ char *parent = strndup(place, (size_t)(last_part(place) - place));
    _cleanup_close_ int fd = parent ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    return fd < 0 ? -1 : fsync(fd);
}

static int write_time(const char *location)
{
    char text[64];
    time_t seconds = time(NULL);
    struct tm tm;

    if (!gmtime_r(&seconds, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        return OPAL_ERROR;
    return opal_crs_base_metadata_write_token(location, CRS_METADATA_TIMESTAMP, text);
}

int opal_crs_base_snapshot_commit(opal_crs_base_snapshot_t *snapshot)
{
    _cleanup_free_ char *lines = NULL, *metadata = NULL;
    int r;

    if (now.snapshot != snapshot)
        return OPAL_SUCCESS;
    lines = format_string("%s/" METADATA_NEW, snapshot->local_location);
    metadata = format_string("%s/" CRS_METADATA_FILENAME, snapshot->local_location);
    if (!lines || !metadata)
        return OPAL_ERR_OUT_OF_RESOURCE;
    r = write_time(snapshot->local_location);
    if (r != OPAL_SUCCESS)
        return r;
    if (directory_sync(snapshot->local_location) < 0 || rename(lines, metadata) < 0 ||
        directory_sync(snapshot->local_location) < 0)
        return failed("can't be made safe", snapshot->local_location);
    if (take_the_place(snapshot->local_location, now.place) < 0 || sync_parent(now.place) < 0)
        return failed("can't be put into its place", now.place);
    opal_crs_base_snapshot_settle(snapshot);
    return OPAL_SUCCESS;
}
