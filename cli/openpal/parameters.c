/* parameters.c - the parameters of Open PAL, in its tools */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "cli/openpal/parameters.h"
#include "opal/constants.h"
#include "opal/mca/crs/base/base.h"
#include "openpal/mca/base_internal.h"
#include "openpal/runtime/runtime.h"

static bool is_setting(const char *word)
{
    static const char *const words[] = {"-mca", "--mca", "-gmca", "--gmca"};

    for (size_t i = 0; i < ELEMENTS(words); i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

static int hand_settings_on(int argc, char **argv)
{
    for (int i = 1; i + 2 < argc && strcmp(argv[i], "--") != 0; i++) {
        if (!is_setting(argv[i]))
            continue;
        _cleanup_free_ char *name = format_string("OPAL_MCA_%s", argv[i + 1]);
        if (!name || setenv(name, argv[i + 2], 1) < 0)
            return OPAL_ERR_OUT_OF_RESOURCE;
        i += 2;
    }
    return OPAL_SUCCESS;
}

/* The components look whether they live in a tool. */
static int be_a_tool(void)
{
    int r = opal_cr_register_params();

    return r == OPAL_SUCCESS
               ? mca_base_param_set_int(mca_base_param_find("opal", "cr", "is_tool"), 1)
               : r;
}

int parameters_open(int *argc, char ***argv, bool hand_on, struct crs_error *err)
{
    int r = hand_on ? hand_settings_on(*argc, *argv) : OPAL_SUCCESS;

    if (r == OPAL_SUCCESS)
        r = mca_base_open(argc, argv);
    if (r == OPAL_SUCCESS)
        r = be_a_tool();
    if (r == OPAL_SUCCESS)
        r = opal_crs_base_open();
    if (mca_base_check() != OPAL_SUCCESS || r == OPAL_ERR_BAD_PARAM)
        return crs_fail(err, CRS_USAGE, EINVAL, "a parameter is wrong");
    return r == OPAL_SUCCESS
               ? 0
               : crs_fail(err, CRS_FAILED, EIO, "can't read the parameters: %s", opal_strerror(r));
}

void parameters_close(void)
{
    opal_crs_base_close();
    mca_base_close();
}

char *parameters_string(const char *type, const char *component, const char *name)
{
    int index = mca_base_param_find(type, component, name);
    char *value = NULL;

    return index >= 0 && mca_base_param_lookup_string(index, &value) == OPAL_SUCCESS ? value : NULL;
}
