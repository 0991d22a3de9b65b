/*
 * blcr_restart.c - bringing back what `blcr` saved
 *
 * As a child of the caller's by libcr; in the caller's place by cr_restart, which is the parent of
 * the restarted process, passes signals on to it and ends as it ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "libcr.h"
#include "opal/util/argv.h"
#include "openpal/crs/blcr.h"

/* ---- the context file ---- */

/* A name in the snapshot's directory, whatever the metadata say. */
static int check_name(const char *location, const char *name)
{
    if (strcmp(name, BLCR_NOTHING) == 0)
        return opal_crs_base_fail(OPAL_ERR_NOT_FOUND,
                                  "%s keeps nothing to restart from: it was made with the "
                                  "parameter crs_blcr_dev_null",
                                  location);
    if (strchr(name, '/') || strncmp(name, BLCR_CONTEXT_PREFIX, strlen(BLCR_CONTEXT_PREFIX)) != 0)
        return opal_crs_base_fail(OPAL_ERR_BAD_PARAM,
                                  "%s/%s is damaged: '%s' is no context file of the component blcr",
                                  location, CRS_METADATA_FILENAME, name);
    return OPAL_SUCCESS;
}

static int find_context(const char *location, char **ret_path)
{
    char **names = NULL;
    int r = opal_crs_base_metadata_read_token(location, CRS_METADATA_CONTEXT, &names);

    if (r != OPAL_SUCCESS)
        return opal_crs_base_fail(r, "%s/%s doesn't name a context file", location,
                                  CRS_METADATA_FILENAME);
    const char *name = names[opal_argv_count(names) - 1];
    r = check_name(location, name);
    if (r == OPAL_SUCCESS && asprintf(ret_path, "%s/%s", location, name) < 0)
        r = OPAL_ERR_OUT_OF_RESOURCE;
    opal_argv_free(names);
    return r;
}

static int fail(const char *path, int errnum, const char *messages)
{
    _cleanup_free_ char *words = opal_crs_blcr_words(messages);

    return opal_crs_base_fail(opal_crs_blcr_code(errnum), "can't restart from %s: %s%s%s", path,
                              cr_strerror(errnum), words ? ": " : "", words ? words : "");
}

/* ---- as a child ---- */

/* 0 or an errno value. */
static int request(const char *path, cr_restart_handle_t *ret)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    cr_restart_args_t args;

    cr_initialize_restart_args_t(&args);
    args.cr_fd = fd;
    args.cr_flags |= CR_RSTRT_ASYNC_ERR;
    return fd < 0 || cr_request_restart(&args, ret) < 0 ? errno : 0;
}

static int restart_as_child(const char *path, pid_t *ret)
{
    _cleanup_free_ char *messages = NULL;
    cr_restart_handle_t handle;
    int r = request(path, &handle);

    if (r != 0)
        return fail(path, r, NULL);
    do
        r = cr_poll_restart_msg(&handle, NULL, &messages);
    while (r == CR_POLL_RSTRT_ERR_PRE && errno == EINTR);
    if (r < 0)
        return fail(path, errno, messages);
    *ret = r;
    return OPAL_SUCCESS;
}

/* ---- in the caller's place ---- */

/* Beside the calling program, which may have been moved with it; false: there is none. */
static bool find_beside(char path[PATH_MAX])
{
    static const char name[] = "cr_restart";
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - sizeof(name));
    char *slash;

    if (n <= 0)
        return false;
    path[n] = '\0';
    slash = strrchr(path, '/');
    if (!slash)
        return false;
    strcpy(slash + 1, name);
    return access(path, X_OK) == 0;
}

static int become(const char *context)
{
    char path[PATH_MAX];
    char *argv[] = {(char *)"cr_restart", (char *)"--file", (char *)context, NULL};

    if (find_beside(path))
        execv(path, argv);
    execv(CRS_BINDIR "/cr_restart", argv);
    execvp(argv[0], argv);
    return opal_crs_base_fail(OPAL_ERR_NOT_AVAILABLE,
                              "can't start cr_restart (in %s, or in PATH): %m; install OpenCRS "
                              "whole, or restart as a child (--fork)",
                              CRS_BINDIR);
}

int opal_crs_blcr_restart(opal_crs_base_snapshot_t *snapshot, bool spawn_child, pid_t *child_pid)
{
    _cleanup_free_ char *path = NULL;
    int r = find_context(snapshot->local_location, &path);

    if (r != OPAL_SUCCESS)
        return r;
    if (access(path, R_OK) < 0)
        return fail(path, errno, NULL);
    return spawn_child ? restart_as_child(path, child_pid) : become(path);
}
