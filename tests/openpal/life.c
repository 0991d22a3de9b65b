/*
 * life.c - a program that does what a test tells it
 *
 * It reads commands from the FIFO in.PID of the current directory and appends lines "PID WORDS" to
 * the file `out`, one for each command when it is done, and one for each callback.
 *
 * part: no
 * link: -pthread
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "opal/constants.h"
#include "opal/runtime/opal.h"
#include "opal/runtime/opal_cr.h"
#include "openpal_test.h"

static FILE *in;

static void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
    char words[1024], line[1100];
    va_list ap;

    va_start(ap, format);
    vsnprintf(words, sizeof(words), format, ap);
    va_end(ap);
    int n = snprintf(line, sizeof(line), "%d %s\n", getpid(), words);
    int fd = open("out", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, line, (size_t)n) == n);
    close(fd);
}

static void open_input(void)
{
    char name[32];

    snprintf(name, sizeof(name), "in.%d", getpid());
    CHECK(mkfifo(name, 0600) == 0 || errno == EEXIST);
    in = fopen(name, "r+e");
    CHECK(in);
}

/* ---- levels and user callbacks ---- */

#define N_LEVELS 3

struct level {
    const char *name;
    opal_cr_coord_callback_fn_t below;
    int refuse_state, refuse_code, n_refusals; /* -1: always */
};
static struct level levels[N_LEVELS] = {{"low"}, {"middle"}, {"high"}};
static int user_event = -1, user_code, n_user_refusals;

static const char *state_word(int state)
{
    static const char *const words[] = {"NONE",     "CHECKPOINT", "RESTART_PRE", "RESTART",
                                        "CONTINUE", "TERM",       "RUNNING",     "ERROR"};
    return words[state];
}

/* On the way down it closes before the level below, on the way up it opens after it. */
static int level(struct level *l, int state)
{
    bool down = state == OPAL_CRS_CHECKPOINT || state == OPAL_CRS_RESTART_PRE;
    int r = OPAL_SUCCESS;

    if (!down)
        r = l->below(state);
    say("level %s %s", l->name, state_word(state));
    if (l->n_refusals != 0 && l->refuse_state == state) {
        l->n_refusals -= l->n_refusals > 0;
        return l->refuse_code;
    }
    return down ? l->below(state) : r;
}

static int low(int state)
{
    return level(&levels[0], state);
}

static int middle(int state)
{
    return level(&levels[1], state);
}

static int high(int state)
{
    return level(&levels[2], state);
}

static const opal_cr_coord_callback_fn_t functions[N_LEVELS] = {low, middle, high};

static int user(opal_cr_user_inc_callback_event_t event, opal_cr_user_inc_callback_state_t state)
{
    say("user %d %d", (int)event, (int)state);
    if ((int)event == user_event && n_user_refusals != 0) {
        n_user_refusals -= n_user_refusals > 0;
        return user_code;
    }
    return OPAL_SUCCESS;
}

static void register_all(void)
{
    opal_cr_user_inc_callback_fn_t before;

    for (int i = 0; i < N_LEVELS; i++)
        CHECK(opal_cr_reg_coord_callback(functions[i], &levels[i].below) == OPAL_SUCCESS);
    for (int i = 0; i < OPAL_CR_INC_MAX; i++)
        CHECK(opal_cr_user_inc_register_callback(i, user, &before) == OPAL_SUCCESS && !before);
    CHECK(opal_cr_user_inc_register_callback(OPAL_CR_INC_MAX, user, NULL) == OPAL_ERR_BAD_PARAM);
}

/* ---- threads in sections ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t let_go = PTHREAD_COND_INITIALIZER;
static int generation;

static void *hold_section(void *arg)
{
    pthread_mutex_lock(&lock);
    int mine = generation;
    CHECK(opal_crs.crs_disable_checkpoint() == OPAL_SUCCESS);
    CHECK(opal_cr_enter_critical() == OPAL_SUCCESS);
    say("in section");
    while (mine == generation)
        pthread_cond_wait(&let_go, &lock);
    pthread_mutex_unlock(&lock);
    CHECK(opal_crs.crs_enable_checkpoint() == OPAL_SUCCESS);
    CHECK(opal_cr_leave_critical() == OPAL_SUCCESS);
    CHECK(opal_cr_leave_critical() == OPAL_ERROR);
    say("out of section");
    return NULL;
}

static void start_section(void)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, hold_section, NULL) == 0);
    pthread_detach(thread);
}

static void end_sections(void)
{
    pthread_mutex_lock(&lock);
    generation++;
    pthread_cond_broadcast(&let_go);
    pthread_mutex_unlock(&lock);
}

/* ---- commands ---- */

static void request(const char *name, bool term)
{
    opal_crs_state_type_t state = OPAL_CRS_NONE;
    opal_crs_base_ckpt_options_t options;
    char *handle = NULL;

    OBJ_CONSTRUCT(&options, opal_crs_base_ckpt_options_t);
    opal_crs_base_clear_options(&options);
    options.term = term;
    int r = opal_cr_request_checkpoint(&options, *name ? name : NULL, NULL, &handle, &state);
    if (state == OPAL_CRS_RESTART)
        open_input();
    say("request %d %s %s", r, state_word((int)state), handle ? handle : "-");
    free(handle);
}

static void fork_child(void)
{
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        open_input();
        say("child");
        return;
    }
    say("forked %d", child);
}

static void set_refusal(const char *words)
{
    char name[16];
    int state, code, n;

    CHECK(sscanf(words, "%15s %d %d %d", name, &state, &code, &n) == 4);
    for (int i = 0; i < N_LEVELS; i++)
        if (strcmp(levels[i].name, name) == 0)
            levels[i] = (struct level){levels[i].name, levels[i].below, state, code, n};
    if (strcmp(name, "user") == 0) {
        user_event = state;
        user_code = code;
        n_user_refusals = n;
    }
    say("done refuse");
}

static void test_point(void)
{
    bool before = opal_cr_is_restarted();

    OPAL_CR_TEST_CHECKPOINT_READY();
    if (opal_cr_is_restarted() && !before)
        open_input();
    say("done test");
}

static void show(void)
{
    const char *value = getenv("OPAL_MCA_opal_cr_tmp_dir"), *other = getenv("OMPI_MCA_life_value");

    say("count %d restarted %d value %s other %s", opal_cr_restart_count(), opal_cr_is_restarted(),
        value ? value : "-", other ? other : "-");
}

static void obey(const char *command, const char *words)
{
    if (strcmp(command, "levels") == 0) {
        register_all();
        say("done levels");
    } else if (strcmp(command, "refuse") == 0) {
        set_refusal(words);
    } else if (strcmp(command, "section") == 0) {
        start_section();
    } else if (strcmp(command, "leave") == 0) {
        end_sections();
        say("done leave");
    } else if (strcmp(command, "enter") == 0) {
        say("enter %d", opal_cr_enter_critical());
    } else if (strcmp(command, "request") == 0 || strcmp(command, "term") == 0) {
        request(words, *command == 't');
    } else if (strcmp(command, "test") == 0) {
        test_point();
    } else if (strcmp(command, "show") == 0) {
        show();
    } else if (strcmp(command, "fork") == 0) {
        fork_child();
    } else if (strcmp(command, "init") == 0) {
        say("init %d", opal_init(NULL, NULL));
    } else if (strcmp(command, "finalize") == 0) {
        say("finalize %d", opal_finalize());
    } else if (strcmp(command, "setenv") == 0) {
        char name[64], value[512];
        CHECK(sscanf(words, "%63s %511s", name, value) == 2 && setenv(name, value, 1) == 0);
        say("done setenv");
    } else {
        CHECK(!"a command that is known");
    }
}

int main(int argc, char **argv)
{
    char line[1024], command[32];

    if (argc < 2 || strcmp(argv[1], "no-init") != 0) {
        int r = opal_init(&argc, &argv);
        if (r != OPAL_SUCCESS) {
            say("init %d", r);
            return 1;
        }
    }
    open_input();
    say("begin");
    while (fgets(line, sizeof(line), in)) {
        int end = 0;
        line[strcspn(line, "\n")] = '\0';
        CHECK(sscanf(line, "%31s %n", command, &end) == 1);
        if (strcmp(command, "end") == 0)
            break;
        obey(command, line + end);
    }
    say("end");
    return 0;
}
