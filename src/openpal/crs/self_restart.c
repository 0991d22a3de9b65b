/*
 * self_restart.c - starting a program again that `self` saved
 *
 * The new instance begins with main(). What tells its component to call the restart function comes
 * by the environment, and is taken out of it there, so that programs which it starts aren't told.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "opal/util/argv.h"
#include "opal/util/opal_environ.h"
#include "openpal/crs/self.h"

static int set_number(const char *name, int number, char ***env)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", number);
    return opal_setenv(name, text, true, env);
}

/* NULL: no memory. */
static char **environment_for(const struct opal_crs_self_snapshot *s, const char *location)
{
    char **env = opal_argv_copy(environ);
    int r = opal_setenv("OPAL_MCA_crs", "self", true, &env);

    if (r == OPAL_SUCCESS)
        r = set_number("OPAL_MCA_crs_self_do_restart", s->n_restarts + 1, &env);
    if (r == OPAL_SUCCESS)
        r = opal_setenv("OPAL_MCA_crs_self_snapshot_dir", location, true, &env);
    if (r == OPAL_SUCCESS && s->prefix)
        r = opal_setenv("OPAL_MCA_crs_self_prefix", s->prefix, true, &env);
    if (r == OPAL_SUCCESS) /* the restarting tool is one, the program isn't */
        r = opal_setenv("OPAL_MCA_opal_cr_is_tool", "0", true, &env);
    if (r == OPAL_SUCCESS)
        return env;
    opal_argv_free(env);
    return NULL;
}

static int fail_to_start(const struct opal_crs_self_snapshot *s, int errnum)
{
    return opal_crs_base_fail(OPAL_ERR_NOT_FOUND,
                              "can't start %s, which the snapshot's restart command names: %s",
                              s->exe ? s->exe : s->argv[0], strerror(errnum));
}

static int spawn(const struct opal_crs_self_snapshot *s, char **env, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    int r = posix_spawn_file_actions_init(&actions);

    if (r != 0)
        return fail_to_start(s, r);
    if (s->cwd)
        r = posix_spawn_file_actions_addchdir_np(&actions, s->cwd);
    if (r == 0)
        r = s->exe ? posix_spawn(ret, s->exe, &actions, NULL, s->argv, env)
                   : posix_spawnp(ret, s->argv[0], &actions, NULL, s->argv, env);
    posix_spawn_file_actions_destroy(&actions);
    return r == 0 ? OPAL_SUCCESS : fail_to_start(s, r);
}

static int become(const struct opal_crs_self_snapshot *s, char **env)
{
    if (s->cwd && chdir(s->cwd) < 0)
        return fail_to_start(s, errno);
    if (s->exe)
        execve(s->exe, s->argv, env);
    else
        execvpe(s->argv[0], s->argv, env);
    return fail_to_start(s, errno);
}

/* Else the reason of a failure would be that of the program's file. */
static int check_directory(const struct opal_crs_self_snapshot *s)
{
    if (!s->cwd || access(s->cwd, X_OK) == 0)
        return OPAL_SUCCESS;
    return opal_crs_base_fail(OPAL_ERR_NOT_FOUND,
                              "the program ran in the directory %s, which can't be entered: %m; "
                              "make it, or change '%s' in %s",
                              s->cwd, SELF_METADATA_CWD, CRS_METADATA_FILENAME);
}

int opal_crs_self_restart(opal_crs_base_snapshot_t *snapshot, bool spawn_child, pid_t *child_pid)
{
    struct opal_crs_self_snapshot s = {0};
    int r = opal_crs_self_read(snapshot->local_location, &s);
    char **env;

    if (r != OPAL_SUCCESS)
        return r;
    r = check_directory(&s);
    env = r == OPAL_SUCCESS ? environment_for(&s, snapshot->local_location) : NULL;
    if (r == OPAL_SUCCESS && !env)
        r = OPAL_ERR_OUT_OF_RESOURCE;
    if (r == OPAL_SUCCESS)
        r = spawn_child ? spawn(&s, env, child_pid) : become(&s, env);
    opal_argv_free(env);
    opal_crs_self_snapshot_clear(&s);
    return r;
}
