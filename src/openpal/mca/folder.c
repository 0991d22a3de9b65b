/*
 * folder.c - components in shared objects, mca_FRAMEWORK_NAME.so, in the folders of the parameter
 * mca_component_path
 *
 * Their code runs in the program: a file or a folder that another user can write to is left alone,
 * with a reason that listings show.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "opal/util/argv.h"
#include "openpal/mca/base_internal.h"
#include "openpal/mca/component.h"

/* The file of this library, or NULL. */
static char *library_path(void)
{
    Dl_info info;

    return dladdr((void *)(uintptr_t)mca_base_open, &info) && info.dli_fname
               ? realpath(info.dli_fname, NULL)
               : NULL;
}

/* Beside the library, wherever that is installed. */
static char *default_path(void)
{
    _cleanup_free_ char *path = library_path();

    return path ? format_string("%.*s/opencrs/components", (int)(strrchr(path, '/') - path), path)
                : NULL;
}

static int path_parameter(char **ret)
{
    _cleanup_free_ char *usual = default_path();
    int index = mca_base_param_reg_string_name(
        "mca", "component_path",
        "folders that components are loaded from, with colons between them", false, false, usual,
        NULL);

    return index < 0 ? index : mca_base_param_lookup_string(index, ret);
}

/* ---- who may have written it ---- */

/* Root, the user, and who has the library: code of theirs is in here anyway. (In a user namespace
 * root isn't seen as root, but as the same as who has the library.) */
static bool is_trusted(uid_t uid)
{
    _cleanup_free_ char *library = library_path();
    struct stat st;

    return uid == 0 || uid == geteuid() || (library && stat(library, &st) == 0 && uid == st.st_uid);
}

static char *why_not_trusted(const char *path, bool is_dir)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return format_string("%s: %s", path, strerror(errno));
    if (is_dir ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
        return format_string("%s isn't a %s", path, is_dir ? "folder" : "file");
    if (!is_trusted(st.st_uid))
        return format_string("%s belongs to another user (%u): components are root's or your own",
                             path, (unsigned)st.st_uid);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return format_string("%s can be written by others (mode %04o): chmod go-w it", path,
                             (unsigned)st.st_mode & 07777);
    return NULL;
}

/* ---- one file ---- */

/* mca_crs_NAME.so; NULL: another file. */
static char *component_name(const char *framework, const char *file)
{
    _cleanup_free_ char *prefix = format_string("mca_%s_", framework);
    size_t length = strlen(file), before = prefix ? strlen(prefix) : 0;

    if (!prefix || strncmp(file, prefix, before) != 0 || length <= before + 3 ||
        strcmp(file + length - 3, ".so") != 0)
        return NULL;
    return strndup(file + before, length - before - 3);
}

static bool is_same(const char *field, size_t size, const char *name)
{
    return strnlen(field, size) == strlen(name) && strncmp(field, name, size) == 0;
}

static char *why_not_fitting(const struct mca_framework *framework, const char *name,
                             const mca_base_component_t *c)
{
    if (c->mca_major_version != MCA_BASE_VERSION_MAJOR ||
        c->mca_minor_version != MCA_BASE_VERSION_MINOR)
        return format_string("it is made for version %d.%d of the component base; this is %d.%d",
                             c->mca_major_version, c->mca_minor_version, MCA_BASE_VERSION_MAJOR,
                             MCA_BASE_VERSION_MINOR);
    if (!is_same(c->mca_type_name, sizeof(c->mca_type_name), framework->name))
        return format_string("it says that it is a component of \"%.*s\", not of %s",
                             (int)sizeof(c->mca_type_name), c->mca_type_name, framework->name);
    if (c->mca_type_major_version != framework->major ||
        c->mca_type_minor_version != framework->minor)
        return format_string("it is made for version %d.%d of %s; this is %d.%d",
                             c->mca_type_major_version, c->mca_type_minor_version, framework->name,
                             framework->major, framework->minor);
    if (!is_same(c->mca_component_name, sizeof(c->mca_component_name), name))
        return format_string("its file is named for \"%s\", it says that it is \"%.*s\"", name,
                             (int)sizeof(c->mca_component_name), c->mca_component_name);
    return NULL;
}

static char *load(const struct mca_framework *framework, struct mca_component *entry)
{
    _cleanup_free_ char *symbol =
        format_string("mca_%s_%s_component", framework->name, entry->name);
    const mca_base_component_t *component;
    char *why;

    if (!symbol)
        return strdup("out of memory");
    entry->handle = dlopen(entry->file, RTLD_NOW | RTLD_LOCAL);
    if (!entry->handle)
        return format_string("can't be loaded: %s", dlerror());
    component = dlsym(entry->handle, symbol);
    why = component ? why_not_fitting(framework, entry->name, component)
                    : format_string("it has no symbol %s", symbol);
    if (why) {
        dlclose(entry->handle);
        entry->handle = NULL;
        return why;
    }
    entry->component = component;
    return NULL;
}

/* One with the name of another that is there already isn't loaded. */
static int add_file(struct mca_framework *framework, const char *folder, const char *file,
                    const char *why_folder)
{
    _cleanup_free_ char *name = component_name(framework->name, file), *why = NULL;
    _cleanup_free_ char *path = format_string("%s/%s", folder, file);
    struct mca_component *other, *entry;

    if (!name || !path)
        return OPAL_ERR_OUT_OF_RESOURCE;
    other = mca_framework_component(framework, name);
    entry = mca_framework_add(framework, name, path);
    if (!entry)
        return OPAL_ERR_OUT_OF_RESOURCE;
    if (other)
        why = format_string("%s is %s already, which counts", name,
                            other->file ? other->file : "built in");
    else if (why_folder)
        why = strdup(why_folder);
    else
        why = why_not_trusted(path, false);
    if (!why)
        why = load(framework, entry);
    if (why)
        mca_component_refuse(entry, "%s", why);
    return OPAL_SUCCESS;
}

/* ---- a folder ---- */

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int files_of(const struct mca_framework *framework, DIR *dir, char ***ret)
{
    struct dirent *entry;
    int r = OPAL_SUCCESS;

    while (r == OPAL_SUCCESS && (entry = readdir(dir))) {
        _cleanup_free_ char *name = component_name(framework->name, entry->d_name);

        if (name)
            r = opal_argv_append_nosize(ret, entry->d_name);
    }
    if (*ret)
        qsort(*ret, (size_t)opal_argv_count(*ret), sizeof(**ret), compare);
    return r;
}

static int add_folder(struct mca_framework *framework, const char *folder)
{
    _cleanup_free_ char *why = NULL, *usual = default_path();
    _cleanup_closedir_ DIR *dir = opendir(folder);
    char **files = NULL;
    int r;

    if (!dir) {
        if (errno != ENOENT || !usual || strcmp(folder, usual) != 0)
            mca_base_problem("parameter mca_component_path: %s: %s", folder, strerror(errno));
        return OPAL_SUCCESS;
    }
    why = why_not_trusted(folder, true);
    r = files_of(framework, dir, &files);
    for (int i = 0; files && files[i] && r == OPAL_SUCCESS; i++)
        r = add_file(framework, folder, files[i], why);
    opal_argv_free(files);
    return r;
}

int mca_framework_find_in_folders(struct mca_framework *framework)
{
    _cleanup_free_ char *path = NULL;
    char **folders;
    int r = path_parameter(&path);

    folders = r == OPAL_SUCCESS ? opal_argv_split(path, ':') : NULL;
    for (int i = 0; folders && folders[i] && r == OPAL_SUCCESS; i++)
        r = add_folder(framework, folders[i]);
    opal_argv_free(folders);
    return r;
}
