/*
 * signals.h - the options that say which signal follows a checkpoint or a restart
 *
 * The last one of them on the command line counts.
 */
#ifndef CLI_BLCR_SIGNALS_H
#define CLI_BLCR_SIGNALS_H

#include "cli/tool.h"

/* IDs in the tools' tables; a tool's own begin behind them. */
enum {
    SIGNAL_NONE = 1,
    SIGNAL_NUMBER,
    SIGNAL_STOP,
    SIGNAL_TERM,
    SIGNAL_ABORT,
    SIGNAL_KILL,
    SIGNAL_CONT,
    SIGNAL_EARLY_STOP,
    SIGNAL_EARLY_ABORT,
    SIGNAL_END,
};

/* `each`: "saved" or "restarted". */
#define SIGNAL_OPTIONS(each)                                                                       \
    {"run", 0, SIGNAL_NONE, .help = "no signal: they run on (default)"},                           \
        {"signal",         'S',                                                                    \
         SIGNAL_NUMBER,    TOOL_VALUE,                                                             \
         .metavar = "NUM", .help = "send signal NUM, 1 to 64, to each " each " process"},          \
        {"stop", 0, SIGNAL_STOP, .help = "send SIGSTOP"},                                          \
        {"term", 0, SIGNAL_TERM, .help = "send SIGTERM"},                                          \
        {"abort", 0, SIGNAL_ABORT, .help = "send SIGABRT"},                                        \
        {"kill", 0, SIGNAL_KILL, .help = "send SIGKILL"},                                          \
        {"cont", 0, SIGNAL_CONT, .help = "send SIGCONT, to those that were stopped"},              \
        {"early-stop", 0, SIGNAL_EARLY_STOP, .help = "SIGSTOP, before any process runs on"},       \
    {                                                                                              \
        "early-abrt", 0, SIGNAL_EARLY_ABORT, .help = "SIGABRT, likewise"                           \
    }

/* TOOL_GO_ON with *ret_signal (below 0: early); EINVAL with words; 0: it is none of these. */
int signals_take(const struct tool *tool, int id, const char *value, int *ret_signal);

#endif
