/*
 * cleanup.c - files and directories that go once a restarted process runs
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "openpal/crs/base_internal.h"
#include "openpal/crs/directory.h"

struct leftover {
    char *path;
    bool is_dir;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ARRAY_OF(struct leftover) leftovers;

static int append_locked(char *path, bool is_dir)
{
    struct leftover *leftover = ARRAY_ADD(&leftovers);

    if (!leftover)
        return OPAL_ERR_OUT_OF_RESOURCE;
    *leftover = (struct leftover){path, is_dir};
    return OPAL_SUCCESS;
}

int opal_crs_base_cleanup_append(const char *filename, bool is_dir)
{
    char *path;
    int r;

    if (!filename || *filename != '/')
        return OPAL_ERR_BAD_PARAM;
    path = strdup(filename);
    if (!path)
        return OPAL_ERR_OUT_OF_RESOURCE;
    pthread_mutex_lock(&lock);
    r = append_locked(path, is_dir);
    pthread_mutex_unlock(&lock);
    if (r != OPAL_SUCCESS)
        free(path);
    return r;
}

/* What isn't there any more is gone already. */
static int remove_leftover(const struct leftover *leftover)
{
    int r = leftover->is_dir ? directory_remove(leftover->path) : unlink(leftover->path);

    return r == 0 || errno == ENOENT ? OPAL_SUCCESS : OPAL_ERR_IN_ERRNO;
}

/* Files first: they may lie in the directories. */
int opal_crs_base_cleanup_flush(void)
{
    int result = OPAL_SUCCESS;

    pthread_mutex_lock(&lock);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < leftovers.n; i++) {
            struct leftover *leftover = &leftovers.items[i];

            if (leftover->is_dir == (pass == 1) && remove_leftover(leftover) != OPAL_SUCCESS)
                result = OPAL_ERR_IN_ERRNO;
        }
    }
    for (size_t i = 0; i < leftovers.n; i++)
        free(leftovers.items[i].path);
    free(leftovers.items);
    memset(&leftovers, 0, sizeof(leftovers));
    pthread_mutex_unlock(&lock);
    return result;
}
