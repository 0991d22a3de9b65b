/*
 * messages.h - error codes in words, and the lines of a log
 */
#ifndef CLI_BLCR_MESSAGES_H
#define CLI_BLCR_MESSAGES_H

#include "cli/tool.h"

/* How much of the log is shown. */
enum messages_level { MESSAGES_ERROR = 0, MESSAGES_WARNING, MESSAGES_NONE };

#define MESSAGES_OPTIONS(none, error, warning)                                                     \
    {"kmsg-none", 0, none, .help = "show no details"},                                             \
        {"kmsg-error", 0, error, .help = "show details of a failure (default)"},                   \
    {                                                                                              \
        "kmsg-warning", 0, warning, .help = "show warnings as well, also of a success"             \
    }

/* An errno value or CR_E*, in words that stay. */
const char *messages_words(int error);

/* What a tool ends with. */
int messages_exit_code(int error);

/* Each line of the log behind "- ", as the level asks for it. */
void messages_show_log(const char *log, enum messages_level level, bool failed);

#endif
