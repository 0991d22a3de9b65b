/*
 * output.h - what people and programs get to read
 *
 * With --json a command writes one JSON document with "schema": 1 to standard output, of its result
 * or its error; its progress and warnings are lines of JSON on standard error. Without, results are
 * words and tables on standard output, errors, warnings and progress words on standard error.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"

#define _cleanup_json_ __attribute__((cleanup(output_json_free)))
void output_json_free(json_t **json);

/* Where standard output is the program's (crs run, crs restart): JSON goes to standard error, as
 * lines, in the place of the words. */
void output_json_to_stderr(void);

/* A line of JSON about something that happened; steals it. */
void output_event(const char *event, json_t *members);

/* Say an error of `crs COMMAND` and return its exit code. */
int output_error(const char *command, bool json, const struct crs_error *err);

/* The same with words of ours. */
int output_failure(const char *command, bool json, enum crs_kind kind, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Write a document as one line, with "schema": 1 put in; steals it. 0, or CRS_FAILED. */
int output_document(FILE *file, json_t *document);

/* A string of JSON; where the text (a path, words with one) is no UTF-8, with question marks. */
json_t *output_text(const char *text);

/* A JSON text from the library. NULL with words where it isn't one. */
json_t *output_parse(const char *text, struct crs_error *err);

/* A warning, a note; on standard error. */
void output_warning(const char *command, bool json, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Standard output was written whole: 0; else words and an exit code. */
int output_finish(const char *command);

/* Text of others, without control characters that a terminal would obey. Allocated. */
char *output_clean(const char *text);

/* ---- progress ---- */

struct output_progress {
    const char *command;
    bool json, terminal;
    bool shown; /* a bar stands on the line */
    char phase[32];
    uint64_t begun_us, last_us;
};

void output_progress_begin(struct output_progress *p, const char *command, bool json);
void output_progress_show(const struct crs_progress *progress, void *arg); /* a crs_progress_fn */
void output_progress_end(struct output_progress *p);                       /* takes the bar away */

/* ---- tables ---- */

struct output_table {
    size_t n_columns, n_cells, room;
    const char *const *titles; /* "-SIZE": aligned to the right */
    char **cells;
};

void output_table_begin(struct output_table *t, const char *const *titles, size_t n_columns);
void output_table_add(struct output_table *t, const char *cell); /* copied; row by row */
void output_table_end(struct output_table *t);                   /* prints and frees it */

/* Print words from column `at` on; lines that the screen has no room for go on at `indent`. Ends
 * the line. */
void output_wrapped(int at, int indent, const char *text);

#endif
