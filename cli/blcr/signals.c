/* signals.c - the options that say which signal follows a checkpoint or a restart */
#include <errno.h>
#include <signal.h>

#include "cli/blcr/signals.h"

#define MAX_SIGNAL 64

static const int numbers[SIGNAL_END] = {
    [SIGNAL_STOP] = SIGSTOP,         [SIGNAL_TERM] = SIGTERM, [SIGNAL_ABORT] = SIGABRT,
    [SIGNAL_KILL] = SIGKILL,         [SIGNAL_CONT] = SIGCONT, [SIGNAL_EARLY_STOP] = -SIGSTOP,
    [SIGNAL_EARLY_ABORT] = -SIGABRT,
};

int signals_take(const struct tool *tool, int id, const char *value, int *ret_signal)
{
    uint64_t number;

    if (id < SIGNAL_NONE || id >= SIGNAL_END)
        return 0;
    if (id != SIGNAL_NUMBER) {
        *ret_signal = numbers[id];
        return TOOL_GO_ON;
    }
    if (!tool_parse_id(value, MAX_SIGNAL, &number)) {
        tool_say("%s: '%s' is no signal: 1 to %d", tool->name, value, MAX_SIGNAL);
        return EINVAL;
    }
    *ret_signal = (int)number;
    return TOOL_GO_ON;
}
