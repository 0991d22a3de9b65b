/*
 * param_file.c - files of parameters: lines "NAME = VALUE", comments after #
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "openpal/mca/base_internal.h"
#include "openpal/mca/param.h"

#define FILE_LIMIT (1024 * 1024)

/* Without the blanks around it, in place. */
static char *trim(char *text)
{
    size_t length;

    while (isspace((unsigned char)*text))
        text++;
    length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        text[--length] = '\0';
    return text;
}

static bool is_name(const char *name)
{
    if (!*name)
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && *name != '_')
            return false;
    return true;
}

static int take_line(const char *place, char *line, enum mca_source source)
{
    char *equals, *name;

    line = trim(line);
    if (*line == '\0' || *line == '#')
        return OPAL_SUCCESS;
    equals = strchr(line, '=');
    if (equals)
        *equals = '\0';
    name = trim(line);
    if (!equals || !is_name(name)) {
        mca_base_problem("%s: not \"NAME = VALUE\": %s", place, line);
        return OPAL_SUCCESS;
    }
    return mca_setting_add(source, name, trim(equals + 1), place);
}

int mca_file_parse(const char *path, char *text, enum mca_source source)
{
    int r = OPAL_SUCCESS;

    for (int number = 1; text && r == OPAL_SUCCESS; number++) {
        char *line = strsep(&text, "\n");
        _cleanup_free_ char *place = format_string("%s:%d", path, number);

        r = place ? take_line(place, line, source) : OPAL_ERR_OUT_OF_RESOURCE;
    }
    return r;
}

/* Parameters name programs and folders of code. The system's file is root's business. */
static bool is_trusted(const char *path, enum mca_source source)
{
    struct stat st;

    if (source != MCA_SOURCE_USER_FILE || stat(path, &st) < 0)
        return true;
    if (st.st_uid != 0 && st.st_uid != geteuid())
        mca_base_problem("%s: belongs to another user (%u), is not read", path,
                         (unsigned)st.st_uid);
    else if (st.st_mode & S_IWOTH)
        mca_base_problem("%s: others can write to it, is not read: chmod o-w it", path);
    else
        return true;
    return false;
}

int mca_file_read(const char *path, enum mca_source source)
{
    _cleanup_bytes_ struct bytes bytes = {0};
    int r;

    if (!is_trusted(path, source))
        return OPAL_SUCCESS;
    r = read_file(AT_FDCWD, path, FILE_LIMIT, &bytes);
    if (r == -ENOENT || r == -ENOTDIR)
        return OPAL_SUCCESS;
    if (r == -ENOMEM)
        return OPAL_ERR_OUT_OF_RESOURCE;
    if (r < 0) {
        mca_base_problem("%s: can't be read: %s", path, strerror(-r));
        return OPAL_SUCCESS;
    }
    if (memchr(bytes.data, '\0', bytes.size)) {
        mca_base_problem("%s: not a file of text", path);
        return OPAL_SUCCESS;
    }
    return mca_file_parse(path, (char *)bytes.data, source);
}
