/* checkpoint.c - one checkpoint from its options to its result */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "opal/constants.h"
#include "opal/mca/crs/base/base.h"
#include "opal/util/output.h"
#include "openpal/runtime/gate.h"
#include "openpal/runtime/protocol.h"
#include "openpal/runtime/runtime.h"

/* ---- words and kinds ---- */

static enum crs_kind kind_of(int code)
{
    switch (code) {
    case OPAL_ERR_BAD_PARAM:
        return CRS_USAGE;
    case OPAL_ERR_PERM:
        return CRS_NOT_PERMITTED;
    case OPAL_ERR_RESOURCE_BUSY:
        return CRS_BUSY;
    case OPAL_ERR_TIMEOUT:
    case OPAL_EXISTS:
        return CRS_TIMED_OUT;
    case OPAL_ERR_NOT_SUPPORTED:
    case OPAL_ERR_NOT_AVAILABLE:
        return CRS_CANT_CHECKPOINT;
    case OPAL_ERR_FILE_WRITE_FAILURE:
    case OPAL_ERR_FILE_OPEN_FAILURE:
        return CRS_STORAGE;
    case OPAL_ERR_IN_ERRNO:
        return errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EROFS ? CRS_STORAGE
                                                                                    : CRS_FAILED;
    default:
        return CRS_FAILED;
    }
}

static int __attribute__((format(printf, 3, 4)))
fail(struct checkpoint *c, int code, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(c->words, sizeof(c->words), format, ap);
    va_end(ap);
    c->kind = kind_of(code);
    return code;
}

/* ---- the snapshot ---- */

static bool is_name(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length > 200 || name[0] == '.')
        return false;
    for (const char *p = name; *p; p++)
        if (*p == '/' || (unsigned char)*p < ' ' || *p == 127)
            return false;
    return true;
}

static char *absolute(const char *where)
{
    _cleanup_free_ char *here = NULL;

    if (where[0] == '/')
        return strdup(where);
    here = getcwd(NULL, 0);
    return here ? format_string("%s/%s", here, where) : NULL;
}

int checkpoint_begin(struct checkpoint *c, const char *name, const char *where)
{
    opal_crs_base_snapshot_t *s;
    _cleanup_free_ char *directory = where && where[0] ? absolute(where) : NULL;

    if (!opal_crs.crs_checkpoint)
        return fail(c, OPAL_ERR_NOT_AVAILABLE,
                    "it has no checkpointer: no component of crs was selected");
    if (name && name[0] && !is_name(name))
        return fail(c, OPAL_ERR_BAD_PARAM,
                    "'%s' is no name for a snapshot: it may not have a dot in front, slashes, "
                    "control characters, or more than 200 bytes",
                    name);
    s = c->snapshot = OBJ_NEW(opal_crs_base_snapshot_t);
    if (!s)
        return fail(c, OPAL_ERR_OUT_OF_RESOURCE, "out of memory");
    s->reference_name =
        name && name[0] ? strdup(name) : opal_crs_base_unique_snapshot_name(getpid());
    if (s->reference_name)
        s->local_location = directory ? format_string("%s/%s", directory, s->reference_name)
                                      : opal_crs_base_get_snapshot_directory(s->reference_name);
    if (!s->local_location || strlen(s->local_location) >= PATH_MAX)
        return fail(c, OPAL_ERR_BAD_PARAM, "no path for the snapshot can be made of '%s' and '%s'",
                    where ? where : "", name ? name : "");
    return OPAL_SUCCESS;
}

void checkpoint_end(struct checkpoint *c)
{
    if (c->snapshot)
        OBJ_RELEASE(c->snapshot);
}

/* ---- the run ---- */

struct timer {
    uint64_t begin_us, prepared_us, saved_us;
};

static void tell_times(const struct timer *t)
{
    uint64_t now = now_us();

    if (runtime_params.enable_timer)
        opal_output(0, "opal_cr: prepare %.3f s, save %.3f s, recover %.3f s, total %.3f s",
                    (double)(t->prepared_us - t->begin_us) / 1e6,
                    (double)(t->saved_us - t->prepared_us) / 1e6, (double)(now - t->saved_us) / 1e6,
                    (double)(now - t->begin_us) / 1e6);
}

static void tell(struct checkpoint *c, int event)
{
    if (c->tell)
        c->tell(c, event);
}

/* Nothing of the program runs after the saved instant: no handlers of atexit(3), whose files the
 * restarted program still needs, and no buffers of stdio, which it has too. */
static void __attribute__((noreturn)) terminate(struct checkpoint *c)
{
    tell(c, PROTOCOL_TERMINATED);
    listener_leave();
    _exit(0);
}

static int save(struct checkpoint *c)
{
    /* Stopping and ending are done here, when the snapshot is complete and the requester knows. */
    opal_crs_base_ckpt_options_t options = c->options;
    int r;

    options.term = options.stop = false;
    opal_crs_base_clear_failure();
    r = opal_cr_inc_core_ckpt(0, c->snapshot, &options, &c->state);
    if (r != OPAL_SUCCESS && c->state == OPAL_CRS_ERROR) {
        const char *why = opal_crs_base_failure();
        const char *callback = inc_failure();
        return fail(c, r, "%s", why && why[0] ? why : callback[0] ? callback : opal_strerror(r));
    }
    if (c->state == OPAL_CRS_CONTINUE && c->options.term)
        c->state = OPAL_CRS_TERM;
    return OPAL_SUCCESS;
}

static int recover(struct checkpoint *c)
{
    int r = opal_cr_inc_core_recover(c->state);

    if (r == OPAL_SUCCESS || c->state == OPAL_CRS_ERROR)
        return OPAL_SUCCESS;
    opal_output(0, "opal_cr: after a checkpoint: %s", inc_failure());
    return fail(c, r, "%s", inc_failure());
}

/* The snapshot is complete: who asked for it is told before the program is stopped. */
static void establish(struct checkpoint *c)
{
    c->established = true;
    tell(c, PROTOCOL_ESTABLISHED);
    if (c->options.stop && c->state == OPAL_CRS_CONTINUE) {
        tell(c, PROTOCOL_STOPPED);
        raise(SIGSTOP); /* to this thread: it goes no step further before all are stopped */
    }
}

int checkpoint_run(struct checkpoint *c)
{
    bool prepared = inc_is_prepared(); /* by inc_prep_only; inc_recover_only follows some time */
    struct timer timer = {.begin_us = now_us()};
    int r = prepared ? OPAL_SUCCESS : opal_cr_inc_core_prep(), recovered;

    c->state = OPAL_CRS_ERROR;
    if (r != OPAL_SUCCESS)
        return fail(c, r, "%s", inc_failure());
    timer.prepared_us = now_us();
    r = save(c);
    timer.saved_us = now_us();
    if (r == OPAL_SUCCESS && c->state != OPAL_CRS_RESTART)
        establish(c);
    recovered = prepared ? OPAL_SUCCESS : recover(c);
    if (c->state != OPAL_CRS_RESTART)
        tell_times(&timer);
    if (c->state == OPAL_CRS_TERM)
        terminate(c);
    return r != OPAL_SUCCESS ? r : recovered;
}
