/* messages.c - error codes in words, and the lines of a log */
#include <string.h>

#include "blcr_common.h"
#include "cli/blcr/messages.h"

static const struct {
    int code;
    const char *words;
} table[] = {
    {CR_ETEMPFAIL, "a callback put the checkpoint off"},
    {CR_EPERMFAIL, "a callback forbade the checkpoint for good, and the job was killed"},
    {CR_ENOSUPPORT, "a process has no checkpoint library"},
    {CR_EVERSION, "the context has another version than this tool can read"},
    {CR_EOMITTED, "the process was left out by its own callback"},
    {CR_EBADARCH, "the context is of another processor architecture"},
    {CR_EPTRACED, "a process is being traced"},
    {CR_EPTRACER, "a process traces others"},
    {CR_ERSTRTABRT, "a callback failed, and the restarted job was killed"},
    {CR_ERESTARTED, "the request was made before the restart"},
    {CR_ENOTCB, "this is possible only in a callback"},
    {CR_ENOINIT, "the thread has not called cr_init()"},
};

const char *messages_words(int error)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].code == error)
            return table[i].words;
    return strerror(error);
}

int messages_exit_code(int error)
{
    return error & 255;
}

void messages_show_log(const char *log, enum messages_level level, bool failed)
{
    if (!log || level == MESSAGES_NONE || (level == MESSAGES_ERROR && !failed))
        return;
    while (*log) {
        int n = (int)strcspn(log, "\n");
        if (n > 0)
            tool_say("- %.*s", n, log);
        log += n + (log[n] == '\n');
    }
}
