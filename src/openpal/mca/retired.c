/*
 * retired.c - parameters that other versions had, and why there is nothing here that they could set
 */
#include <string.h>

#include "base/array.h"
#include "openpal/mca/param.h"

static const struct {
    const char *name, *why; /* a name that ends with _: all that begin so */
} retired[] = {
    {"opal_cr_signal", "requests come through a socket: no signal of the program is taken"},
    {"opal_cr_thread_sleep_check", "the thread sleeps until it is asked, it doesn't look"},
    {"opal_cr_enable_timer_barrier", "one process is timed: there are no others to wait for"},
    {"opal_cr_timer_target_rank", "every process tells its own times (opal_cr_enable_timer)"},
    {"opal_cr_debug_sigpipe", "no signal of the program is taken"},
    {"opal_cr_enable_crdebug", "a debugger attaches before or after a checkpoint as it likes"},
    {"opal_cr_crdebug_signal", "a debugger attaches before or after a checkpoint as it likes"},
    {"opal_cr_allow_opal_only", "Open PAL is all that there is"},
    {"crs_base_do_not_select", "a restart selects by the snapshot's metadata"},
    {"crs_dmtcp_", "there is no such component: blcr saves whole programs"},
};

const char *mca_param_why_retired(const char *name)
{
    for (size_t i = 0; i < ELEMENTS(retired); i++) {
        size_t length = strlen(retired[i].name);
        bool is_prefix = retired[i].name[length - 1] == '_';

        if (is_prefix ? strncmp(name, retired[i].name, length) == 0
                      : strcmp(name, retired[i].name) == 0)
            return retired[i].why;
    }
    return NULL;
}
