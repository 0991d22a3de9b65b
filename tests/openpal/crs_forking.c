/*
 * crs_forking.c - a component whose images are forked processes
 *
 * A checkpoint forks: the child is the image, and sleeps until a restart writes to the FIFO in the
 * snapshot's directory. Then it wakes up in the checkpoint call with OPAL_CRS_RESTART. So all that
 * the runtime does around a restart is seen without any engine. FORKING_FAIL (a code) makes the
 * checkpoint fail, FORKING_HOLD (a path) makes it wait until there is a file, FORKING_LOSE makes
 * the restarted process lose all its sockets.
 *
 * part: no
 * link: -shared -fPIC
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opal/mca/crs/base/base.h"
#include "opal/util/argv.h"

static int query(mca_base_module_t **module, int *priority);

opal_crs_base_component_t mca_crs_forking_component = {
    .base_version = {OPAL_CRS_BASE_VERSION_2_0_0, "forking", 1, 0, 0, NULL, NULL, query, NULL},
    .base_data = {MCA_BASE_METADATA_PARAM_CHECKPOINT},
    .priority = 90,
};

static int succeed(void)
{
    return OPAL_SUCCESS;
}

static void hold(void)
{
    const char *path = getenv("FORKING_HOLD");

    while (path && *path && access(path, F_OK) < 0)
        usleep(1000);
}

/* For the test, which ends all of them. */
static void note(const char *image)
{
    FILE *file = fopen("images", "ae");

    if (file && fprintf(file, "%s\n", image) > 0)
        fclose(file);
}

static void lose_sockets(void)
{
    struct stat status;

    for (int fd = 3; fd < 1024; fd++)
        if (fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode))
            close(fd);
}

static int sleep_until_restarted(int fd, opal_crs_state_type_t *state)
{
    char letter;

    while (read(fd, &letter, 1) != 1)
        ;
    close(fd);
    if (getenv("FORKING_LOSE"))
        lose_sockets();
    *state = OPAL_CRS_RESTART;
    return OPAL_SUCCESS;
}

static int checkpoint(pid_t pid, opal_crs_base_snapshot_t *snapshot,
                      opal_crs_base_ckpt_options_t *options, opal_crs_state_type_t *state)
{
    const char *location = snapshot->local_location, *code = getenv("FORKING_FAIL");
    char path[4096], number[16];

    if (code && *code)
        return opal_crs_base_fail(atoi(code), "the forking component was told to fail");
    hold();
    snprintf(path, sizeof(path), "%s/wake", location);
    if (mkfifo(path, 0600) < 0)
        return OPAL_ERR_IN_ERRNO;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    pid_t image = fork();
    if (image == 0)
        return sleep_until_restarted(fd, state);
    close(fd);
    if (image < 0)
        return OPAL_ERR_IN_ERRNO;
    snprintf(number, sizeof(number), "%d", image);
    note(number);
    *state = OPAL_CRS_CONTINUE;
    return opal_crs_base_metadata_write_token(location, CRS_METADATA_CONTEXT, number);
}

static int restart(opal_crs_base_snapshot_t *snapshot, bool spawn_child, pid_t *child_pid)
{
    char path[4096], **values = NULL;
    int r =
        opal_crs_base_metadata_read_token(snapshot->local_location, CRS_METADATA_CONTEXT, &values);

    if (r != OPAL_SUCCESS)
        return r;
    pid_t image = atoi(values[0]);
    opal_argv_free(values);
    snprintf(path, sizeof(path), "%s/wake", snapshot->local_location);
    int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || write(fd, "x", 1) != 1)
        return opal_crs_base_fail(OPAL_ERR_NOT_FOUND, "the image is gone");
    close(fd);
    *child_pid = image;
    if (spawn_child)
        return OPAL_SUCCESS;
    while (kill(image, 0) == 0) /* as if it were in our place */
        usleep(1000);
    _exit(0);
}

static int prelaunch(int32_t rank, char *base, char **app, char **cwd, char ***argv, char ***env)
{
    return OPAL_SUCCESS;
}

static opal_crs_base_module_t module = {
    succeed, succeed, checkpoint, restart, succeed, succeed, prelaunch, succeed,
};

static int query(mca_base_module_t **ret, int *priority)
{
    *ret = (mca_base_module_t *)&module;
    *priority = mca_crs_forking_component.priority;
    return OPAL_SUCCESS;
}
