/*
 * self_program.c - a program that saves its own state, in several ways that are wrong
 *
 * part: no
 *
 * It shows how it was started, asks for a checkpoint of itself when its state is 41 (unless it was
 * restarted, or the first argument is "wait": then others ask, until the file `end` is there), adds
 * 1 and shows the state. Prefixes:
 *
 *     opal_crs_self_user, good   all is well; good takes its restart command from $COMMAND
 *     half                       has no restart function
 *     nosave, noresume, nostart  one of the functions fails
 *     data                       checkpoint is a variable
 */
#include <limits.h>

#include "opal/mca/crs/base/base.h"
#include "opal/runtime/opal.h"
#include "opal/runtime/opal_cr.h"
#include "openpal_test.h"

extern char **environ;

static int state = 41;

static FILE *open_state(const char *mode)
{
    char path[PATH_MAX];

    CHECK(opal_crs_base_self_snapshot_directory());
    snprintf(path, sizeof(path), "%s/state", opal_crs_base_self_snapshot_directory());
    return fopen(path, mode);
}

static int save(void)
{
    FILE *file = open_state("w");

    CHECK(file && fprintf(file, "%d\n", state) > 0 && fclose(file) == 0);
    return 0;
}

static int load(void)
{
    FILE *file = open_state("r");

    CHECK(file && fscanf(file, "%d", &state) == 1 && fclose(file) == 0);
    return 0;
}

/* The snapshot is complete, and has its name. */
static int resume(void)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", opal_crs_base_self_snapshot_directory(),
             CRS_METADATA_FILENAME);
    CHECK(access(path, R_OK) == 0);
    printf("continue\n");
    return 0;
}

int opal_crs_self_user_checkpoint(void)
{
    return save();
}

int opal_crs_self_user_continue(void)
{
    return resume();
}

int opal_crs_self_user_restart(void)
{
    printf("default restart\n");
    return load();
}

int good_checkpoint(char **restart_cmd)
{
    if (getenv("COMMAND"))
        *restart_cmd = strdup(getenv("COMMAND"));
    return save();
}

int good_restart(void)
{
    printf("good restart\n");
    return load();
}

int half_checkpoint(char **restart_cmd)
{
    return save();
}

int nosave_checkpoint(char **restart_cmd)
{
    return 7;
}

int nosave_continue(void)
{
    printf("continue after nothing\n");
    return 0;
}

int nosave_restart(void)
{
    return 0;
}

int noresume_checkpoint(char **restart_cmd)
{
    return save();
}

int noresume_continue(void)
{
    return -8;
}

int noresume_restart(void)
{
    return load();
}

int nostart_checkpoint(char **restart_cmd)
{
    return save();
}

int nostart_restart(void)
{
    return 9;
}

int data_checkpoint = 1;

static void show(int argc, char **argv)
{
    char cwd[PATH_MAX];

    for (int i = 1; i < argc; i++)
        printf("<%s>", argv[i]);
    printf(" in %s, restarts: %d\n", strrchr(getcwd(cwd, sizeof(cwd)), '/') + 1,
           opal_cr_restart_count());
    CHECK(opal_cr_is_restarted() == (opal_cr_restart_count() > 0));
    for (char **variable = environ; *variable; variable++)
        CHECK(!strstr(*variable, "do_restart") && !strstr(*variable, "is_tool"));
}

static void save_myself(void)
{
    opal_crs_state_type_t reached = OPAL_CRS_NONE;
    char *handle = NULL;
    int r = opal_cr_request_checkpoint(NULL, getenv("NAME") ? getenv("NAME") : "s", NULL, &handle,
                                       &reached);

    printf("checkpoint: %s, state %d, handle %s\n", opal_strerror(r), (int)reached,
           handle ? strrchr(handle, '/') + 1 : "none");
    CHECK(r != OPAL_SUCCESS || reached == OPAL_CRS_CONTINUE);
    CHECK(!opal_crs_base_self_snapshot_directory());
    free(handle);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    int r = opal_init(&argc, &argv);
    if (r != OPAL_SUCCESS) {
        printf("opal_init: %s\n", opal_strerror(r));
        return 3;
    }
    show(argc, argv);
    if (argc > 1 && strcmp(argv[1], "wait") == 0)
        while (access("end", F_OK) < 0)
            usleep(10000);
    else if (opal_cr_restart_count() < 1 || (argc > 1 && strcmp(argv[1], "again") == 0))
        save_myself();
    printf("%d\n", state + 1);
    return opal_finalize() == OPAL_SUCCESS ? 0 : 4;
}
