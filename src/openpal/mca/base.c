/*
 * base.c - the beginning and the end of the component base, and what is wrong with settings
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "opal/util/output.h"
#include "openpal/mca/base_internal.h"
#include "openpal/mca/param.h"

struct problem {
    char *words;
    bool told;
};

static int n_opened;
static bool gathered;
static ARRAY_OF(struct problem) problems;

/* ---- problems ---- */

void mca_base_problem(const char *format, ...)
{
    _cleanup_free_ char *words = NULL;
    struct problem *problem;
    va_list list;
    int r;

    va_start(list, format);
    r = vasprintf(&words, format, list);
    va_end(list);
    if (r < 0) {
        words = NULL;
        return;
    }
    for (size_t i = 0; i < problems.n; i++)
        if (strcmp(problems.items[i].words, words) == 0)
            return;
    problem = ARRAY_ADD(&problems);
    if (problem)
        problem->words = TAKE_PTR(words);
}

static void note_unknown(void)
{
    const struct mca_setting *setting;

    for (size_t i = 0; (setting = mca_setting_at(i)); i++) {
        const char *why = mca_param_why_retired(setting->name);

        if (!mca_param_find(setting->name) && mca_setting_is_ours(setting))
            mca_base_problem("no such parameter: %s (from %s)%s%s", setting->name, setting->place,
                             why ? ": " : "", why ? why : "");
    }
}

int mca_base_tell_problems(void)
{
    for (size_t i = 0; i < problems.n; i++) {
        if (!problems.items[i].told)
            opal_output(0, "%s", problems.items[i].words);
        problems.items[i].told = true;
    }
    return problems.n > 0 ? OPAL_ERR_BAD_PARAM : OPAL_SUCCESS;
}

int mca_base_check(void)
{
    note_unknown();
    return mca_base_tell_problems();
}

int mca_base_problem_walk(int (*each)(const char *words, void *arg), void *arg)
{
    int r = 0;

    note_unknown();
    for (size_t i = 0; i < problems.n && r == 0; i++)
        r = each(problems.items[i].words, arg);
    return r;
}

/* ---- open and close ---- */

int mca_base_open_if_closed(void)
{
    if (gathered)
        return OPAL_SUCCESS;
    gathered = true;
    return mca_settings_gather();
}

int mca_base_open(int *argc, char ***argv)
{
    int r = mca_base_open_if_closed();

    if (r == OPAL_SUCCESS)
        r = mca_settings_from_arguments(argc, argv);
    if (r != OPAL_SUCCESS)
        return r;
    n_opened++;
    mca_param_resolve_all();
    return OPAL_SUCCESS;
}

void mca_base_close(void)
{
    if (n_opened == 0 || --n_opened > 0)
        return;
    mca_param_forget_all();
    mca_settings_forget();
    for (size_t i = 0; i < problems.n; i++)
        free(problems.items[i].words);
    free(problems.items);
    memset(&problems, 0, sizeof(problems));
    gathered = false;
}
