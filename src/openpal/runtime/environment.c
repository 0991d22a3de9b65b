/* environment.c - variables that go from the restarting tool to the restarted process */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "opal/util/output.h"
#include "openpal/runtime/environment.h"
#include "openpal/runtime/runtime.h"

#define LIMIT (16u << 20)

bool environment_is_ours(const char *variable)
{
    const char *end = strchr(variable, '=');

    return end &&
           (strncmp(variable, "OPAL_MCA_", 9) == 0 || strncmp(variable, "OMPI_MCA_", 9) == 0);
}

int environment_write(const struct place *place, uint64_t id, char name[PLACE_NAME_SIZE],
                      struct crs_error *err)
{
    int r = 0;

    snprintf(name, PLACE_NAME_SIZE, "opal-env-%016llx-%d", (unsigned long long)id, getpid());
    unlinkat(place->fd, name, 0);
    _cleanup_close_ int fd =
        openat(place->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return crs_fail_errno(err, CRS_STORAGE, "can't create %s/%s", place->path, name);
    for (char **v = environ; *v && r == 0; v++)
        if (environment_is_ours(*v))
            r = write_full(fd, *v, strlen(*v) + 1);
    if (r == 0)
        return 0;
    unlinkat(place->fd, name, 0);
    return crs_fail(err, CRS_STORAGE, -r, "can't write %s/%s: %s", place->path, name, strerror(-r));
}

void environment_remove(const struct place *place, const char *name)
{
    unlinkat(place->fd, name, 0);
}

/* ---- the other side ---- */

static void set_all(char *text, size_t size)
{
    for (char *at = text, *end; (end = memchr(at, '\0', size - (size_t)(at - text)));
         at = end + 1) {
        char *value = environment_is_ours(at) ? strchr(at, '=') : NULL;
        if (value) {
            *value = '\0';
            setenv(at, value + 1, 1);
        }
        if (end + 1 >= text + size)
            return;
    }
}

/* Two processes restarted from one snapshot at once take one file each. */
static bool take_one(int directory, const char *name)
{
    _cleanup_close_ int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_bytes_ struct bytes text = {0};
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) ||
        status.st_uid != geteuid() || (status.st_mode & 077))
        return false;
    if (unlinkat(directory, name, 0) < 0)
        return false;
    if (status.st_size == 0 || status.st_size > LIMIT)
        return true;
    text.data = malloc((size_t)status.st_size);
    text.size = (size_t)status.st_size;
    if (text.data && read_full(fd, text.data, text.size) == 0)
        set_all((char *)text.data, text.size);
    return true;
}

void environment_take(const char *path, uint64_t id)
{
    _cleanup_place_ struct place place = PLACE_INIT;
    _cleanup_closedir_ DIR *dir = NULL;
    char prefix[PLACE_NAME_SIZE];
    struct dirent *entry;

    if (!path[0] || place_open_at(path, &place, NULL) < 0)
        return;
    int copy = fcntl(place.fd, F_DUPFD_CLOEXEC, 0);
    dir = copy < 0 ? NULL : fdopendir(copy);
    if (!dir) {
        cleanup_close(&copy);
        return;
    }
    snprintf(prefix, sizeof(prefix), "opal-env-%016llx-", (unsigned long long)id);
    while ((entry = readdir(dir)))
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
            take_one(place.fd, entry->d_name))
            return;
}
