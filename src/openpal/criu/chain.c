/*
 * chain.c - images of the calling process that rest on earlier ones
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "openpal/criu/chain.h"
#include "openpal/criu/settings.h"

/* The last image that the next one can rest on. */
static struct {
    pid_t pid;   /* whose; a child of fork() begins anew */
    char *place; /* its directory; NULL: there is none */
    int length;  /* how many increments up to it */
} last;

void chain_end(void)
{
    free(last.place);
    memset(&last, 0, sizeof(last));
}

/* "../NAME" where both are in the same folder, and the earlier image is still there. */
static char *parent_of(const char *place)
{
    char *path = NULL;
    const char *mine = strrchr(place, '/'), *its = last.place ? strrchr(last.place, '/') : NULL;
    if (!its || last.pid != getpid() || last.length >= criu_settings.increments)
        return NULL;
    if (mine - place != its - last.place || strncmp(place, last.place, (size_t)(its - last.place)))
        return NULL;
    if (strcmp(place, last.place) == 0 || !image_exists(last.place))
        return NULL;
    return asprintf(&path, "..%s", its) < 0 ? NULL : path;
}

static int check_kernel(const struct image_dump *dump, struct crs_error *err)
{
    bool tracks;
    int r = image_can_track(dump->program, &tracks, err);
    if (r < 0 || tracks)
        return r;
    return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                    "this kernel doesn't tell CRIU which memory has changed "
                    "(CONFIG_MEM_SOFT_DIRTY): set crs_criu_pre_dump and crs_criu_increments to 0");
}

/* One round, into the folder "pre-N". `parent` is seen from the snapshot's directory, or NULL. */
static int pre_dump(const struct image_dump *dump, int round, const char *parent,
                    struct crs_error *err)
{
    _cleanup_free_ char *directory = NULL, *its_parent = NULL;
    if (asprintf(&directory, "%s/pre-%d", dump->directory, round) < 0 ||
        (parent && asprintf(&its_parent, "../%s", parent) < 0))
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory");
    if (mkdir(directory, 0700) < 0)
        return crs_fail_errno(err, CRS_STORAGE, "can't make %s", directory);
    struct image_dump part = {.program = dump->program,
                              .directory = directory,
                              .settings = dump->settings,
                              .track = true,
                              .parent = its_parent};
    return image_pre_dump(&part, err);
}

/* All rounds; *parent becomes what the image itself rests on. */
static int pre_dumps(const struct image_dump *dump, char **parent, struct crs_error *err)
{
    for (int round = 0; round < criu_settings.pre_dump; round++) {
        int r = pre_dump(dump, round, *parent, err);
        if (r < 0)
            return r;
        free(*parent);
        if (asprintf(parent, "pre-%d", round) < 0)
            return *parent = NULL, crs_fail(err, CRS_FAILED, ENOMEM, "no memory");
    }
    return 0;
}

static void remember(const char *place, bool is_increment)
{
    int length = is_increment ? last.length + 1 : 0;
    chain_end();
    last.pid = getpid();
    last.place = strdup(place);
    last.length = length;
}

int chain_save(struct image_dump *dump, const char *place, bool *ret_restored,
               struct crs_error *err)
{
    dump->track = criu_settings.pre_dump || criu_settings.increments;
    if (!dump->track)
        return image_dump(dump, ret_restored, err);
    int r = check_kernel(dump, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *parent = parent_of(place);
    bool is_increment = parent != NULL;
    r = pre_dumps(dump, &parent, err);
    if (r < 0)
        return r;
    dump->parent = parent;
    r = image_dump(dump, ret_restored, err);
    /* After a failure, and in another life, what changed is no longer known. */
    if (r == 0 && !*ret_restored && criu_settings.increments)
        remember(place, is_increment);
    else
        chain_end();
    return r;
}
