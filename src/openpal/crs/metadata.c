/*
 * metadata.c - snapshot_meta.data: lines "# KEY: VALUE"
 *
 * While a snapshot is under way its lines are in a file of another name beside it; afterwards a
 * line is added to a copy, which takes the file's place.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "opal/util/argv.h"
#include "openpal/crs/base_internal.h"
#include "openpal/crs/metadata.h"

#define FILE_LIMIT  (1024 * 1024)
#define MAX_VALUES  10000
#define COPY_SUFFIX ".copy"

/* ---- read ---- */

/* "# KEY: " or "# KEY:" or "KEY" without the colon's blank: what the line must begin with. */
static size_t key_length(const char *token)
{
    size_t length = strlen(token);

    while (length > 0 && token[length - 1] == ' ')
        length--;
    return length;
}

static const char *value_of(const char *line, const char *token, size_t length)
{
    if (length == 0 || strncmp(line, token, length) != 0)
        return NULL;
    line += length;
    return *line == ' ' ? line + 1 : line;
}

int opal_crs_base_metadata_parse(char *text, const char *token, char ***ret_values)
{
    size_t length = key_length(token);
    char **values = NULL, *line;
    int r = OPAL_SUCCESS, n = 0;

    while (r == OPAL_SUCCESS && (line = strsep(&text, "\n"))) {
        const char *value = value_of(line, token, length);

        if (value && ++n > MAX_VALUES)
            r = OPAL_ERR_VALUE_OUT_OF_BOUNDS;
        else if (value)
            r = opal_argv_append_nosize(&values, value);
    }
    if (r != OPAL_SUCCESS) {
        opal_argv_free(values);
        return r;
    }
    *ret_values = values;
    return OPAL_SUCCESS;
}

static char *path_in(const char *location, const char *name)
{
    return format_string("%s/%s", location, name);
}

/* Text without a 0 byte in it. */
static int read_text(const char *location, const char *name, struct bytes *ret)
{
    _cleanup_free_ char *path = path_in(location, name);
    int r = path ? read_file(AT_FDCWD, path, FILE_LIMIT, ret) : -ENOMEM;

    if (r == -ENOENT || r == -ENOTDIR)
        return OPAL_ERR_NOT_FOUND;
    if (r == -ENOMEM)
        return OPAL_ERR_OUT_OF_RESOURCE;
    if (r < 0 || memchr(ret->data, '\0', ret->size))
        return OPAL_ERR_FILE_READ_FAILURE;
    return OPAL_SUCCESS;
}

int opal_crs_base_metadata_read_token(const char *location, const char *token, char ***value)
{
    _cleanup_bytes_ struct bytes text = {0};
    char **values = NULL;
    int r;

    if (!location || !token || !value)
        return OPAL_ERR_BAD_PARAM;
    r = read_text(location, CRS_METADATA_FILENAME, &text);
    if (r == OPAL_SUCCESS)
        r = opal_crs_base_metadata_parse((char *)text.data, token, &values);
    if (r != OPAL_SUCCESS)
        return r;
    if (!values)
        return OPAL_ERR_NOT_FOUND;
    *value = values;
    return OPAL_SUCCESS;
}

/* The last of several is the newest. */
static int read_last(const char *location, const char *token, char **ret)
{
    char **values = NULL;
    int r = opal_crs_base_metadata_read_token(location, token, &values);

    if (r != OPAL_SUCCESS)
        return r;
    *ret = strdup(values[opal_argv_count(values) - 1]);
    opal_argv_free(values);
    return *ret ? OPAL_SUCCESS : OPAL_ERR_OUT_OF_RESOURCE;
}

static int parse_pid(const char *text, int *ret)
{
    char *end;
    long number;

    errno = 0;
    number = strtol(text, &end, 10);
    if (end == text || *end || errno || number < 0 || number > INT32_MAX)
        return OPAL_ERR_FILE_READ_FAILURE;
    *ret = (int)number;
    return OPAL_SUCCESS;
}

int opal_crs_base_extract_expected_component(const char *location, char **component_name,
                                             int *prev_pid)
{
    _cleanup_free_ char *name = NULL, *pid = NULL;
    int number = 0, r;

    if (!location || !component_name || !prev_pid)
        return OPAL_ERR_BAD_PARAM;
    r = read_last(location, CRS_METADATA_COMP, &name);
    if (r == OPAL_ERR_NOT_FOUND)
        r = read_last(location, CRS_METADATA_COMP_OLD, &name);
    if (r == OPAL_SUCCESS)
        r = read_last(location, CRS_METADATA_PID, &pid);
    if (r == OPAL_SUCCESS)
        r = parse_pid(pid, &number);
    if (r == OPAL_SUCCESS && !*name)
        r = OPAL_ERR_FILE_READ_FAILURE;
    if (r != OPAL_SUCCESS)
        return r;
    *component_name = TAKE_PTR(name);
    *prev_pid = number;
    return OPAL_SUCCESS;
}

/* ---- written ---- */

/* The commit makes it safe, with all other files. */
static int append(const char *path, const char *line)
{
    _cleanup_close_ int fd =
        open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return OPAL_ERR_FILE_OPEN_FAILURE;
    return write_full(fd, line, strlen(line)) < 0 ? OPAL_ERR_FILE_WRITE_FAILURE : OPAL_SUCCESS;
}

static int write_copy(const char *path, const struct bytes *text, const char *line)
{
    _cleanup_close_ int fd =
        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return OPAL_ERR_FILE_OPEN_FAILURE;
    if (write_full(fd, text->data, text->size) < 0 || write_full(fd, line, strlen(line)) < 0 ||
        fsync(fd) < 0)
        return OPAL_ERR_FILE_WRITE_FAILURE;
    return OPAL_SUCCESS;
}

static int rewrite(const char *location, const struct bytes *text, const char *line)
{
    _cleanup_free_ char *path = path_in(location, CRS_METADATA_FILENAME);
    _cleanup_free_ char *copy = path_in(location, CRS_METADATA_FILENAME COPY_SUFFIX);
    int r;

    if (!path || !copy)
        return OPAL_ERR_OUT_OF_RESOURCE;
    r = write_copy(copy, text, line);
    if (r == OPAL_SUCCESS && rename(copy, path) < 0)
        r = OPAL_ERR_FILE_WRITE_FAILURE;
    if (r != OPAL_SUCCESS)
        unlink(copy);
    return r;
}

/* A component may say who made the snapshot; the base has said it before. */
static bool is_said(const char *location, const char *token, const char *value)
{
    _cleanup_bytes_ struct bytes text = {0};
    char **values = NULL;
    bool said = false;

    if (strcmp(token, CRS_METADATA_COMP) != 0 && strcmp(token, CRS_METADATA_PID) != 0)
        return false;
    if (read_text(location, METADATA_NEW, &text) == OPAL_SUCCESS)
        (void)opal_crs_base_metadata_parse((char *)text.data, token, &values);
    for (int i = 0; values && values[i]; i++)
        said = said || strcmp(values[i], value) == 0;
    opal_argv_free(values);
    return said;
}

int opal_crs_base_metadata_write_token(const char *location, const char *token, const char *value)
{
    _cleanup_bytes_ struct bytes text = {0};
    _cleanup_free_ char *line = NULL, *path = NULL;
    int r;

    if (!location || !token || !value || strpbrk(token, "\n") || strpbrk(value, "\n"))
        return OPAL_ERR_BAD_PARAM;
    line = format_string("%s%s\n", token, value);
    path = path_in(location, METADATA_NEW);
    if (!line || !path)
        return OPAL_ERR_OUT_OF_RESOURCE;
    if (is_said(location, token, value))
        return OPAL_SUCCESS;
    r = read_text(location, CRS_METADATA_FILENAME, &text);
    if (r == OPAL_SUCCESS)
        return rewrite(location, &text, line);
    return r == OPAL_ERR_NOT_FOUND ? append(path, line) : r;
}
