/* init.c - the beginning and the end of Open PAL in a process */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "opal/constants.h"
#include "opal/mca/crs/base/base.h"
#include "opal/runtime/opal.h"
#include "opal/util/output.h"
#include "openpal/mca/base_internal.h"
#include "openpal/runtime/gate.h"
#include "openpal/runtime/runtime.h"

struct runtime_params runtime_params;
int runtime_output = -1;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int n_inits;
static bool enabled, opened;

/* ---- parameters ---- */

static const struct {
    const char *name, *help;
    int *value;
    int def;
} numbers[] = {
    {"verbose", "how much the runtime tells on standard error; 0: only errors",
     &runtime_params.verbose, 0},
    {"is_tool", "1: the process is a tool: it can't be asked for checkpoints",
     &runtime_params.is_tool, 0},
    {"use_thread",
     "1: a thread of the library saves the program at any time; 0: a thread of the program does, "
     "when it comes to OPAL_CR_TEST_CHECKPOINT_READY()",
     &runtime_params.use_thread, 1},
    {"thread_sleep_wait",
     "microseconds between two attempts, when a level of the program wasn't ready",
     &runtime_params.sleep_wait_us, 1000},
    {"request_timeout",
     "seconds for which a checkpoint that the program asked for itself is tried while a level "
     "isn't ready; 0: without limit",
     &runtime_params.patience_s, 20},
    {"enable_timer", "1: tell how long the phases of each checkpoint took, on standard error",
     &runtime_params.enable_timer, 0},
};

int opal_cr_register_params(void)
{
    int enable, r;

    r = mca_base_param_reg_int_name("ft_cr", "enabled",
                                    "0: no component is selected, and nobody can ask for "
                                    "checkpoints",
                                    false, false, 1, &enable);
    enabled = enable != 0;
    for (size_t i = 0; r >= 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++)
        r = mca_base_param_reg_int_name("opal_cr", numbers[i].name, numbers[i].help, false, false,
                                        numbers[i].def, numbers[i].value);
    free(runtime_params.tmp_dir);
    runtime_params.tmp_dir = NULL;
    if (r >= 0)
        r = mca_base_param_reg_string_name(
            "opal_cr", "tmp_dir",
            "where the directory for requests is made, in place of $XDG_RUNTIME_DIR", false, false,
            NULL, &runtime_params.tmp_dir);
    return r < 0 ? r : OPAL_SUCCESS;
}

/* ---- fork ---- */

static void fork_prepare(void)
{
    listener_fork_prepare();
    gate_fork_prepare();
    inc_fork_prepare();
}

static void fork_parent(void)
{
    inc_fork_end();
    gate_fork_parent();
    listener_fork_parent();
}

static void fork_child(void)
{
    inc_fork_end();
    gate_fork_child();
    listener_fork_child();
}

static void watch_forks(void)
{
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}

/* ---- init ---- */

/* `self` starts the program anew: which start it is comes with the parameter. */
static void count_restarts(void)
{
    int index = mca_base_param_find("crs", "self", "do_restart"), value = 0;

    if (index >= 0 && mca_base_param_lookup_int(index, &value) == OPAL_SUCCESS)
        atomic_store(&n_restarts, value > 0 ? value : 0);
}

static int start_listening(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    if (runtime_params.is_tool || !enabled)
        return OPAL_SUCCESS;
    pthread_once(&once, watch_forks);
    return listener_start();
}

static void close_all(void)
{
    save_remove();
    if (opened)
        opal_crs_base_close();
    opened = false;
    mca_base_close();
    if (runtime_output > 0)
        opal_output_close(runtime_output);
    runtime_output = -1;
    free(runtime_params.tmp_dir);
    runtime_params.tmp_dir = NULL;
}

static int open_all(int *pargc, char ***pargv)
{
    int r = mca_base_open(pargc, pargv), checked;

    if (r != OPAL_SUCCESS)
        return r;
    runtime_output = opal_output_open(NULL);
    r = opal_cr_register_params();
    if (r == OPAL_SUCCESS && runtime_output > 0)
        opal_output_set_verbosity(runtime_output, runtime_params.verbose);
    if (r == OPAL_SUCCESS)
        r = opal_crs_base_open(); /* its parameters are known, whether it is wanted or not */
    opened = r == OPAL_SUCCESS;
    checked = mca_base_check();
    if (r == OPAL_SUCCESS)
        r = checked;
    count_restarts();
    if (r == OPAL_SUCCESS && enabled)
        r = opal_crs_base_select();
    if (r == OPAL_SUCCESS) {
        save_install();
        r = start_listening();
    }
    if (r != OPAL_SUCCESS)
        close_all();
    return r;
}

int opal_init(int *pargc, char ***pargv)
{
    int r = OPAL_SUCCESS;

    pthread_mutex_lock(&lock);
    if (n_inits == 0)
        r = open_all(pargc, pargv);
    else if (!listener_is_there()) /* a child that wants to be asked, too */
        r = start_listening();
    if (r == OPAL_SUCCESS)
        n_inits++;
    pthread_mutex_unlock(&lock);
    return r;
}

/* ---- finalize ---- */

int opal_finalize(void)
{
    int r;

    if (gate_is_mine()) /* a callback, or between prep and recover */
        return OPAL_ERR_RESOURCE_BUSY;
    pthread_mutex_lock(&lock);
    if (n_inits != 1) {
        r = n_inits > 0 ? OPAL_SUCCESS : OPAL_ERROR;
        n_inits -= n_inits > 0;
        pthread_mutex_unlock(&lock);
        return r;
    }
    r = gate_begin_last();
    listener_stop();
    close_all();
    inc_reset();
    atomic_store(&n_restarts, 0);
    n_inits = 0;
    gate_end();
    pthread_mutex_unlock(&lock);
    return r;
}
