/*
 * blcr_program.c - a program that is saved whole
 *
 * part: no
 * link: -lcr
 *
 *     blcr_program life     asks for a checkpoint of itself, as "first", and restarted, as
 * "second"; ends with 40 + how often it was restarted blcr_program term     the same, and ends with
 * the checkpoint blcr_program stop     by the component's own function, which stops it blcr_program
 * section  is in a critical section until somebody wants to save it, then shows whether it still is
 *
 * What happens is appended to the file `log`, one line each, by an open of its own: nothing is
 * overwritten after a restart. A second thread books from one account to another all the time.
 */
#include <fcntl.h>
#include <pthread.h>

#include "opal/mca/crs/base/base.h"
#include "opal/runtime/opal.h"
#include "opal/runtime/opal_cr.h"
#include "openpal_test.h"

/* Of libcr.h, which is in another folder. */
extern int cr_status(void);
#define CR_STATE_PENDING 1

static long accounts[2] = {1000, 0};
char ballast[1 << 20]; /* a snapshot isn't small */
static volatile bool inside;
static volatile bool end;

static void say(const char *format, int number)
{
    char line[200];
    int fd = open("log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    int n = snprintf(line, sizeof(line), format, number);

    CHECK(fd >= 0 && write(fd, line, (size_t)n) == n && close(fd) == 0);
}

static void *book(void *arg)
{
    CHECK(opal_crs.crs_reg_thread() == OPAL_SUCCESS);
    while (!end) {
        CHECK(opal_crs.crs_disable_checkpoint() == OPAL_SUCCESS);
        accounts[0]--;
        accounts[1]++;
        CHECK(accounts[0] + accounts[1] == 1000);
        CHECK(opal_crs.crs_enable_checkpoint() == OPAL_SUCCESS);
    }
    return NULL;
}

static opal_crs_state_type_t save(const char *name, bool term)
{
    opal_crs_base_ckpt_options_t *options = OBJ_NEW(opal_crs_base_ckpt_options_t);
    opal_crs_state_type_t state = OPAL_CRS_NONE;
    char *handle = NULL;

    options->term = term;
    int r = opal_cr_request_checkpoint(options, name, NULL, &handle, &state);
    OBJ_RELEASE(options);
    if (r != OPAL_SUCCESS)
        printf("%s: %s\n", opal_strerror(r), opal_crs_base_failure());
    CHECK((r == OPAL_SUCCESS) == (handle != NULL) || state == OPAL_CRS_RESTART);
    free(handle);
    say(state == OPAL_CRS_CONTINUE  ? "continue %d\n"
        : state == OPAL_CRS_RESTART ? "restart %d\n"
                                    : "error %d\n",
        opal_cr_restart_count());
    return state;
}

/* Each life goes from one checkpoint to the next. */
static void live(void)
{
    if (save("first", false) == OPAL_CRS_RESTART)
        save("second", false);
}

static void ask_often(void)
{
    while (access("end", F_OK) < 0)
        CHECK(save("many", false) != OPAL_CRS_RESTART || access("end", F_OK) == 0);
    CHECK(save("many", false) == OPAL_CRS_CONTINUE || opal_cr_is_restarted());
}

static void stop(void)
{
    opal_crs_base_snapshot_t *snapshot = OBJ_NEW(opal_crs_base_snapshot_t);
    opal_crs_base_ckpt_options_t *options = OBJ_NEW(opal_crs_base_ckpt_options_t);
    opal_crs_state_type_t state = OPAL_CRS_NONE;

    options->stop = true;
    snapshot->reference_name = strdup("stopped");
    CHECK(opal_crs.crs_checkpoint(0, snapshot, options, &state) == OPAL_SUCCESS);
    say("state %d\n", (int)state);
    OBJ_RELEASE(options);
    OBJ_RELEASE(snapshot);
}

/* Nested, so that leaving one of them isn't enough. The request is taken before the last one is
 * left. */
static void stay_inside(void)
{
    CHECK(opal_crs.crs_disable_checkpoint() == OPAL_SUCCESS);
    CHECK(opal_crs.crs_disable_checkpoint() == OPAL_SUCCESS);
    inside = true;
    say("inside\n", 0);
    while (cr_status() != CR_STATE_PENDING)
        usleep(1000);
    CHECK(opal_crs.crs_enable_checkpoint() == OPAL_SUCCESS);
    CHECK(cr_status() == CR_STATE_PENDING);
    inside = false;
    CHECK(opal_crs.crs_enable_checkpoint() == OPAL_SUCCESS);
    CHECK(opal_crs.crs_enable_checkpoint() == OPAL_ERROR);
}

/* Taken when nobody is inside: after a restart this thread never sees the opposite. */
static void *look(void *arg)
{
    while (!end) {
        if (access("restarted", F_OK) == 0) {
            say("restarted, inside: %d\n", inside);
            break;
        }
        usleep(1000);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    int restarts;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof(ballast); i++)
        ballast[i] = (char)rand();
    if (opal_init(&argc, &argv) != OPAL_SUCCESS)
        return 3;
    CHECK(argc == 2);
    if (strcmp(argv[1], "section") == 0) {
        CHECK(pthread_create(&thread, NULL, look, NULL) == 0);
        stay_inside();
        say("outside\n", 0);
        CHECK(pthread_join(thread, NULL) == 0);
        return opal_finalize();
    }
    CHECK(pthread_create(&thread, NULL, book, NULL) == 0);
    if (strcmp(argv[1], "life") == 0)
        live();
    else if (strcmp(argv[1], "many") == 0)
        ask_often();
    else if (strcmp(argv[1], "stop") == 0)
        stop();
    else
        save("first", true);
    end = true;
    CHECK(pthread_join(thread, NULL) == 0);
    restarts = opal_cr_restart_count();
    CHECK(opal_finalize() == OPAL_SUCCESS);
    return 40 + restarts;
}
