/*
 * arguments.c - defaults of requests, and the words for errors
 */
#include <errno.h>
#include <string.h>

#include "libcr.h"

#define EXPORTED __attribute__((visibility("default")))

static int fail(int errnum)
{
    errno = errnum;
    return -1;
}

EXPORTED int cri_init_checkpoint_args_t(cr_version_t version, cr_checkpoint_args_t *args)
{
    if (version != CR_CHECKPOINT_ARGS_VERSION)
        return fail(EINVAL);
    if (!args)
        return fail(EFAULT);
    *args = (cr_checkpoint_args_t){
        .cr_version = version,
        .cr_scope = (cr_scope_t)-1,
        .cr_fd = -1,
    };
    return 0;
}

EXPORTED int cri_init_restart_args_t(cr_version_t version, cr_restart_args_t *args)
{
    if (version != CR_RESTART_ARGS_VERSION)
        return fail(EINVAL);
    if (!args)
        return fail(EFAULT);
    *args = (cr_restart_args_t){
        .cr_version = version,
        .cr_fd = -1,
        .cr_flags = CR_RSTRT_RESTORE_PID,
    };
    return 0;
}

#define TEXT(name, text) text,

EXPORTED const char *cr_strerror(int errnum)
{
    static const char *const texts[] = {CR_ERRCODES(TEXT)};

    if (errnum > CR_MIN_ERRCODE && errnum < CR_MAX_ERRCODE)
        return texts[errnum - CR_MIN_ERRCODE - 1];
    return strerror(errnum);
}
