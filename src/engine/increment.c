/* increment.c - the older snapshot that a new one shares packs with */
#include "engine/increment.h"

#include <string.h>

#include "base/io.h"
#include "kobj/kobj.h"

/* "sim@3" of "STORE/sim/3"; a path that was given stays one. */
static char *words_of(const struct crs_checkpoint_options *o, const char *name, const char *path)
{
    const char *slash = strrchr(path, '/');

    return o->base ? strdup(o->base) : format_string("%s@%s", name, slash ? slash + 1 : path);
}

/* 0 with *ret_path NULL: there is none, and none was asked for. */
static int find_base(const struct crs_checkpoint_options *o, const char *name, char **ret_path,
                     struct crs_error *err)
{
    if (o->base)
        return store_resolve(o->store, o->base, ret_path, err);
    if (o->full || !name)
        return 0;
    int r = store_find_latest(o->store, name, ret_path, err);
    return r == -ENOENT ? 0 : r;
}

static void say_full(const struct crs_checkpoint_options *o, const struct crs_error *why)
{
    kobj_warn(o->progress, o->progress_arg, "the snapshot is a full one: %s", why->text);
}

int increment_begin(const struct crs_checkpoint_options *o, const char *own, struct store_writer *w,
                    char **ret_base, struct crs_error *err)
{
    _cleanup_free_ char *path = NULL, *name = own ? strndup(own, strcspn(own, "@")) : NULL;
    struct crs_error why = {0}, reason = {0};
    if (own && !name)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = find_base(o, name, &path, &why);

    if (r == 0 && path)
        r = store_writer_set_base(w, path, &reason, &why);
    if (r < 0 && (o->base || r == -ENOMEM)) {
        if (err)
            *err = why;
        return r;
    }
    if (r < 0 || reason.kind)
        say_full(o, r < 0 ? &why : &reason);
    if (!store_writer_base(w))
        return 0;
    *ret_base = words_of(o, name, path);
    return *ret_base ? 0 : crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}
