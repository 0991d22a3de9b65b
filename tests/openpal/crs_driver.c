/*
 * crs_driver.c - the functions of a component, called by a process that is a tool
 *
 * part: no
 *
 *     crs_driver restart DIRECTORY                     in this process's place
 *     crs_driver spawn DIRECTORY                       as a child; ends as it ends
 *     crs_driver save PID DIRECTORY [term | stop]      saves another process
 *
 * What fails is shown in words, with exit code 50.
 */
#include <sys/wait.h>

#include "opal/mca/crs/base/base.h"
#include "openpal_test.h"

static int fail(int r)
{
    fprintf(stderr, "%s: %s\n", opal_strerror(r), opal_crs_base_failure());
    return 50;
}

static void select_component(const char *name)
{
    setenv("OPAL_MCA_opal_cr_is_tool", "1", 1);
    if (name)
        setenv("OPAL_MCA_crs", name, 1);
    CHECK(opal_crs_base_open() == OPAL_SUCCESS);
    CHECK(opal_crs_base_select() == OPAL_SUCCESS);
}

static int end_as(pid_t child)
{
    int status;

    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int restart(const char *directory, bool as_child)
{
    opal_crs_base_snapshot_t *snapshot = OBJ_NEW(opal_crs_base_snapshot_t);
    char *name = NULL;
    pid_t child = -1;
    int pid, r = opal_crs_base_extract_expected_component(directory, &name, &pid);

    CHECK(r == OPAL_SUCCESS);
    select_component(name);
    snapshot->local_location = realpath(directory, NULL);
    snapshot->cold_start = true;
    r = opal_crs.crs_restart(snapshot, as_child, &child);
    return r == OPAL_SUCCESS ? end_as(child) : fail(r);
}

static int save(pid_t pid, const char *directory, const char *option)
{
    opal_crs_base_snapshot_t *snapshot = OBJ_NEW(opal_crs_base_snapshot_t);
    opal_crs_base_ckpt_options_t *options = OBJ_NEW(opal_crs_base_ckpt_options_t);
    opal_crs_state_type_t state = OPAL_CRS_NONE;

    select_component(NULL);
    options->term = strcmp(option, "term") == 0;
    options->stop = strcmp(option, "stop") == 0;
    snapshot->local_location = strdup(directory);
    snapshot->reference_name = strdup(strrchr(directory, '/') + 1);
    int r = opal_crs.crs_checkpoint(pid, snapshot, options, &state);
    CHECK((r == OPAL_SUCCESS) == (state == OPAL_CRS_CONTINUE));
    CHECK((r == OPAL_SUCCESS) != (state == OPAL_CRS_ERROR));
    if (r != OPAL_SUCCESS)
        return fail(r);
    printf("saved to %s\n", snapshot->local_location);
    OBJ_RELEASE(snapshot);
    OBJ_RELEASE(options);
    CHECK(opal_crs_base_close() == OPAL_SUCCESS);
    return 0;
}

int main(int argc, char **argv)
{
    CHECK(argc >= 3);
    if (strcmp(argv[1], "save") == 0)
        return save(atoi(argv[2]), argv[3], argc > 4 ? argv[4] : "");
    return restart(argv[2], strcmp(argv[1], "spawn") == 0);
}
