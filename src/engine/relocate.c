/* relocate.c - a loaded snapshot, for files that are somewhere else now */
#include <string.h>

#include "engine/relocate.h"

static bool has_path(const Crs__MemoryObject *object)
{
    return object->kind == CRS__OBJECT_KIND__OBJECT_POSIX_SHM ||
           object->kind == CRS__OBJECT_KIND__OBJECT_TEMPORARY_FILE;
}

int relocate_loaded(const struct loaded *loaded, struct kobj_relocating *r, struct crs_error *err)
{
    Crs__Memory *memory = loaded->memory;
    int x = 0;

    for (size_t i = 0; x == 0 && i < memory->n_files; i++)
        x = kobj_relocate_path(r, &memory->files[i]->path, err);
    for (size_t i = 0; x == 0 && i < memory->n_objects; i++)
        if (has_path(memory->objects[i]))
            x = kobj_relocate_path(r, &memory->objects[i]->name, err);
    for (size_t i = 0; x == 0 && i < loaded->files->n_files; i++)
        x = kobj_relocate_file(r, loaded->files->files[i], err);
    for (size_t i = 0; x == 0 && i < loaded->tree->n_processes; i++)
        x = kobj_relocate_process(r, loaded->tree->processes[i], err);
    return x;
}

/* Does the text name the path, and not only one that begins with it? */
static bool names(const char *text, const char *path)
{
    size_t n = strlen(path);

    for (const char *at = text; (at = strstr(at, path)); at += n)
        if (!at[n] || strchr(" :,;)'\n", at[n]))
            return true;
    return false;
}

int relocate_explain(const struct kobj_relocating *r, int ret, struct crs_error *err)
{
    const struct kobj_moved *longest = NULL;
    size_t used = err ? strlen(err->text) : 0;

    for (size_t i = 0; err && ret < 0 && i < r->moved.n; i++) {
        const struct kobj_moved *one = &r->moved.items[i];
        if (names(err->text, one->to) && (!longest || strlen(one->to) > strlen(longest->to)))
            longest = one;
    }
    if (longest)
        snprintf(err->text + used, sizeof(err->text) - used, " (it was %s: moved by %s)",
                 longest->from, longest->by->text);
    return ret;
}
