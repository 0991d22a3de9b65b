/*
 * opal_component.c - a component of one's own for Open PAL's service: `rerun`
 *
 * For programs that need no saved state: what is saved is how the program was started, and a
 * restart starts it again, in the same directory. Built apart from OpenCRS, with what is installed,
 * and put into a folder that nobody else can write to:
 *
 *     gcc -shared -fPIC -o DIR/mca_crs_rerun.so opal_component.c \
 *         $(pkg-config --cflags --libs opal-crs)
 *     export OPAL_MCA_mca_component_path=DIR
 *     crs info --components
 *     ./program -mca crs rerun
 */
#include <opal/constants.h>
#include <opal/mca/crs/base/base.h>
#include <opal/util/output.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static int register_parameters(void);
static int query(mca_base_module_t **module, int *priority);

OPAL_MODULE_DECLSPEC opal_crs_base_component_t mca_crs_rerun_component = {
    .base_version =
        {
            OPAL_CRS_BASE_VERSION_2_0_0,
            .mca_component_name = "rerun",
            .mca_component_major_version = 1,
            .mca_query_component = query,
            .mca_register_component_params = register_parameters,
        },
    .base_data = {MCA_BASE_METADATA_PARAM_CHECKPOINT},
    .priority = 1, /* before `none`, after all others */
};

static int register_parameters(void)
{
    const mca_base_component_t *me = &mca_crs_rerun_component.base_version;

    mca_base_param_reg_int(me, "verbose", "Level of its log", false, false, 0,
                           &mca_crs_rerun_component.verbose);
    return mca_base_param_reg_int(me, "priority", "Priority in the selection", false, false, 1,
                                  &mca_crs_rerun_component.priority) < 0
               ? OPAL_ERROR
               : OPAL_SUCCESS;
}

/* ---- saved ---- */

static int copy(FILE *from, FILE *to)
{
    for (int c; (c = getc(from)) != EOF;)
        if (putc(c, to) == EOF)
            return -1;
    return ferror(from) ? -1 : 0;
}

/* The words of the command line, as the kernel shows them: each ends with a 0. */
static int save_words(const char *directory)
{
    char path[4096];
    FILE *from = fopen("/proc/self/cmdline", "r"), *to;
    int r;

    snprintf(path, sizeof(path), "%s/words", directory);
    to = fopen(path, "w");
    r = from && to ? copy(from, to) : -1;
    if (from)
        fclose(from);
    if (to && fclose(to) != 0)
        r = -1;
    return r == 0 ? OPAL_SUCCESS : opal_crs_base_fail(OPAL_ERROR, "%s can't be written: %m", path);
}

/* The base has made the directory, and makes a snapshot of it when this succeeds. */
static int checkpoint(pid_t pid, opal_crs_base_snapshot_t *snapshot,
                      opal_crs_base_ckpt_options_t *options, opal_crs_state_type_t *state)
{
    char *here = getcwd(NULL, 0);
    int r;

    *state = OPAL_CRS_ERROR;
    if (pid != 0 && pid != getpid())
        r = opal_crs_base_fail(OPAL_ERR_NOT_SUPPORTED, "rerun saves only the process itself");
    else if (!here)
        r = opal_crs_base_fail(OPAL_ERROR, "the current directory is gone");
    else
        r = save_words(snapshot->local_location);
    if (r == OPAL_SUCCESS)
        r = opal_crs_base_metadata_write_token(snapshot->local_location, CRS_METADATA_CONTEXT,
                                               here);
    free(here);
    if (r == OPAL_SUCCESS)
        *state = OPAL_CRS_CONTINUE;
    return r;
}

/* ---- restarted ---- */

/* Ends with NULL; NULL: can't be read. All of it is one block, after the array. */
static char **read_words(const char *directory)
{
    enum { MAX_SIZE = 1 << 20, MAX_WORDS = 10000 };
    char path[4096], **words = calloc(1, MAX_WORDS * sizeof(char *) + MAX_SIZE + 1);
    char *text = (char *)(words + MAX_WORDS);
    FILE *file;
    size_t size = 0, n = 0;

    snprintf(path, sizeof(path), "%s/words", directory);
    file = fopen(path, "r");
    if (words && file)
        size = fread(text, 1, MAX_SIZE, file);
    if (file)
        fclose(file);
    for (char *at = text; at < text + size && n < MAX_WORDS - 1; at += strlen(at) + 1)
        words[n++] = at;
    if (n > 0)
        return words;
    free(words);
    return NULL;
}

static int start(char **words, bool spawn_child, pid_t *child_pid)
{
    if (!spawn_child)
        execvp(words[0], words);
    else if (posix_spawnp(child_pid, words[0], NULL, NULL, words, environ) == 0)
        return OPAL_SUCCESS;
    return opal_crs_base_fail(OPAL_ERROR, "%s can't be started: %m", words[0]);
}

static int restart(opal_crs_base_snapshot_t *snapshot, bool spawn_child, pid_t *child_pid)
{
    char **words = read_words(snapshot->local_location), **place = NULL;
    int r =
        opal_crs_base_metadata_read_token(snapshot->local_location, CRS_METADATA_CONTEXT, &place);

    if (!words || r != OPAL_SUCCESS)
        r = opal_crs_base_fail(OPAL_ERROR, "%s isn't complete", snapshot->local_location);
    else if (chdir(place[0]) != 0)
        r = opal_crs_base_fail(OPAL_ERROR, "can't go to %s: %m", place[0]);
    else
        r = start(words, spawn_child, child_pid);
    free(words);
    return r;
}

/* ---- selected ---- */

/* Functions that are missing do nothing. */
static opal_crs_base_module_t module_of_rerun = {
    .crs_checkpoint = checkpoint,
    .crs_restart = restart,
};

static int query(mca_base_module_t **module, int *priority)
{
    if (access("/proc/self/cmdline", R_OK) != 0)
        return mca_base_component_unavailable(&mca_crs_rerun_component.base_version,
                                              "/proc isn't mounted");
    *module = (mca_base_module_t *)&module_of_rerun;
    *priority = mca_crs_rerun_component.priority;
    return OPAL_SUCCESS;
}
