/* request.c - what a program asks for itself */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "opal/constants.h"
#include "opal/mca/crs/base/base.h"
#include "opal/util/output.h"
#include "openpal/runtime/gate.h"
#include "openpal/runtime/runtime.h"

bool opal_cr_is_restarted(void)
{
    return opal_cr_restart_count() > 0;
}

int opal_cr_restart_count(void)
{
    return atomic_load(&n_restarts);
}

int opal_cr_enter_critical(void)
{
    return save_enter_section();
}

int opal_cr_leave_critical(void)
{
    return save_leave_section();
}

void opal_cr_test_if_checkpoint_ready(void)
{
    listener_test();
}

/* Between two attempts others may hold the gate, and sections are entered: what a level waits for
 * can happen. */
static int run_patiently(struct checkpoint *c)
{
    uint64_t until = now_us() + (uint64_t)runtime_params.patience_s * 1000000;
    int r;

    for (;;) {
        r = gate_begin(true, NULL, 0);
        if (r != OPAL_SUCCESS)
            return r;
        r = checkpoint_run(c);
        gate_end();
        if (r != OPAL_EXISTS || c->established)
            return r;
        if (runtime_params.patience_s > 0 && now_us() >= until)
            return OPAL_ERR_TIMEOUT;
        usleep((useconds_t)runtime_params.sleep_wait_us);
    }
}

/* Levels that have been prepared stay so: their coordinator recovers them. */
static int run_once(struct checkpoint *c)
{
    return inc_is_prepared() ? checkpoint_run(c) : run_patiently(c);
}

static void tell_failure(const struct checkpoint *c, int r)
{
    if (r != OPAL_SUCCESS && c->words[0])
        opal_output(0, "opal_cr: the checkpoint failed: %s", c->words);
}

int opal_cr_request_checkpoint(opal_crs_base_ckpt_options_t *options, const char *name,
                               const char *where, char **handle, opal_crs_state_type_t *state)
{
    struct checkpoint c = {.state = OPAL_CRS_ERROR};
    char *path = NULL;
    int r;

    OBJ_CONSTRUCT(&c.options, opal_crs_base_ckpt_options_t);
    opal_crs_base_clear_options(&c.options);
    if (options)
        opal_crs_base_copy_options(options, &c.options);
    r = checkpoint_begin(&c, name, where);
    if (r == OPAL_SUCCESS)
        r = run_once(&c);
    if (r == OPAL_SUCCESS && handle && !(path = strdup(c.snapshot->local_location)))
        r = OPAL_ERR_OUT_OF_RESOURCE;
    if (state)
        *state = (opal_crs_state_type_t)c.state;
    if (r == OPAL_SUCCESS && handle)
        *handle = path;
    tell_failure(&c, r);
    checkpoint_end(&c);
    return r;
}
