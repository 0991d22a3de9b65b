/*
 * probe.c - opens the framework by hand, and tells what came of it
 *
 *     probe [-mca NAME VALUE]... [COMMAND [ARGUMENT...]]
 *
 * Prints the selected component; then, by COMMAND: `checkpoint [NAME [WHERE]]`: the state and the
 * snapshot's place; `prelaunch`: what that changes; `twice`: all of it two times; `param NAME`: its
 * value.
 * part: no
 */
#include "opal/mca/crs/base/base.h"
#include "opal/util/argv.h"
#include "openpal_test.h"

extern int mca_base_open(int *argc, char ***argv);
extern int mca_base_check(void);
extern void mca_base_close(void);
extern opal_crs_base_component_t *opal_crs_base_selected_component;

static int fail(const char *what, int r)
{
    printf("%s: %s%s%s\n", what, opal_strerror(r), *opal_crs_base_failure() ? ": " : "",
           opal_crs_base_failure());
    return 1;
}

static int checkpoint(const char *name, const char *where)
{
    opal_crs_base_snapshot_t *snapshot = OBJ_NEW(opal_crs_base_snapshot_t);
    opal_crs_state_type_t state = OPAL_CRS_NONE;
    char *words;
    int r;

    snapshot->reference_name = name ? strdup(name) : NULL;
    if (where && asprintf(&snapshot->local_location, "%s/%s", where, name) < 0)
        return 1;
    r = opal_crs.crs_checkpoint(0, snapshot, NULL, &state);
    words = opal_crs_base_state_str(state);
    printf("state: %s\n", words);
    if (r == OPAL_SUCCESS)
        printf("snapshot: %s\n", snapshot->local_location);
    free(words);
    OBJ_RELEASE(snapshot);
    return r == OPAL_SUCCESS ? 0 : fail("checkpoint", r);
}

static int param(const char *name)
{
    int index = mca_base_param_find(NULL, NULL, name), number;
    char *text = NULL;

    if (mca_base_param_lookup_string(index, &text) == OPAL_SUCCESS)
        printf("%s = %s\n", name, text ? text : "(nothing)");
    else if (mca_base_param_lookup_int(index, &number) == OPAL_SUCCESS)
        printf("%s = %d\n", name, number);
    else
        return fail(name, index);
    free(text);
    return 0;
}

/* What a launcher does before it starts a program. */
static int prelaunch(void)
{
    char *app = strdup("/bin/app"), *cwd = strdup("/"), **argv = opal_argv_split("app word", ' ');
    char **env = opal_argv_split("A=1", ' '), *base = strdup("/base"), *words;
    int r = opal_crs.crs_prelaunch(3, base, &app, &cwd, &argv, &env);

    words = opal_argv_join(argv, ' ');
    printf("prelaunch: %s in %s: %s\n", app, cwd, words);
    free(words);
    words = opal_argv_join(env, ' ');
    printf("environment: %s\n", words);
    free(words);
    opal_argv_free(argv);
    opal_argv_free(env);
    free(app);
    free(cwd);
    free(base);
    return r == OPAL_SUCCESS ? 0 : fail("prelaunch", r);
}

static int run(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";

    printf("selected: %s\n", opal_crs_base_selected_component->base_version.mca_component_name);
    if (strcmp(command, "checkpoint") == 0)
        return checkpoint(argc > 2 ? argv[2] : NULL, argc > 3 ? argv[3] : NULL);
    if (strcmp(command, "prelaunch") == 0)
        return prelaunch();
    if (strcmp(command, "param") == 0 && argc > 2)
        return param(argv[2]);
    return 0;
}

static int all(int argc, char **argv)
{
    char **own = opal_argv_copy(argv), **words = own;
    int r = mca_base_open(&argc, &words), code = 1;

    if (r != OPAL_SUCCESS)
        return fail("open", r);
    r = opal_crs_base_open();
    if (r != OPAL_SUCCESS) {
        mca_base_check();
        mca_base_close();
        return fail("crs open", r);
    }
    r = mca_base_check();
    if (r != OPAL_SUCCESS)
        fail("check", r);
    else if ((r = opal_crs_base_select()) == OPAL_SUCCESS)
        code = run(argc, words);
    else
        fail("select", r), mca_base_check();
    CHECK(opal_crs_base_close() == OPAL_SUCCESS);
    CHECK(opal_crs.crs_checkpoint == NULL && opal_crs_base_selected_component == NULL);
    mca_base_close();
    opal_argv_free(own);
    return code;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[argc - 1], "twice") == 0 && all(argc, argv) != 0)
        return 1;
    return all(argc, argv);
}
