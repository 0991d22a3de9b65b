/*
 * self_request.c - the deprecated requests: of the process itself, without a handle
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "libcr/cri.h"
#include "libcr/handle.h"

#define EXPORTED __attribute__((visibility("default")))

/* 0 or an errno value. */
static int wait_for_end(cr_checkpoint_handle_t *handle)
{
    int r;

    do
        r = cr_poll_checkpoint(handle, NULL);
    while (r == 0 || (r == CR_POLL_CHKPT_ERR_PRE && errno == EINTR));
    return r > 0 ? 0 : errno;
}

/* In a critical section it has to be left before anything happens. */
static int request(int fd)
{
    cr_checkpoint_args_t args;
    cr_checkpoint_handle_t handle;

    if (cri_me.group)
        return EBUSY;
    if (cri_need_init() < 0)
        return CR_ENOINIT;
    cr_initialize_checkpoint_args_t(&args);
    args.cr_scope = CR_SCOPE_PROC;
    args.cr_fd = fd;
    if (cr_request_checkpoint(&args, &handle) < 0)
        return errno;
    if (cri_me.depth == 0)
        return wait_for_end(&handle);
    cri_request_detach(handle);
    return 0;
}

static void request_file(const char *name)
{
    _cleanup_close_ int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);

    if (fd >= 0)
        errno = request(fd);
}

EXPORTED void cr_request_fd(int fd)
{
    errno = request(fd);
}

EXPORTED void cr_request_file(const char *filename)
{
    request_file(filename);
}

EXPORTED void cr_request(void)
{
    char name[32];

    snprintf(name, sizeof(name), "context.%d", (int)getpid());
    request_file(name);
}
