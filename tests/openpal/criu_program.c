/*
 * criu_program.c - what the component criu saves: memory, threads, a pipe with data, a socket pair
 *
 * part: no
 * link: -pthread
 *
 *     criu_program save RESULT NAME TIMES [OPTION]   saves itself so often; OPTION: stop, term;
 *                                                  ends: its parameters have it ended
 *     criu_program serve RESULT [OPTION]             works until the file RESULT.end is there
 *     criu_program meet RESULT NAME                  saves itself when the file RESULT.go is there
 *     criu_program hold THING RESULT NAME            has something that CRIU can't save; fork:
 * nothing, but it fails, and forks
 *
 * One line in the file RESULT for each event; the file is open only while it is written. At each of
 * them the program checks all that it has. When it is ready, there is RESULT.ready with its PID.
 */
#include <fcntl.h>
#include <opal/mca/crs/base/base.h>
#include <opal/runtime/opal.h>
#include <opal/runtime/opal_cr.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "openpal_test.h"

#define SIZE      (4 << 20)
#define N_THREADS 2

static const char *result, *option = "";
static unsigned char *memory;
static int ends[2], pair[2];
static atomic_long turns[N_THREADS];
static atomic_int sigchld;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    FILE *file = fopen(result, "a");
    va_list args;

    CHECK(file);
    va_start(args, format);
    vfprintf(file, format, args);
    va_end(args);
    CHECK(fclose(file) == 0);
}

static void is_there(const char *suffix, long value)
{
    char path[300], new[310];

    snprintf(path, sizeof(path), "%s.%s", result, suffix);
    snprintf(new, sizeof(new), "%s.new", path);
    FILE *file = fopen(new, "w");
    CHECK(file && fprintf(file, "%ld\n", value) > 0 && fclose(file) == 0);
    CHECK(rename(new, path) == 0);
}

static void wait_for(const char *suffix)
{
    char path[300];

    snprintf(path, sizeof(path), "%s.%s", result, suffix);
    while (access(path, F_OK) < 0)
        usleep(10000);
}

static void *turn(void *arg)
{
    for (atomic_long *mine = arg;; atomic_fetch_add(mine, 1))
        usleep(1000);
    return NULL;
}

static void on_child(int number)
{
    atomic_fetch_add(&sigchld, 1);
}

static void set_up(void)
{
    pthread_t thread;

    memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    for (long i = 0; i < SIZE; i++)
        memory[i] = (unsigned char)(i * 7 + i / 4096);
    CHECK(pipe(ends) == 0 && write(ends[1], "in a pipe", 9) == 9);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && write(pair[0], "in a pair", 9) == 9);
    for (int i = 0; i < N_THREADS; i++)
        CHECK(pthread_create(&thread, NULL, turn, &turns[i]) == 0);
    signal(SIGCHLD, on_child);
}

/* All is as it was, and the threads run. */
static void check_all(void)
{
    char text[10] = "";

    for (long i = 0; i < SIZE; i++)
        CHECK(memory[i] == (unsigned char)(i * 7 + i / 4096));
    CHECK(read(ends[0], text, 9) == 9 && strcmp(text, "in a pipe") == 0);
    CHECK(write(ends[1], text, 9) == 9);
    CHECK(read(pair[1], text, 9) == 9 && strcmp(text, "in a pair") == 0);
    CHECK(write(pair[0], text, 9) == 9);
    for (int i = 0; i < N_THREADS; i++) {
        long before = atomic_load(&turns[i]);
        while (atomic_load(&turns[i]) == before)
            usleep(1000);
    }
    CHECK(atomic_load(&sigchld) == 0 || strcmp(option, "ends") == 0);
}

static const char *name_of(opal_crs_state_type_t state)
{
    return state == OPAL_CRS_CONTINUE  ? "continue"
           : state == OPAL_CRS_RESTART ? "restart"
           : state == OPAL_CRS_ERROR   ? "error"
                                       : "?";
}

/* One descriptor more or less would be one that a checkpoint has left open. */
static int n_descriptors(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static int save(const char *name)
{
    opal_crs_base_ckpt_options_t *options = OBJ_NEW(opal_crs_base_ckpt_options_t);
    opal_crs_state_type_t state = OPAL_CRS_NONE;
    char *handle = NULL;
    int before = n_descriptors();

    options->stop = strcmp(option, "stop") == 0;
    options->term = strcmp(option, "term") == 0;
    int r = opal_cr_request_checkpoint(options, name, NULL, &handle, &state);
    while (n_descriptors() != before) /* the thread that listens opens its own again */
        usleep(1000);
    check_all();
    say("%s %d\n", name_of(state), opal_cr_restart_count());
    if (r != OPAL_SUCCESS)
        say("because %s\n", opal_crs_base_failure());
    free(handle);
    OBJ_RELEASE(options);
    return r;
}

static void save_often(const char *name, int times)
{
    char numbered[100];

    for (int i = 0; i < times; i++) {
        snprintf(numbered, sizeof(numbered), "%s%d", name, i);
        for (long at = i * 4096L; at < SIZE; at += 1 << 20)
            memory[at] += 0; /* written, and the same */
        CHECK(save(numbered) == OPAL_SUCCESS);
    }
}

/* A deleted file that is larger than CRIU's limit; a socket family that it doesn't know. */
static void get(const char *thing)
{
    char path[] = "deleted-XXXXXX";

    if (strcmp(thing, "ghost") == 0) {
        int fd = mkstemp(path);
        CHECK(fd >= 0 && ftruncate(fd, 3 << 20) == 0 && unlink(path) == 0);
        CHECK(pwrite(fd, memory, 2 << 20, 0) == 2 << 20);
    } else if (strcmp(thing, "fork") == 0) {
        option = "ends";
    } else {
        CHECK(strcmp(thing, "vsock") == 0 && socket(AF_VSOCK, SOCK_STREAM, 0) >= 0);
    }
}

int main(int argc, char **argv)
{
    CHECK(opal_init(&argc, &argv) == OPAL_SUCCESS);
    CHECK(argc >= 3);
    const char *what = argv[1];
    result = argv[strcmp(what, "hold") == 0 ? 3 : 2];
    option = argv[argc - 1];
    set_up();
    is_there("ready", getpid());
    if (strcmp(what, "save") == 0) {
        save_often(argv[3], atoi(argv[4]));
    } else if (strcmp(what, "serve") == 0) {
        wait_for("end");
        check_all();
    } else if (strcmp(what, "meet") == 0) {
        wait_for("go");
        CHECK(save(argv[3]) == OPAL_SUCCESS);
    } else {
        get(argv[2]);
        CHECK(save(argv[4]) != OPAL_SUCCESS);
    }
    check_all();
    say("end\n");
    CHECK(opal_finalize() == OPAL_SUCCESS);
    return 33;
}
