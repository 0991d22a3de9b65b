/*
 * param_source.c - what is set where: files, environment, command line
 */
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "openpal/mca/base_internal.h"
#include "openpal/mca/param.h"

#define OWN_PREFIX  "OPAL_MCA_"
#define OMPI_PREFIX "OMPI_MCA_"

static ARRAY_OF(struct mca_setting) settings;

/* Settings stay in the order of their strength; of two of the same source the later one counts. */
int mca_setting_add(enum mca_source source, const char *name, const char *value, const char *place)
{
    struct mca_setting new = {source, strdup(name), strdup(value), strdup(place)};
    struct mca_setting *last = ARRAY_ADD(&settings);
    size_t at;

    if (!last || !new.name || !new.value || !new.place) {
        settings.n -= last != NULL;
        free(new.name);
        free(new.value);
        free(new.place);
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    for (at = settings.n - 1; at > 0 && settings.items[at - 1].source > source; at--)
        settings.items[at] = settings.items[at - 1];
    settings.items[at] = new;
    return OPAL_SUCCESS;
}

/* ---- files and environment ---- */

static int add_variable(enum mca_source source, const char *prefix, const char *line)
{
    const char *equals = strchr(line, '=');
    _cleanup_free_ char *name = NULL, *place = NULL;

    name = strndup(line + strlen(prefix), (size_t)(equals - line) - strlen(prefix));
    place = format_string("environment (%.*s)", (int)(equals - line), line);
    if (!name || !place)
        return OPAL_ERR_OUT_OF_RESOURCE;
    return mca_setting_add(source, name, equals + 1, place);
}

static bool is_variable(const char *line, const char *prefix)
{
    size_t length = strlen(prefix);

    return strncmp(line, prefix, length) == 0 && line[length] != '=' && strchr(line, '=');
}

static int from_environment(void)
{
    int r = OPAL_SUCCESS;

    for (char **e = environ; e && *e && r == OPAL_SUCCESS; e++) {
        if (is_variable(*e, OWN_PREFIX))
            r = add_variable(MCA_SOURCE_ENVIRONMENT, OWN_PREFIX, *e);
        else if (is_variable(*e, OMPI_PREFIX))
            r = add_variable(MCA_SOURCE_ENVIRONMENT_OMPI, OMPI_PREFIX, *e);
    }
    return r;
}

static int from_user_file(void)
{
    const char *home = getenv("HOME");
    _cleanup_free_ char *path = NULL;

    if (!home || !*home)
        return OPAL_SUCCESS;
    path = format_string("%s/.openpal/mca-params.conf", home);
    return path ? mca_file_read(path, MCA_SOURCE_USER_FILE) : OPAL_ERR_OUT_OF_RESOURCE;
}

/* Parameters name files and folders of code: a program with more rights than its caller doesn't
 * take them from the caller. */
int mca_settings_gather(void)
{
    int r = mca_file_read(OPENPAL_SYSCONFDIR "/openpal-mca-params.conf", MCA_SOURCE_SYSTEM_FILE);

    if (r != OPAL_SUCCESS || getauxval(AT_SECURE))
        return r;
    r = from_user_file();
    return r == OPAL_SUCCESS ? from_environment() : r;
}

/* ---- command line ---- */

static bool is_option(const char *word)
{
    static const char *const options[] = {"-mca", "--mca", "-gmca", "--gmca"};

    for (size_t i = 0; i < ELEMENTS(options); i++)
        if (strcmp(word, options[i]) == 0)
            return true;
    return false;
}

static int take_option(char **words, int left)
{
    const char *name = left > 1 ? words[1] : NULL, *value = left > 2 ? words[2] : NULL;

    if (!name || !value) {
        mca_base_problem("%s on the command line wants a parameter's name and a value", words[0]);
        return OPAL_SUCCESS;
    }
    return mca_setting_add(MCA_SOURCE_COMMAND_LINE, name, value, "command line");
}

/* The array is the caller's: it is closed up in place. What follows "--" isn't looked at. */
int mca_settings_from_arguments(int *argc, char ***argv)
{
    int kept = 1, r = OPAL_SUCCESS;

    if (!argc || !argv || *argc < 1)
        return OPAL_SUCCESS;
    for (int i = 1; i < *argc && (*argv)[i]; i++) {
        if (strcmp((*argv)[i], "--") == 0) {
            while (i < *argc && (*argv)[i])
                (*argv)[kept++] = (*argv)[i++];
        } else if (is_option((*argv)[i])) {
            int left = *argc - i;

            if (r == OPAL_SUCCESS)
                r = take_option(*argv + i, left);
            i += left > 2 ? 2 : left - 1;
        } else {
            (*argv)[kept++] = (*argv)[i];
        }
    }
    (*argv)[kept] = NULL;
    *argc = kept;
    return r;
}

/* ---- looking up ---- */

/* Open MPI has a folder of components of its own by this name. */
static bool is_only_ours(const char *name)
{
    return strcmp(name, "mca_component_path") == 0;
}

const struct mca_setting *mca_setting_find(const char *name)
{
    for (size_t i = settings.n; i > 0; i--) {
        const struct mca_setting *s = &settings.items[i - 1];

        if (strcmp(s->name, name) == 0 &&
            (s->source != MCA_SOURCE_ENVIRONMENT_OMPI || !is_only_ours(name)))
            return s;
    }
    return NULL;
}

const struct mca_setting *mca_setting_at(size_t number)
{
    return number < settings.n ? &settings.items[number] : NULL;
}

bool mca_setting_is_ours(const struct mca_setting *setting)
{
    const char *name = setting->name;

    if (setting->source == MCA_SOURCE_COMMAND_LINE || setting->source == MCA_SOURCE_ENVIRONMENT)
        return true;
    return strcmp(name, "crs") == 0 || strncmp(name, "crs_", 4) == 0 ||
           strncmp(name, "opal_cr_", 8) == 0;
}

void mca_settings_forget(void)
{
    for (size_t i = 0; i < settings.n; i++) {
        free(settings.items[i].name);
        free(settings.items[i].value);
        free(settings.items[i].place);
    }
    free(settings.items);
    memset(&settings, 0, sizeof(settings));
}
