/* relocation.c - files that are somewhere else now */
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/relocation.h"

/* Copy up to an unescaped '=' or the end. *ret_rest: what stands there. -EINVAL: nothing may be
 * escaped but '=' and '\'. */
static int unescape(const char *text, char **ret, const char **ret_rest)
{
    char *copy = malloc(strlen(text) + 1);
    size_t n = 0;

    if (!copy)
        return -ENOMEM;
    for (; *text && *text != '='; text++) {
        if (*text == '\\' && *++text != '=' && *text != '\\') {
            free(copy);
            return -EINVAL;
        }
        copy[n++] = *text;
    }
    copy[n] = 0;
    *ret = copy;
    *ret_rest = text;
    return 0;
}

static bool is_canonical(const char *path)
{
    if (path[0] != '/')
        return false;
    while (*path) {
        size_t n = strcspn(++path, "/");
        if (n == 0 && *path)
            return false;
        if ((n == 1 && path[0] == '.') || (n == 2 && path[0] == '.' && path[1] == '.'))
            return false;
        path += n;
    }
    return true;
}

static void cut_slashes(char *path)
{
    size_t n = strlen(path);

    while (n > 0 && path[n - 1] == '/')
        path[--n] = 0;
}

static void clear(struct relocation *one)
{
    free(one->text);
    free(one->from);
    free(one->to);
}

static int parse(const char *text, struct relocation *one, struct crs_error *err)
{
    const char *rest, *end = "";
    int r = unescape(text, &one->from, &rest);

    if (r == 0 && *rest == '=')
        r = unescape(rest + 1, &one->to, &end);
    if (r == 0 && (!one->to || *end))
        r = -EINVAL;
    if (r == 0 && !(one->text = strdup(text)))
        r = -ENOMEM;
    if (r == -ENOMEM)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (r < 0)
        return crs_fail(err, CRS_USAGE, EINVAL,
                        "'%s' doesn't say what has moved and where to: OLD=NEW, with '\\=' for '=' "
                        "and '\\\\' for '\\' in the paths",
                        text);
    cut_slashes(one->from);
    if ((one->from[0] && !is_canonical(one->from)) || text[0] != '/')
        return crs_fail(err, CRS_USAGE, EINVAL,
                        "%s: '%s' isn't a path as the kernel writes it: it begins with '/', and "
                        "has no '//', '.' or '..' in it",
                        text, one->from);
    if (one->to[0] != '/')
        return crs_fail(err, CRS_USAGE, EINVAL, "%s: '%s' isn't an absolute path", text, one->to);
    cut_slashes(one->to);
    one->from_length = strlen(one->from);
    return 0;
}

int relocations_add(struct relocations *r, const char *text, struct crs_error *err)
{
    struct relocation one = {0};
    struct relocation *place;
    int x = parse(text ? text : "", &one, err);

    if (x < 0) {
        clear(&one);
        return x;
    }
    place = ARRAY_ADD(&r->array);
    if (!place) {
        clear(&one);
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    }
    *place = one;
    return 0;
}

void relocations_clear(struct relocations *r)
{
    for (size_t i = 0; i < r->array.n; i++)
        clear(&r->array.items[i]);
    free(r->array.items);
    *r = (struct relocations){0};
}

const struct relocation *relocations_find(const struct relocations *r, const char *path)
{
    for (size_t i = 0; r && path[0] == '/' && i < r->array.n; i++) {
        const struct relocation *one = &r->array.items[i];
        if (strncmp(path, one->from, one->from_length) == 0 &&
            (path[one->from_length] == '/' || path[one->from_length] == 0))
            return one;
    }
    return NULL;
}

char *relocation_apply(const struct relocation *relocation, const char *path)
{
    const char *rest = path + relocation->from_length;

    if (rest[0] == '/' && rest[1] == 0) /* the root directory itself */
        rest++;
    return format_string("%s%s", relocation->to[0] || rest[0] ? relocation->to : "/", rest);
}

static char *escape(char *to, const char *path)
{
    for (; *path; path++) {
        if (*path == '=' || *path == '\\')
            *to++ = '\\';
        *to++ = *path;
    }
    return to;
}

char *relocation_text(const char *from, const char *to)
{
    char *text = malloc(2 * (strlen(from) + strlen(to)) + 2), *end = text;

    if (!text)
        return NULL;
    end = escape(end, from);
    *end++ = '=';
    *escape(end, to) = 0;
    return text;
}
