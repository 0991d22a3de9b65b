/*
 * runtime.c - the runtime's functions in one process, with the component that saves nothing
 */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "opal/constants.h"
#include "opal/mca/crs/base/base.h"
#include "opal/runtime/opal.h"
#include "opal/runtime/opal_cr.h"
#include "openpal_test.h"

static int request(const char *name)
{
    opal_crs_state_type_t state = OPAL_CRS_NONE;
    int r = opal_cr_request_checkpoint(NULL, name, NULL, NULL, &state);

    CHECK(state == (r == OPAL_SUCCESS ? OPAL_CRS_CONTINUE : OPAL_CRS_ERROR));
    return r;
}

/* ---- before, after, twice ---- */

static void begin_and_end(void)
{
    CHECK(opal_finalize() == OPAL_ERROR);
    CHECK(opal_cr_request_checkpoint(NULL, NULL, NULL, NULL, NULL) == OPAL_ERR_NOT_AVAILABLE);
    CHECK(opal_init(NULL, NULL) == OPAL_SUCCESS);
    CHECK(opal_init(NULL, NULL) == OPAL_SUCCESS);
    CHECK(request(NULL) == OPAL_SUCCESS);
    CHECK(opal_finalize() == OPAL_SUCCESS);
    CHECK(request(NULL) == OPAL_SUCCESS);
    CHECK(opal_finalize() == OPAL_SUCCESS && opal_finalize() == OPAL_ERROR);
    CHECK(!opal_crs.crs_checkpoint && !opal_crs.crs_disable_checkpoint);
}

static int n_descriptors(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void leaves_nothing(void)
{
    int before = n_descriptors();
    char path[64];

    for (int i = 0; i < 20; i++) {
        CHECK(opal_init(NULL, NULL) == OPAL_SUCCESS);
        CHECK(request(NULL) == OPAL_SUCCESS);
        CHECK(opal_finalize() == OPAL_SUCCESS);
    }
    CHECK(n_descriptors() == before);
    snprintf(path, sizeof(path), "run/opencrs/opal-%d.sock", getpid());
    CHECK(access(path, F_OK) < 0 && errno == ENOENT);
}

/* ---- inside of callbacks ---- */

static int n_calls;

static int ask_inside(opal_cr_user_inc_callback_event_t event,
                      opal_cr_user_inc_callback_state_t state)
{
    n_calls++;
    CHECK(request("inside") == OPAL_ERR_RESOURCE_BUSY);
    CHECK(opal_finalize() == OPAL_ERR_RESOURCE_BUSY);
    CHECK(opal_cr_inc_core_prep() == OPAL_ERR_RESOURCE_BUSY);
    CHECK(opal_cr_inc_core_recover(OPAL_CRS_CONTINUE) == OPAL_ERROR);
    CHECK(opal_cr_enter_critical() == OPAL_SUCCESS);
    CHECK(opal_cr_leave_critical() == OPAL_SUCCESS);
    OPAL_CR_TEST_CHECKPOINT_READY();
    return OPAL_SUCCESS;
}

static void inside_of_callbacks(void)
{
    opal_cr_user_inc_callback_fn_t before = NULL;

    CHECK(opal_cr_user_inc_register_callback(OPAL_CR_INC_PRE_CRS_PRE_MPI, ask_inside, NULL) == 0);
    CHECK(request(NULL) == OPAL_SUCCESS && n_calls == 1);
    CHECK(opal_cr_user_inc_register_callback(OPAL_CR_INC_PRE_CRS_PRE_MPI, NULL, &before) == 0);
    CHECK(before == ask_inside);
    CHECK(request(NULL) == OPAL_SUCCESS && n_calls == 1);
}

/* ---- sections ---- */

static void sections_of_its_own(void)
{
    CHECK(opal_cr_leave_critical() == OPAL_ERROR);
    CHECK(opal_crs.crs_enable_checkpoint() == OPAL_ERROR);
    CHECK(opal_cr_enter_critical() == OPAL_SUCCESS);
    OPAL_CR_ENTER_LIBRARY();
    CHECK(opal_crs.crs_disable_checkpoint() == OPAL_SUCCESS);
    CHECK(request(NULL) == OPAL_ERR_RESOURCE_BUSY);
    CHECK(opal_cr_leave_critical() == OPAL_SUCCESS);
    CHECK(opal_cr_inc_core_prep() == OPAL_ERR_RESOURCE_BUSY);
    OPAL_CR_EXIT_LIBRARY();
    CHECK(request(NULL) == OPAL_ERR_RESOURCE_BUSY);
    CHECK(opal_crs.crs_enable_checkpoint() == OPAL_SUCCESS);
    CHECK(request(NULL) == OPAL_SUCCESS);
}

static void *enter_and_end(void *arg)
{
    CHECK(opal_cr_enter_critical() == OPAL_SUCCESS);
    return NULL;
}

static void *save_directly(void *arg)
{
    opal_crs_base_snapshot_t *snapshot = OBJ_NEW(opal_crs_base_snapshot_t);
    opal_crs_state_type_t state = OPAL_CRS_NONE;

    snapshot->reference_name = strdup("direct");
    CHECK(opal_crs.crs_checkpoint(0, snapshot, NULL, &state) == OPAL_SUCCESS);
    CHECK(state == OPAL_CRS_CONTINUE && access(snapshot->local_location, F_OK) == 0);
    OBJ_RELEASE(snapshot);
    __atomic_store_n((bool *)arg, true, __ATOMIC_SEQ_CST);
    return NULL;
}

/* A thread that ends takes its sections with it; a component's function that is called directly
 * waits for them as well. */
static void sections_of_others(void)
{
    pthread_t thread;
    bool saved = false;

    CHECK(pthread_create(&thread, NULL, enter_and_end, NULL) == 0 &&
          pthread_join(thread, NULL) == 0);
    CHECK(request(NULL) == OPAL_SUCCESS);
    CHECK(opal_cr_enter_critical() == OPAL_SUCCESS);
    CHECK(pthread_create(&thread, NULL, save_directly, &saved) == 0);
    for (int i = 0; i < 100; i++) {
        CHECK(!__atomic_load_n(&saved, __ATOMIC_SEQ_CST));
        sched_yield();
    }
    CHECK(opal_cr_leave_critical() == OPAL_SUCCESS);
    CHECK(pthread_join(thread, NULL) == 0 && saved);
}

/* ---- the three steps ---- */

static char states[64];
static opal_cr_coord_callback_fn_t below;

static int note_state(int state)
{
    char text[2] = {(char)('0' + state), '\0'};

    strcat(states, text);
    return below(state);
}

static opal_crs_base_snapshot_t *snapshot_named(const char *name)
{
    opal_crs_base_snapshot_t *snapshot = OBJ_NEW(opal_crs_base_snapshot_t);

    snapshot->reference_name = strdup(name);
    return snapshot;
}

static void three_steps(void)
{
    opal_crs_base_snapshot_t *snapshot = snapshot_named("steps");
    opal_cr_coord_callback_fn_t top;
    opal_crs_base_ckpt_options_t options;
    int state = 0;

    OBJ_CONSTRUCT(&options, opal_crs_base_ckpt_options_t);
    opal_crs_base_clear_options(&options);
    CHECK(opal_cr_reg_coord_callback(NULL, NULL) == OPAL_ERR_BAD_PARAM);
    CHECK(opal_cr_reg_coord_callback(note_state, &below) == OPAL_SUCCESS && below);
    CHECK(opal_cr_inc_core_recover(OPAL_CRS_CONTINUE) == OPAL_ERROR);
    CHECK(opal_cr_inc_core_recover(OPAL_CRS_STATE_MAX) == OPAL_ERR_BAD_PARAM);
    CHECK(opal_cr_inc_core_prep() == OPAL_SUCCESS && strcmp(states, "1") == 0);
    CHECK(request("between") == OPAL_SUCCESS && strcmp(states, "1") == 0);
    CHECK(opal_cr_inc_core_ckpt(getpid(), snapshot, NULL, &state) == OPAL_SUCCESS);
    CHECK(state == OPAL_CRS_CONTINUE);
    CHECK(opal_cr_inc_core_recover(state) == OPAL_SUCCESS && strcmp(states, "14") == 0);
    CHECK(opal_cr_inc_core(0, snapshot, NULL, &state) == OPAL_SUCCESS);
    CHECK(state == OPAL_CRS_CONTINUE && strcmp(states, "1414") == 0);
    options.inc_prep_only = true;
    CHECK(opal_cr_inc_core(0, snapshot, &options, &state) == OPAL_SUCCESS);
    CHECK(state == OPAL_CRS_CHECKPOINT && strcmp(states, "14141") == 0);
    options.inc_prep_only = false;
    options.inc_recover_only = true;
    CHECK(opal_cr_inc_core(0, snapshot, &options, &state) == OPAL_SUCCESS);
    CHECK(state == OPAL_CRS_CONTINUE && strcmp(states, "141414") == 0);
    options.inc_recover_only = false;
    options.term = true; /* the caller of the steps ends the process, not they */
    CHECK(opal_cr_inc_core(0, snapshot, &options, &state) == OPAL_SUCCESS);
    CHECK(state == OPAL_CRS_TERM && strcmp(states, "14141415") == 0);
    CHECK(opal_cr_reg_coord_callback(below, NULL) == OPAL_SUCCESS);
    CHECK(opal_cr_reg_coord_callback(below, &top) == OPAL_SUCCESS && top == below);
    CHECK(request(NULL) == OPAL_SUCCESS && strcmp(states, "14141415") == 0);
    OBJ_RELEASE(snapshot);
}

/* ---- who asks wrongly ---- */

static void wrong_requests(void)
{
    CHECK(request("a/b") == OPAL_ERR_BAD_PARAM && request("..") == OPAL_ERR_BAD_PARAM);
    CHECK(opal_cr_user_inc_register_callback(-1, NULL, NULL) == OPAL_ERR_BAD_PARAM);
    CHECK(opal_crs.crs_reg_thread() == OPAL_SUCCESS);
    CHECK(!opal_cr_is_restarted() && opal_cr_restart_count() == 0);
}

static void relative_place(void)
{
    char *handle = NULL, *here = getcwd(NULL, 0), expected[4200];

    CHECK(opal_cr_request_checkpoint(NULL, "x", "place", &handle, NULL) == OPAL_SUCCESS);
    snprintf(expected, sizeof(expected), "%s/place/x", here);
    CHECK(strcmp(handle, expected) == 0 && access("place/x/snapshot_meta.data", R_OK) == 0);
    free(handle);
    free(here);
}

/* ---- signals go to the program's threads ---- */

static volatile pthread_t signalled;

static void on_signal(int sig)
{
    signalled = pthread_self();
}

static void signals_are_the_programs(void)
{
    sigset_t set, old;

    signal(SIGUSR1, on_signal);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, &old) == 0);
    CHECK(kill(getpid(), SIGUSR1) == 0);
    CHECK(request(NULL) == OPAL_SUCCESS && !signalled);
    CHECK(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    CHECK(signalled && pthread_equal(signalled, pthread_self()));
}

int main(void)
{
    CHECK(mkdir("run", 0700) == 0);
    CHECK(setenv("XDG_RUNTIME_DIR", realpath("run", NULL), 1) == 0);
    CHECK(setenv("OPAL_MCA_crs", "none", 1) == 0);
    begin_and_end();
    leaves_nothing();
    CHECK(opal_init(NULL, NULL) == OPAL_SUCCESS);
    inside_of_callbacks();
    sections_of_its_own();
    sections_of_others();
    three_steps();
    wrong_requests();
    relative_place();
    signals_are_the_programs();
    CHECK(opal_finalize() == OPAL_SUCCESS);
    return 0;
}
