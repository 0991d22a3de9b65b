/*
 * self_functions.c - which functions of the program `self` calls
 *
 * By name they are looked for where the program's own calls would find them, then in the program's
 * file (it may export nothing), then in every library that is loaded, also by a dlopen() that keeps
 * its names to itself.
 */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "opal/util/argv.h"
#include "openpal/crs/self.h"

static struct opal_crs_self_functions registered;

int opal_crs_base_self_register_checkpoint_callback(opal_crs_self_checkpoint_callback_fn_t function)
{
    registered.checkpoint = function;
    return OPAL_SUCCESS;
}

int opal_crs_base_self_register_continue_callback(opal_crs_self_continue_callback_fn_t function)
{
    registered.resume = function;
    return OPAL_SUCCESS;
}

int opal_crs_base_self_register_restart_callback(opal_crs_self_restart_callback_fn_t function)
{
    registered.restart = function;
    return OPAL_SUCCESS;
}

/* A variable of that name isn't called. */
static void *function_in(void *handle, const char *name)
{
    void *address = dlsym(handle, name), *extra = NULL;
    Dl_info info;

    if (!address || !dladdr1(address, &info, &extra, RTLD_DL_SYMENT) || !extra)
        return address;
    return ELF64_ST_TYPE(((const ElfW(Sym) *)extra)->st_info) == STT_OBJECT ? NULL : address;
}

/* Nothing may be opened or closed while dlfcn's list is walked. */
static int take_name(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    if (info->dlpi_name && *info->dlpi_name)
        opal_argv_append_nosize(arg, info->dlpi_name);
    return 0;
}

static void *function_in_libraries(const char *name)
{
    char **libraries = NULL;
    void *found = NULL;

    dl_iterate_phdr(take_name, &libraries);
    for (char **library = libraries; library && *library && !found; library++) {
        void *handle = dlopen(*library, RTLD_LAZY | RTLD_NOLOAD);
        if (!handle)
            continue;
        found = function_in(handle, name);
        dlclose(handle);
    }
    opal_argv_free(libraries);
    return found;
}

static void *function_named(const char *prefix, const char *what, bool *stripped)
{
    _cleanup_free_ char *name = NULL;

    if (asprintf(&name, "%s_%s", prefix, what) < 0) {
        name = NULL;
        return NULL;
    }
    void *found = function_in(RTLD_DEFAULT, name);
    if (!found)
        found = opal_crs_self_symbol(name, stripped);
    return found ? found : function_in_libraries(name);
}

static void say_missing(const char *prefix, const char *what, bool stripped, char *ret, size_t size)
{
    snprintf(ret, size,
             "there is no function %s_%s (the parameter crs_self_prefix names the prefix) in the "
             "program or a library that it has loaded, and none was registered%s",
             prefix, what,
             stripped ? "; the program's symbols are stripped: link it with -rdynamic" : "");
}

bool opal_crs_self_find(const char *prefix, struct opal_crs_self_functions *ret, char *ret_reason,
                        size_t size)
{
    struct opal_crs_self_functions found = registered;
    bool stripped = false;

    if (!found.checkpoint)
        found.checkpoint =
            (opal_crs_self_checkpoint_callback_fn_t)function_named(prefix, "checkpoint", &stripped);
    if (found.checkpoint && !found.restart)
        found.restart =
            (opal_crs_self_restart_callback_fn_t)function_named(prefix, "restart", &stripped);
    if (!found.checkpoint || !found.restart) {
        say_missing(prefix, found.checkpoint ? "restart" : "checkpoint", stripped, ret_reason,
                    size);
        return false;
    }
    if (!found.resume)
        found.resume =
            (opal_crs_self_continue_callback_fn_t)function_named(prefix, "continue", &stripped);
    *ret = found;
    return true;
}

struct opal_crs_self_functions opal_crs_self_current(const struct opal_crs_self_functions *found)
{
    struct opal_crs_self_functions now = *found;

    if (registered.checkpoint)
        now.checkpoint = registered.checkpoint;
    if (registered.resume)
        now.resume = registered.resume;
    if (registered.restart)
        now.restart = registered.restart;
    return now;
}
