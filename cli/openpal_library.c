/* openpal_library.c - Open PAL's library: found beside the tool, and loaded */
#include <dlfcn.h>
#include <limits.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "cli/openpal_library.h"

#define LIBRARY "libopal_crs.so.0"

/* Where the tool stands in its build directory, the library is in its own. */
static char *find(void)
{
    static const char *const places[] = {"../src/openpal", "../" CRS_LIBDIR, "../lib",
                                         CRS_PREFIX "/" CRS_LIBDIR};
    _cleanup_free_ char *self = realpath("/proc/self/exe", NULL);
    char *slash = self ? strrchr(self, '/') : NULL;

    for (size_t i = 0; slash && i < ELEMENTS(places); i++) {
        const char *place = places[i];
        bool absolute = place[0] == '/';
        _cleanup_free_ char *path =
            format_string("%.*s%s%s/" LIBRARY, absolute ? 0 : (int)(slash - self), self,
                          absolute ? "" : "/", place);

        if (path && access(path, R_OK) == 0)
            return TAKE_PTR(path);
    }
    return strdup(LIBRARY);
}

static int get(void *handle, const char *name, void *ret, struct crs_error *err)
{
    void *symbol = dlsym(handle, name);

    if (!symbol)
        return crs_fail(err, CRS_FAILED, ENOSYS, "Open PAL's library is of another version: %s",
                        dlerror());
    memcpy(ret, &symbol, sizeof(symbol));
    return 0;
}

/* It stays until the tool ends. */
int openpal_library_load(struct openpal_library *ret, struct crs_error *err)
{
    const struct {
        const char *name;
        void *to;
    } functions[] = {
        {"mca_base_open", &ret->open},
        {"opal_cr_register_params", &ret->register_params},
        {"opal_crs_base_open", &ret->crs_open},
        {"opal_crs_base_survey", &ret->survey},
        {"mca_base_component_walk", &ret->each_component},
        {"mca_base_param_walk", &ret->each_param},
        {"mca_base_problem_walk", &ret->each_problem},
        {"opal_crs_base_close", &ret->crs_close},
        {"mca_base_close", &ret->close},
    };
    _cleanup_free_ char *path = find();
    void *handle = path ? dlopen(path, RTLD_NOW | RTLD_GLOBAL) : NULL;
    int r = 0;

    if (!handle)
        return crs_fail(err, CRS_FAILED, ENOENT, "Open PAL's library can't be loaded: %s",
                        path ? dlerror() : "out of memory");
    for (size_t i = 0; i < ELEMENTS(functions) && r == 0; i++)
        r = get(handle, functions[i].name, functions[i].to, err);
    return r;
}
