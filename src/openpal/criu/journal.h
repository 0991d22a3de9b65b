/*
 * journal.h - CRIU's log, and the cause of a failure in it
 *
 * An answer of CRIU's has at best the first error that was logged, which is seldom the cause: some
 * are logged in each run that goes well, and the last only say that the whole failed.
 */
#ifndef OPENPAL_CRIU_JOURNAL_H
#define OPENPAL_CRIU_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

/* The cause in the text of a log, one line without time, level and line break, at most `size` - 1
 * bytes. false: there is no error in it that wouldn't be in any log. */
bool journal_cause(const char *text, char *ret, size_t size);

/* The same of a log file, of whose end it reads 1 MiB at most. */
bool journal_cause_of_file(const char *path, char *ret, size_t size);
bool journal_cause_of_fd(int fd, char *ret, size_t size);

/* Are those words more than what is in any log? */
bool journal_is_telling(const char *words);

/* All errors of a log file, as above. */
void journal_errors_of_file(const char *path, void (*each)(const char *line));

/* What the user can do about it, with words before it ("; "), or "". */
const char *journal_remedy(const char *cause);

#endif
