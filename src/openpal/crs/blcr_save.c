/*
 * blcr_save.c - a checkpoint by libcr
 *
 * Who asks is in the image, if it is its own process: the restarted one wakes up in the same wait,
 * and finds its request answered by CR_ERESTARTED.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "libcr.h"
#include "openpal/crs/blcr.h"

int opal_crs_blcr_code(int errnum)
{
    switch (errnum) {
    case EPERM:
    case EACCES:
        return OPAL_ERR_PERM;
    case EBUSY:
    case CR_ETEMPFAIL:
        return OPAL_ERR_RESOURCE_BUSY;
    case ESRCH:
    case ENOENT:
        return OPAL_ERR_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EIO:
        return OPAL_ERR_FILE_WRITE_FAILURE;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return OPAL_ERR_OUT_OF_RESOURCE;
    case ENOSYS:
        return OPAL_ERR_NOT_AVAILABLE;
    case CR_ENOSUPPORT:
        return OPAL_ERR_NOT_SUPPORTED;
    case ETIMEDOUT:
        return OPAL_ERR_TIMEOUT;
    default:
        return OPAL_ERROR;
    }
}

char *opal_crs_blcr_words(const char *messages)
{
    char *words = messages && *messages ? malloc(2 * strlen(messages) + 1) : NULL;
    char *to = words;

    for (const char *at = messages; words && *at; at++)
        if (*at != '\n')
            *to++ = *at;
        else if (at[1])
            to = stpcpy(to, "; ");
    if (words)
        *to = '\0';
    return words;
}

static int fail(const struct opal_crs_blcr_wish *wish, int errnum, const char *messages)
{
    _cleanup_free_ char *words = opal_crs_blcr_words(messages);
    const char *remedy = "";

    if (errnum == ENOSYS)
        remedy = "; crs-request isn't there: install OpenCRS whole";
    if (errnum == EIO && !words)
        remedy = ": crs-request, which makes it, has ended; was it killed?";
    if (errnum == EFBIG && !words)
        remedy = " for the limit of this process (ulimit -f); raise that";
    if (errnum == CR_ENOSUPPORT)
        remedy = "; start it with cr_run, or save it with crs checkpoint";
    return opal_crs_base_fail(opal_crs_blcr_code(errnum), "process %d can't be saved: %s%s",
                              (int)wish->pid, words ? words : cr_strerror(errnum), remedy);
}

static int open_context(const struct opal_crs_blcr_wish *wish)
{
    if (strcmp(wish->path, BLCR_NOTHING) == 0)
        return open(wish->path, O_WRONLY | O_CLOEXEC);
    return open(wish->path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* 0 or an errno value. Errors come with messages, so all of them are left to the wait. Nobody has
 * the file open any more when the image is taken. */
static int request(const struct opal_crs_blcr_wish *wish, cr_checkpoint_handle_t *ret)
{
    _cleanup_close_ int fd = open_context(wish);
    cr_checkpoint_args_t args;

    cr_initialize_checkpoint_args_t(&args);
    args.cr_scope = CR_SCOPE_PROC;
    args.cr_target = wish->pid;
    args.cr_fd = fd;
    args.cr_signal = wish->signal;
    args.cr_flags |= CR_CHKPT_ASYNC_ERR;
    return fd < 0 || cr_request_checkpoint(&args, ret) < 0 ? errno : 0;
}

/* 0 or an errno value. */
static int wait_for(cr_checkpoint_handle_t *handle, char **ret_messages)
{
    int r;

    do
        r = cr_poll_checkpoint_msg(handle, NULL, ret_messages);
    while (r == 0 || (r == CR_POLL_CHKPT_ERR_PRE && errno == EINTR));
    return r > 0 ? 0 : errno;
}

int opal_crs_blcr_save(const struct opal_crs_blcr_wish *wish, opal_crs_state_type_t *ret_state)
{
    _cleanup_free_ char *messages = NULL;
    cr_checkpoint_handle_t handle;
    int r = request(wish, &handle);

    if (r == 0)
        r = wait_for(&handle, &messages);
    if (r != 0 && r != CR_ERESTARTED) {
        if (strcmp(wish->path, BLCR_NOTHING) != 0)
            unlink(wish->path);
        return fail(wish, r, messages);
    }
    *ret_state = r == 0 ? OPAL_CRS_CONTINUE : OPAL_CRS_RESTART;
    return OPAL_SUCCESS;
}
