/* output.c - results, errors and warnings, for people and for programs */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "cli/output.h"

static bool json_on_stderr;

void output_json_to_stderr(void)
{
    json_on_stderr = true;
}

void output_json_free(json_t **json)
{
    json_decref(*json);
}

static const char *kind_name(enum crs_kind kind)
{
    static const struct {
        enum crs_kind kind;
        const char *name;
    } names[] = {
        {CRS_USAGE, "usage"},
        {CRS_NOT_FOUND, "not-found"},
        {CRS_NOT_PERMITTED, "not-permitted"},
        {CRS_CANT_CHECKPOINT, "cant-checkpoint"},
        {CRS_DAMAGED, "damaged"},
        {CRS_CANT_RESTART, "cant-restart"},
        {CRS_STORAGE, "storage"},
        {CRS_TIMED_OUT, "timed-out"},
        {CRS_BUSY, "busy"},
    };

    for (size_t i = 0; i < ELEMENTS(names); i++)
        if (names[i].kind == kind)
            return names[i].name;
    return "failed";
}

int output_document(FILE *file, json_t *document)
{
    _cleanup_json_ json_t *ordered = json_pack("{s:i}", "schema", 1);

    int r = !ordered || !document || json_object_update(ordered, document) < 0 ||
            json_dumpf(ordered, file, JSON_COMPACT) < 0 || fputc('\n', file) == EOF;
    json_decref(document);
    return r ? CRS_FAILED : 0;
}

json_t *output_parse(const char *text, struct crs_error *err)
{
    json_error_t where;
    json_t *json = json_loads(text, 0, &where);

    if (!json)
        crs_fail(err, CRS_FAILED, EPROTO, "unexpected JSON: %s", where.text);
    return json;
}

json_t *output_text(const char *text)
{
    json_t *json = json_string(text);

    if (json)
        return json;
    _cleanup_free_ char *ascii = strdup(text);
    for (char *c = ascii; c && *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    return json_string(ascii ? ascii : "");
}

int output_error(const char *command, bool json, const struct crs_error *err)
{
    int code = err->kind == CRS_OK ? CRS_FAILED : (int)err->kind;

    if (json)
        output_document(json_on_stderr ? stderr : stdout,
                        json_pack("{s:{s:s, s:i, s:i, s:o}}", "error", "kind", kind_name(err->kind),
                                  "exit_code", code, "errno", err->errnum, "text",
                                  output_text(err->text)));
    if (json && json_on_stderr)
        return code;
    _cleanup_free_ char *text = output_clean(err->text);
    fprintf(stderr, "crs %s: %s\n", command, text ? text : err->text);
    return code;
}

int output_failure(const char *command, bool json, enum crs_kind kind, const char *format, ...)
{
    struct crs_error error = {.kind = kind};
    va_list ap;

    va_start(ap, format);
    vsnprintf(error.text, sizeof(error.text), format, ap);
    va_end(ap);
    return output_error(command, json, &error);
}

void output_warning(const char *command, bool json, const char *format, ...)
{
    char text[CRS_ERROR_TEXT_SIZE];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    _cleanup_free_ char *clean = output_clean(text);
    if (json)
        output_document(stderr,
                        json_pack("{s:s, s:o}", "event", "warning", "text", output_text(text)));
    else
        fprintf(stderr, "crs %s: warning: %s\n", command, clean ? clean : text);
}

void output_event(const char *event, json_t *members)
{
    if (members && json_object_set_new(members, "event", json_string(event)) == 0)
        output_document(stderr, members);
    else
        json_decref(members);
}

int output_finish(const char *command)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    fprintf(stderr, "crs %s: can't write the output: %s\n", command, strerror(errno));
    return CRS_FAILED;
}

char *output_clean(const char *text)
{
    char *clean = strdup(text);

    for (unsigned char *c = (unsigned char *)clean; c && *c; c++) {
        if (*c < 0x20 || *c == 0x7f)
            *c = '?';
        /* C1 control characters in UTF-8: U+0080 to U+009F. */
        if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
            c[0] = c[1] = '?';
    }
    return clean;
}
