/* checkpoint_options.c - what can be asked of a checkpoint, and what excludes what */
#include <unistd.h>

#include "engine/checkpoint.h"

int checkpoint_check_options(const struct crs_checkpoint_options *o, struct crs_error *err)
{
    if (o->output && o->name)
        return crs_fail(err, CRS_USAGE, EINVAL,
                        "a snapshot has an output directory or a name in the store, not both");
    if ((int)o->afterwards < CRS_CONTINUE || o->afterwards > CRS_STOP)
        return crs_fail(err, CRS_USAGE, EINVAL, "afterwards is %d", o->afterwards);
    if ((int)o->scope < CRS_TREE || o->scope > CRS_SESSION)
        return crs_fail(err, CRS_USAGE, EINVAL, "the scope is %d", o->scope);
    if ((int)o->tcp < CRS_TCP_REFUSE || o->tcp > CRS_TCP_KEEP)
        return crs_fail(err, CRS_USAGE, EINVAL, "an unknown policy for TCP connections: %d",
                        o->tcp);
    if ((int)o->unix_sockets < CRS_UNIX_REFUSE || o->unix_sockets > CRS_UNIX_RECONNECT)
        return crs_fail(err, CRS_USAGE, EINVAL, "unix_sockets is %d", o->unix_sockets);
    if ((int)o->pipes < CRS_PIPES_REFUSE || o->pipes > CRS_PIPES_GIVE)
        return crs_fail(err, CRS_USAGE, EINVAL, "pipes is %d", o->pipes);
    if ((int)o->freeze < CRS_FREEZE_AUTO || o->freeze > CRS_FREEZE_FORK)
        return crs_fail(err, CRS_USAGE, EINVAL, "an unknown way to freeze: %d", o->freeze);
    if (o->save_files & ~(unsigned)CRS_SAVE_ALL)
        return crs_fail(err, CRS_USAGE, EINVAL, "save_files is %u", o->save_files);
    if (o->base && o->full)
        return crs_fail(err, CRS_USAGE, EINVAL, "a full snapshot has no base");
    if (o->base && (o->stream_fd || o->form == CRS_FORM_STREAM))
        return crs_fail(err, CRS_USAGE, EINVAL,
                        "a stream has all of its pages in itself: it can't have a base");
    if (o->stream_fd < 0 || (o->stream_fd && (o->output || o->name)))
        return crs_fail(err, CRS_USAGE, EINVAL,
                        "a snapshot has a descriptor above 0 to be written to, an output path or a "
                        "name in the store: one of these");
    if ((int)o->form < CRS_FORM_DIRECTORY || o->form > CRS_FORM_STREAM)
        return crs_fail(err, CRS_USAGE, EINVAL, "an unknown form of snapshots: %d", o->form);
    if (o->form == CRS_FORM_STREAM && !o->output && !o->stream_fd)
        return crs_fail(err, CRS_USAGE, EINVAL,
                        "a store has directories only: a stream needs an output path");
    return o->timeout_ms < 0 ? crs_fail(err, CRS_USAGE, EINVAL, "a negative timeout") : 0;
}

int checkpoint_check_pid(pid_t pid, const struct crs_checkpoint_options *o, struct crs_error *err)
{
    if (pid <= 0)
        return crs_fail(err, CRS_USAGE, EINVAL, "%d is not a process ID", pid);
    if (pid == getpid() || pid == o->tool)
        return crs_fail(err, CRS_USAGE, EINVAL,
                        "a process can't be checkpointed from inside itself: start another one for "
                        "it");
    return 0;
}
