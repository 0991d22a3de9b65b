/*
 * functions.c - the eight functions of each built-in component, called one after the other
 *
 * Each component is selected twice in one process, by the command line of opal_init().
 */
#include <pthread.h>
#include <sys/wait.h>

#include "opal/mca/crs/base/base.h"
#include "opal/runtime/opal.h"
#include "opal/runtime/opal_cr.h"
#include "opal/util/argv.h"
#include "opal/util/opal_environ.h"
#include "openpal_test.h"

static int n_saved, n_continued;

int opal_crs_self_user_checkpoint(char **restart_cmd)
{
    CHECK(!*restart_cmd);
    *restart_cmd = strdup("true");
    n_saved++;
    return 0;
}

int opal_crs_self_user_continue(void)
{
    n_continued++;
    return 0;
}

int opal_crs_self_user_restart(void)
{
    return 0;
}

static const char *value_of(char **env, const char *name)
{
    size_t length = strlen(name);

    for (; env && *env; env++)
        if (strncmp(*env, name, length) == 0 && (*env)[length] == '=')
            return *env + length + 1;
    return NULL;
}

/* What is about to be started is a program, whoever starts it. */
static void prelaunch(void)
{
    char *app = strdup("/bin/true"), *cwd = strdup("/"), **argv = NULL, **env = NULL;

    CHECK(opal_argv_append_nosize(&argv, "true") == OPAL_SUCCESS);
    CHECK(opal_setenv("OPAL_MCA_opal_cr_is_tool", "1", true, &env) == OPAL_SUCCESS);
    CHECK(opal_setenv("OTHER", "x=y", true, &env) == OPAL_SUCCESS);
    CHECK(opal_crs.crs_prelaunch(0, NULL, &app, &cwd, &argv, &env) == OPAL_SUCCESS);
    CHECK(strcmp(value_of(env, "OPAL_MCA_opal_cr_is_tool"), "0") == 0);
    CHECK(strcmp(value_of(env, "OTHER"), "x=y") == 0 && opal_argv_count(env) == 2);
    CHECK(strcmp(app, "/bin/true") == 0 && strcmp(cwd, "/") == 0 && opal_argv_count(argv) == 1);
    free(app);
    free(cwd);
    opal_argv_free(argv);
    opal_argv_free(env);
}

static void *in_section(void *arg)
{
    CHECK(opal_crs.crs_reg_thread() == OPAL_SUCCESS);
    CHECK(opal_crs.crs_disable_checkpoint() == OPAL_SUCCESS);
    CHECK(opal_crs.crs_disable_checkpoint() == OPAL_SUCCESS);
    CHECK(opal_crs.crs_enable_checkpoint() == OPAL_SUCCESS);
    CHECK(opal_crs.crs_enable_checkpoint() == OPAL_SUCCESS);
    CHECK(opal_crs.crs_enable_checkpoint() != OPAL_SUCCESS);
    return NULL;
}

static void checkpoint(const char *name)
{
    opal_crs_base_snapshot_t *snapshot = OBJ_NEW(opal_crs_base_snapshot_t);
    opal_crs_state_type_t state = OPAL_CRS_NONE;
    char **values = NULL;

    snapshot->reference_name = strdup(name);
    CHECK(opal_crs.crs_checkpoint(0, snapshot, NULL, &state) == OPAL_SUCCESS);
    CHECK(state == OPAL_CRS_CONTINUE);
    CHECK(strcmp(snapshot->component_name, name) == 0);
    CHECK(opal_crs_base_metadata_read_token(snapshot->local_location, CRS_METADATA_COMP, &values) ==
          OPAL_SUCCESS);
    CHECK(opal_argv_count(values) == 1 && strcmp(values[0], name) == 0);
    opal_argv_free(values);
    OBJ_RELEASE(snapshot);
}

/* Only that of `none` returns. */
static void restart_nothing(const char *name)
{
    opal_crs_base_snapshot_t *snapshot = OBJ_NEW(opal_crs_base_snapshot_t);
    pid_t child = -1;

    snapshot->reference_name = strdup(name);
    snapshot->local_location = opal_crs_base_get_snapshot_directory(name);
    CHECK(opal_crs.crs_restart(snapshot, false, &child) == OPAL_SUCCESS);
    CHECK(opal_crs.crs_restart(snapshot, true, &child) == OPAL_SUCCESS);
    CHECK(child == -1);
    OBJ_RELEASE(snapshot);
}

/* A level that enters a section on its way down: the checkpoint is refused, and doesn't wait for
 * its own thread. */
static opal_cr_coord_callback_fn_t below;
static int n_errors;

static int enter_on_the_way(int state)
{
    n_errors += state == OPAL_CRS_ERROR;
    int r = state == OPAL_CRS_CHECKPOINT ? opal_cr_enter_critical() : opal_cr_leave_critical();

    return r == OPAL_SUCCESS ? below(state) : r;
}

static void checkpoint_inside(void)
{
    CHECK(opal_cr_reg_coord_callback(enter_on_the_way, &below) == OPAL_SUCCESS);
    CHECK(opal_cr_request_checkpoint(NULL, "x", NULL, NULL, NULL) == OPAL_ERR_RESOURCE_BUSY);
    CHECK(strstr(opal_crs_base_failure(), "critical section") && n_errors == 1);
    n_errors = 0;
    CHECK(opal_cr_reg_coord_callback(below, NULL) == OPAL_SUCCESS);
}

/* Only the thread that called fork() is in the child, and it goes on. */
static void fork_inside(void)
{
    pid_t child;
    int status;

    CHECK(opal_crs.crs_disable_checkpoint() == OPAL_SUCCESS);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(opal_crs.crs_disable_checkpoint() == OPAL_SUCCESS);
        CHECK(opal_crs.crs_enable_checkpoint() == OPAL_SUCCESS);
        _exit(33);
    }
    CHECK(opal_crs.crs_enable_checkpoint() == OPAL_SUCCESS);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 33);
}

static void use(const char *name)
{
    char **argv = NULL;
    int argc = 0;
    pthread_t thread;

    CHECK(opal_argv_append(&argc, &argv, "functions") == OPAL_SUCCESS);
    CHECK(opal_argv_append(&argc, &argv, "-mca") == OPAL_SUCCESS);
    CHECK(opal_argv_append(&argc, &argv, "crs") == OPAL_SUCCESS);
    CHECK(opal_argv_append(&argc, &argv, name) == OPAL_SUCCESS);
    CHECK(opal_init(&argc, &argv) == OPAL_SUCCESS && argc == 1);
    prelaunch();
    in_section(NULL);
    CHECK(pthread_create(&thread, NULL, in_section, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    checkpoint(name);
    fork_inside();
    if (strcmp(name, "none") != 0)
        checkpoint_inside();
    if (strcmp(name, "none") == 0)
        restart_nothing(name);
    CHECK(opal_finalize() == OPAL_SUCCESS);
    CHECK(!opal_crs.crs_checkpoint);
}

int main(void)
{
    for (int i = 1; i <= 2; i++) {
        use("none");
        use("self");
        CHECK(n_saved == i && n_continued == i);
        use("blcr");
    }
    return 0;
}
