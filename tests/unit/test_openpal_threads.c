/*
 * test_openpal_threads.c - the runtime of Open PAL with many threads, under ThreadSanitizer
 *
 * Threads enter and leave sections, save the process themselves, register callbacks, come to test
 * points; others ask by the socket as the tool does, cancel, or go away without a word. Built with
 * -fsanitize=thread: a race ends it with an error.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "opal/constants.h"
#include "opal/runtime/opal.h"
#include "opal/runtime/opal_cr.h"
#include "openpal/runtime/place.h"
#include "openpal/runtime/protocol.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #condition,            \
                    strerror(errno));                                                              \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

#define N_ROUNDS 40

static atomic_int inside;  /* threads in sections */
static atomic_bool saving; /* between the first and the last callback */
static atomic_int n_saved, n_asked;
static atomic_bool over;
static char directory[96];

/* ---- the program ---- */

static int level(int state);
static opal_cr_coord_callback_fn_t below;

static int level(int state)
{
    if (state == OPAL_CRS_CHECKPOINT) {
        CHECK(!atomic_exchange(&saving, true));
        CHECK(atomic_load(&inside) == 0);
    } else {
        CHECK(atomic_exchange(&saving, false));
        atomic_fetch_add(&n_saved, state == OPAL_CRS_CONTINUE);
    }
    return below(state);
}

static void *enter_sections(void *arg)
{
    for (int i = 0; i < 20 * N_ROUNDS; i++) {
        CHECK(opal_cr_enter_critical() == OPAL_SUCCESS);
        atomic_fetch_add(&inside, 1);
        CHECK(opal_crs.crs_disable_checkpoint() == OPAL_SUCCESS);
        CHECK(!atomic_load(&saving));
        CHECK(opal_crs.crs_enable_checkpoint() == OPAL_SUCCESS);
        atomic_fetch_sub(&inside, 1);
        CHECK(opal_cr_leave_critical() == OPAL_SUCCESS);
        usleep(200); /* sections go first: leave room for the others */
    }
    return NULL;
}

static void *save_itself(void *arg)
{
    char name[32];

    snprintf(name, sizeof(name), "own-%d", *(int *)arg);
    for (int i = 0; i < N_ROUNDS; i++)
        CHECK(opal_cr_request_checkpoint(NULL, name, NULL, NULL, NULL) == OPAL_SUCCESS);
    return NULL;
}

static int succeed(opal_cr_user_inc_callback_event_t event, opal_cr_user_inc_callback_state_t state)
{
    return OPAL_SUCCESS;
}

static void *register_callbacks(void *arg)
{
    for (int i = 0; i < 50 * N_ROUNDS; i++) {
        opal_cr_user_inc_callback_event_t event = i % OPAL_CR_INC_MAX;
        CHECK(opal_cr_user_inc_register_callback(event, i & 1 ? succeed : NULL, NULL) == 0);
        CHECK(opal_cr_restart_count() == 0);
    }
    return NULL;
}

static void *come_to_test_points(void *arg)
{
    while (!atomic_load(&over)) {
        OPAL_CR_TEST_CHECKPOINT_READY();
        usleep(100);
    }
    return NULL;
}

/* ---- those who ask ---- */

static int connect_to_us(void)
{
    struct sockaddr_un address;
    struct place place = {.fd = -1};
    char name[PLACE_NAME_SIZE];
    int fd = -1;

    snprintf(place.path, sizeof(place.path), "%s/opencrs", directory);
    place_name(name, getpid(), "sock");
    CHECK(place_address(&place, name, &address, NULL) == 0);
    return protocol_connect(address.sun_path, &fd) == 0 ? fd : -1;
}

/* Until the save begins (true), or the connection ends; `patient` is how many answers it waits for.
 */
static bool ask_once(int number, int patient)
{
    bool saves = false;
    struct protocol_request request = {PROTOCOL_MAGIC, PROTOCOL_VERSION};
    struct protocol_answer answer;
    int fd, r = 0;

    while ((fd = connect_to_us()) < 0) /* it is being saved */
        usleep(500);
    snprintf(request.name, sizeof(request.name), "asked-%d", number);
    if (protocol_send(fd, &request, sizeof(request)) == 0) {
        while (patient-- > 0 && r == 0 && !saves) {
            struct pollfd p = {.fd = fd, .events = POLLIN};
            CHECK(poll(&p, 1, 60000) == 1);
            r = protocol_receive_answer(fd, &answer);
            CHECK(r == 0 || r == -EPIPE);
            saves = r == 0 && answer.event == PROTOCOL_SAVING;
        }
    }
    close(fd);
    return saves;
}

static void *ask(void *arg)
{
    int number = *(int *)arg, n_saves = 0;

    for (int i = 0; i < N_ROUNDS || n_saves < 3; i++) {
        int kind = (i + number) % 4;
        n_saves += ask_once(number, kind == 0 ? 0 : kind == 1 ? 1 : 100);
    }
    atomic_fetch_add(&n_asked, n_saves);
    return NULL;
}

/* ---- all together ---- */

static void one_life(const char *use_thread)
{
    static int numbers[] = {0, 1, 2};
    pthread_t threads[10], last;
    int n = 0;

    setenv("OPAL_MCA_opal_cr_use_thread", use_thread, 1);
    CHECK(opal_init(NULL, NULL) == OPAL_SUCCESS);
    CHECK(opal_cr_reg_coord_callback(level, &below) == OPAL_SUCCESS);
    atomic_store(&over, false);
    for (int i = 0; i < 3; i++) {
        CHECK(pthread_create(&threads[n++], NULL, enter_sections, NULL) == 0);
        CHECK(pthread_create(&threads[n++], NULL, ask, &numbers[i]) == 0);
    }
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[n++], NULL, save_itself, &numbers[i]) == 0);
    CHECK(pthread_create(&threads[n++], NULL, register_callbacks, NULL) == 0);
    CHECK(pthread_create(&last, NULL, come_to_test_points, NULL) == 0);
    for (int i = 0; i < n; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    atomic_store(&over, true);
    CHECK(pthread_join(last, NULL) == 0);
    CHECK(opal_finalize() == OPAL_SUCCESS);
}

static void remove_all(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    CHECK(system(command) == 0);
}

int main(void)
{
    const char *tmp = getenv("TMPDIR");

    /* The path of a socket has 108 bytes at most. */
    snprintf(directory, sizeof(directory), "%s/openpal-XXXXXX",
             tmp && strlen(tmp) < 60 ? tmp : "/tmp");
    CHECK(mkdtemp(directory));
    CHECK(setenv("XDG_RUNTIME_DIR", directory, 1) == 0 && setenv("CRS_STORE", directory, 1) == 0);
    CHECK(setenv("OPAL_MCA_crs", "none", 1) == 0);
    one_life("1");
    one_life("0");
    CHECK(atomic_load(&n_asked) >= 18 && atomic_load(&n_saved) >= 4 * N_ROUNDS + 18);
    remove_all();
    return 0;
}
