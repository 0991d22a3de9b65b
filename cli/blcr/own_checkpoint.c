/* own_checkpoint.c - what becomes of cr_restart when a checkpoint meets it */
#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "cli/blcr/own_checkpoint.h"
#include "libcr.h"

static pid_t job;
static enum own_checkpoint wish;

static bool is_omitted(const struct cr_checkpoint_info *info)
{
    bool starts_here =
        info->target == getpid() && (info->scope == CR_SCOPE_TREE || info->scope == CR_SCOPE_PROC);

    return wish == OWN_CHECKPOINT_OMITTED || (wish == OWN_CHECKPOINT_MAYBE && starts_here);
}

/* A job that has ended meanwhile leaves nothing to save but us. */
static int on_checkpoint(void *arg)
{
    const struct cr_checkpoint_info *info = cr_get_checkpoint_info();
    bool omitted = is_omitted(info);

    if (cr_forward_checkpoint(CR_SCOPE_TREE, job) < 0 && errno != ESRCH)
        cr_checkpoint(CR_CHECKPOINT_TEMP_FAILURE_CODE(errno));
    else
        cr_checkpoint(omitted ? CR_CHECKPOINT_OMIT : CR_CHECKPOINT_READY);
    return 0;
}

void own_checkpoint_allow(pid_t pid, enum own_checkpoint what)
{
    job = pid;
    wish = what;
    if (cr_init() >= 0)
        cr_register_callback(on_checkpoint, NULL, CR_THREAD_CONTEXT);
}
