/*
 * test_opal_criu.c - the half of the component criu that talks to CRIU, with one that misbehaves
 *
 * As `swrk FD` this program is that CRIU: what it does says the variable FAKE. It leaves the
 * request in the file `request` of the images' directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "openpal/criu/image.h"
#include "openpal/criu/journal.h"
#include "openpal/criu/program.h"
#include "openpal/criu/request.h"
#include "openpal/criu/streams.h"

#define MAX_REQUEST 4096

/* ---- the fake ---- */

static void put_file(const char *name, const void *data, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/%s", WORKER_DIRECTORY, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        _exit(9);
    close(fd);
}

static void answer(int fd, const CriuRpc__Response *response)
{
    uint8_t packet[MAX_REQUEST];
    size_t n = criu_rpc__response__pack(response, packet);
    if (send(fd, packet, n, 0) != (ssize_t)n)
        _exit(9);
}

static void answer_version(int fd, bool is_old)
{
    CriuRpc__Response response = CRIU_RPC__RESPONSE__INIT;
    CriuRpc__Version version = CRIU_RPC__VERSION__INIT;
    version.major = is_old ? 3 : 4;
    version.minor = is_old ? 18 : 1;
    response.type = CRIU_RPC__REQUEST_TYPE__VERSION;
    response.success = true;
    response.version = &version;
    answer(fd, &response);
}

static void misbehave(int fd, const char *how)
{
    char big[WORKER_MAX_ANSWER_BYTES + 1] = {0};
    if (strcmp(how, "ends") == 0)
        _exit(3);
    if (strcmp(how, "dies") == 0)
        raise(SIGKILL);
    if (strcmp(how, "garbage") == 0 || strcmp(how, "garbage-hangs") == 0)
        send(fd, "\x08\xff\xff no protobuf", 15, 0);
    if (strcmp(how, "nothing") == 0)
        send(fd, "", 0, 0);
    if (strcmp(how, "huge-hangs") == 0)
        send(fd, big, sizeof(big), 0);
    while (strstr(how, "hangs"))
        pause();
}

static void behave(int fd, const char *how, const CriuRpc__Request *request)
{
    static char words[] = "Error (criu/x.c:1): rlimit: Can't setup RLIMIT_NOFILE for self";
    static const char log[] = "(00.01) Error (criu/x.c:1): rlimit: Can't setup RLIMIT_NOFILE\n"
                              "(00.02)  12: Error (criu/y.c:2): the cause.\n"
                              "(00.03) Error (criu/z.c:3): Dumping FAILED.\n";
    CriuRpc__Response response = CRIU_RPC__RESPONSE__INIT;
    CriuRpc__Features features = CRIU_RPC__FEATURES__INIT;
    CriuRpc__Dumped dumped = CRIU_RPC__DUMPED__INIT;
    CriuRpc__Restored restored = CRIU_RPC__RESTORED__INIT;
    response.type = strcmp(how, "type") == 0 ? CRIU_RPC__REQUEST_TYPE__NOTIFY : request->type;
    response.success = strncmp(how, "refuses", 7) != 0;
    dumped.has_restored = dumped.restored = strcmp(how, "restored") == 0;
    restored.pid = 7;
    features.has_mem_track = features.mem_track = true;
    if (request->type == CRIU_RPC__REQUEST_TYPE__DUMP)
        response.dump = &dumped;
    if (request->type == CRIU_RPC__REQUEST_TYPE__RESTORE)
        response.restore = &restored;
    if (request->type == CRIU_RPC__REQUEST_TYPE__FEATURE_CHECK)
        response.features = &features;
    if (!response.success) {
        response.cr_errmsg = words;
        response.has_cr_errno = strcmp(how, "refuses-esrch") == 0;
        response.cr_errno = ESRCH;
    }
    if (strcmp(how, "refuses-log") == 0)
        put_file(request->opts->log_file, log, sizeof(log) - 1);
    if (strcmp(how, "complete") == 0)
        put_file("stats-dump", "", 0);
    answer(fd, &response);
}

static int fake(int fd)
{
    uint8_t packet[MAX_REQUEST];
    const char *how = getenv("FAKE");
    ssize_t n;
    while ((n = recv(fd, packet, sizeof(packet), 0)) > 0) {
        CriuRpc__Request *request = criu_rpc__request__unpack(NULL, (size_t)n, packet);
        if (!request)
            return 9;
        if (request->type == CRIU_RPC__REQUEST_TYPE__VERSION && strcmp(how, "ends") != 0) {
            answer_version(fd, strcmp(how, "old") == 0);
            continue;
        }
        if (request->type != CRIU_RPC__REQUEST_TYPE__CHECK && request->opts)
            put_file("request", packet, (size_t)n);
        misbehave(fd, how);
        behave(fd, how, request);
        return 0;
    }
    return 0;
}

/* ---- what the tests share ---- */

static char program[4096], directory[] = "/tmp/opal-criu-XXXXXX";
static char log_name[] = "a.log";
static atomic_int n_signals;

static void on_signal(int number)
{
    atomic_fetch_add(&n_signals, 1);
}

static int n_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void clean(void)
{
    static const char *const names[] = {"request", "a.log", "restore-a.log", "stats-dump",
                                        STREAMS_FILE};
    char path[128];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        unlink(path);
    }
}

static struct image_settings settings = {.log = log_name, .tcp_established = 1, .ext_unix_sk = 1};

static int dump(const char *how, struct image_dump *what, bool *ret_restored, struct crs_error *err)
{
    int before = n_descriptors();
    setenv("FAKE", how, 1);
    clean();
    what->program = program;
    what->directory = directory;
    what->settings = &settings;
    int r = image_dump(what, ret_restored, err);
    assert_int_equal(n_descriptors(), before);
    assert_int_equal(waitpid(-1, NULL, __WALL | WNOHANG), -1);
    return r;
}

static CriuRpc__Request *request_seen(void)
{
    char path[128];
    uint8_t packet[MAX_REQUEST];
    snprintf(path, sizeof(path), "%s/request", directory);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, packet, sizeof(packet));
    close(fd);
    CriuRpc__Request *request = criu_rpc__request__unpack(NULL, (size_t)n, packet);
    assert_non_null(request);
    return request;
}

/* ---- dumps ---- */

static void fails(const char *how, const char *words)
{
    struct crs_error err = {0};
    struct image_dump what = {0};
    bool restored = false;
    assert_true(dump(how, &what, &restored, &err) < 0);
    assert_false(restored);
    if (!strstr(err.text, words))
        fail_msg("%s: '%s' doesn't say '%s'", how, err.text, words);
}

static void test_misbehaves(void **state)
{
    fails("ends", "CRIU ended with exit code 3");
    fails("dies", "CRIU was ended by signal 9");
    fails("nothing", "CRIU can't save the process: ");
    fails("garbage", "is this program CRIU?");
    fails("garbage-hangs", "is this program CRIU?");
    fails("huge-hangs", "more than 65536");
    fails("type", "CRIU answers DUMP with NOTIFY");
    assert_int_equal(atomic_load(&n_signals), 0);
}

static void test_refuses(void **state)
{
    struct crs_error err = {0};
    struct image_dump what = {.pid = 5};
    bool restored;
    fails("refuses", "it tells no reason");
    fails("refuses-log", "CRIU can't save the process: the cause");
    assert_true(dump("refuses-esrch", &what, &restored, &err) < 0);
    assert_int_equal(err.kind, CRS_NOT_FOUND);
}

static void test_no_program(void **state)
{
    struct crs_error err = {0};
    struct image_dump what = {.program = "/nowhere", .directory = directory, .settings = &settings};
    bool restored;
    clean();
    assert_true(image_dump(&what, &restored, &err) < 0);
    assert_non_null(strstr(err.text, "CRIU can't be run"));
}

static void test_options(void **state)
{
    struct crs_error err = {0};
    struct image_dump what = {.pid = 5, .leave_stopped = true, .parent = "../before"};
    bool restored = true;
    assert_int_equal(dump("good", &what, &restored, &err), 0);
    assert_false(restored);
    CriuRpc__Request *request = request_seen();
    CriuRpc__Options *o = request->opts;
    assert_int_equal(request->type, CRIU_RPC__REQUEST_TYPE__DUMP);
    assert_true(o->images_dir_fd == -1 && strcmp(o->images_dir, WORKER_DIRECTORY) == 0);
    assert_true(o->pid == 5 && o->leave_stopped && !o->leave_running && o->track_mem);
    assert_true(o->tcp_established && o->ext_unix_sk && !o->shell_job && !o->has_log_level);
    assert_string_equal(o->parent_img, "../before");
    assert_string_equal(o->log_file, "a.log");
    criu_rpc__request__free_unpacked(request, NULL);

    what = (struct image_dump){0};
    assert_int_equal(dump("restored", &what, &restored, &err), 0);
    assert_true(restored);
    request = request_seen();
    assert_true(!request->opts->has_pid && request->opts->leave_running);
    assert_true(!request->opts->leave_stopped && !request->opts->track_mem);
    assert_null(request->opts->parent_img);
    criu_rpc__request__free_unpacked(request, NULL);
    assert_int_equal(atomic_load(&n_signals), 0);
}

/* Orphans become children of a subreaper: the keeper may not. */
static void test_subreaper(void **state)
{
    struct crs_error err = {0};
    struct image_dump what = {0};
    bool restored;
    int is_one = 0;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    assert_int_equal(dump("good", &what, &restored, &err), 0);
    assert_int_equal(prctl(PR_GET_CHILD_SUBREAPER, &is_one, 0, 0, 0), 0);
    assert_int_equal(is_one, 1);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
    assert_int_equal(atomic_load(&n_signals), 0);
}

static void test_pre_dump(void **state)
{
    struct crs_error err = {0};
    struct image_dump what = {
        .program = program, .directory = directory, .settings = &settings, .track = true};
    clean();
    setenv("FAKE", "good", 1);
    assert_int_equal(image_pre_dump(&what, &err), 0);
    CriuRpc__Request *request = request_seen();
    assert_int_equal(request->type, CRIU_RPC__REQUEST_TYPE__SINGLE_PRE_DUMP);
    assert_true(request->opts->track_mem && !request->opts->parent_img);
    criu_rpc__request__free_unpacked(request, NULL);
}

/* In the keeper, which is a fork: seen from here by a file. */
static int finish(void *arg)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/finished", directory);
    close(open(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
    return *(int *)arg;
}

static bool was_finished(void)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/finished", directory);
    return unlink(path) == 0;
}

/* Only after a dump that is complete, whatever CRIU's exit code is. */
static void test_finish(void **state)
{
    struct crs_error err = {0};
    int result = 0;
    struct image_dump what = {.finish = finish, .arg = &result};
    bool restored;
    assert_int_equal(dump("complete", &what, &restored, &err), 0);
    assert_true(was_finished());
    assert_true(dump("refuses", &what, &restored, &err) < 0);
    assert_false(was_finished());
    result = ENOSPC;
    assert_true(dump("complete", &what, &restored, &err) < 0);
    assert_true(was_finished());
    assert_int_equal(err.kind, CRS_STORAGE);
    atomic_store(&n_signals, 0); /* that was a fork */
}

/* ---- the other requests ---- */

static void check_says(const char *how, const char *words)
{
    struct crs_error err = {0};
    setenv("FAKE", how, 1);
    assert_true(image_check(program, &err) < 0);
    if (!strstr(err.text, words))
        fail_msg("%s: '%s' doesn't say '%s'", how, err.text, words);
}

static void test_check(void **state)
{
    struct crs_error err = {0};
    bool tracks = false;
    setenv("FAKE", "good", 1);
    assert_int_equal(image_check(program, &err), 0);
    assert_int_equal(image_can_track(program, &tracks, &err), 0);
    assert_true(tracks);
    check_says("old", "CRIU 3.18 is too old: " CRIU_OLDEST);
    check_says("refuses", "CRIU can't work on this machine");
    check_says("ends", "CRIU ended with exit code 3");
    check_says("garbage-hangs", "is this program CRIU?");
    assert_int_equal(atomic_load(&n_signals), 0);
}

static void test_restore(void **state)
{
    struct crs_error err = {0};
    struct restore_outputs outputs;
    pid_t nobody = fork();
    if (nobody == 0)
        _exit(0);
    clean();
    waitpid(nobody, NULL, 0);
    setenv("FAKE", "good", 1);
    assert_true(image_restore(program, directory, &settings, nobody, &outputs, &err) < 0);
    assert_non_null(strstr(err.text, "another process"));
    CriuRpc__Request *request = request_seen();
    assert_int_equal(request->type, CRIU_RPC__REQUEST_TYPE__RESTORE);
    assert_true(request->opts->rst_sibling && request->opts->n_inherit_fd == 0);
    assert_string_equal(request->opts->log_file, "restore-a.log");
    criu_rpc__request__free_unpacked(request, NULL);
    setenv("FAKE", "refuses-log", 1);
    assert_true(image_restore(program, directory, &settings, nobody, &outputs, &err) < 0);
    assert_non_null(strstr(err.text, "CRIU can't restore the process: the cause"));
    assert_true(image_restore(program, directory, &settings, getpid(), &outputs, &err) < 0);
    assert_int_equal(err.kind, CRS_BUSY);
    assert_int_equal(waitpid(-1, NULL, __WALL | WNOHANG), -1);
}

/* ---- pipes that lead out ---- */

static void test_streams(void **state)
{
    struct crs_error err = {0};
    struct streams_pipes pipes;
    int out[2], own[2], saved[2] = {dup(0), dup(1)};
    char key[64];
    struct stat st;
    clean();
    assert_true(pipe(out) == 0 && pipe(own) == 0 && fstat(out[1], &st) == 0);
    dup2(out[1], 1);
    dup2(own[0], 0);
    close(out[0]);
    int r = streams_note(directory, 0, &err);
    dup2(saved[0], 0);
    dup2(saved[1], 1);
    assert_int_equal(r, 0);
    assert_int_equal(streams_read(directory, &pipes), 0);
    snprintf(key, sizeof(key), "pipe:[%lu]", (unsigned long)st.st_ino);
    bool found = false;
    for (size_t i = 0; i < pipes.n; i++) {
        assert_int_not_equal(pipes.number[i], 0); /* its other end is here */
        found |= pipes.number[i] == 1 && strcmp(pipes.key[i], key) == 0;
    }
    assert_true(found);
    int all[] = {out[1], own[0], own[1], saved[0], saved[1]};
    for (size_t i = 0; i < 5; i++)
        close(all[i]);
}

static void streams_are(const char *text, int expected, size_t n)
{
    char path[128];
    struct streams_pipes pipes;
    snprintf(path, sizeof(path), "%s/" STREAMS_FILE, directory);
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    assert_int_equal(streams_read(directory, &pipes), expected);
    if (expected == 0)
        assert_int_equal(pipes.n, n);
}

static void test_streams_damaged(void **state)
{
    streams_are("", 0, 0);
    streams_are("1 pipe:[12]\n2 pipe:[12]\n", 0, 1);
    streams_are("1 pipe:[12]\n2 pipe:[13]\n", 0, 2);
    streams_are("3 pipe:[12]\n", -EBADMSG, 0);
    streams_are("-1 pipe:[12]\n", -EBADMSG, 0);
    streams_are("1 pipe:[12]x\n", -EBADMSG, 0);
    streams_are("1 file:/etc/passwd\n", -EBADMSG, 0);
    streams_are("1 pipe:[1]\n1 pipe:[2]\n1 pipe:[3]\n1 pipe:[4]\n", -EBADMSG, 0);
}

/* ---- the log ---- */

static void cause_is(const char *log, const char *cause)
{
    char words[100] = "?";
    assert_true(journal_cause(log, words, sizeof(words)));
    assert_string_equal(words, cause);
}

static void test_journal(void **state)
{
    char words[8];
    cause_is("Error (criu/util.c:1533): rlimit: Can't setup RLIMIT_NOFILE for self: not permitted\n"
             "Error (criu/sockets.c:753): sockets: BUG! Unknown socket collected (family 40)\n"
             "Error (criu/cr-dump.c:1681): Dump files (pid: 391) failed with -1\n"
             "Error (criu/cr-dump.c:2111): Dumping FAILED.\n",
             "sockets: BUG! Unknown socket collected (family 40)");
    cause_is("(00.1)   4697: Error (criu/files-reg.c:2175): File o has bad size 38 (expect 0)\n"
             "(00.2)   4697: Error (criu/files.c:1221): Unable to open fd=1 id=0x9\n"
             "(00.3) Error (criu/cr-restore.c:2320): Restoring FAILED.",
             "File o has bad size 38 (expect 0)");
    cause_is("Error (criu/sockets.c:210): sockets: Diag module missing (-2)\n"
             "Error (criu/tun.c:85): tun: Unable to create tun: No such file or directory\n"
             "Error (criu/libnetlink.c:54): -95 reported by netlink: Operation not supported\n"
             "Error (criu/util.c:1509): Can't wait or bad status: errno=0, status=768\n"
             "Error (criu/kerndat.c:1789): kerndat_has_nftables_concat failed when initializing.\n"
             "Error (criu/crtools.c:267): Could not initialize kernel features detection.\n",
             "kerndat_has_nftables_concat failed when initializing");
    cause_is("Warn  (criu/a.c:1): not this\nError (criu/cr-dump.c:2111): Dumping FAILED.\n",
             "Dumping FAILED");
    cause_is("Error (x.c:1): a\tb\x1b[31m\n", "a?b?[31m");
    cause_is("Error (no end", "Error (no end");
    assert_false(journal_cause("Error (x.c:1): RLIMIT_NOFILE\n", words, sizeof(words)));
    assert_false(journal_cause("", words, sizeof(words)));
    assert_false(journal_cause("(00.1) Dumping finished successfully\n", words, sizeof(words)));
    assert_true(journal_cause("Error (x.c:1): 123456789\n", words, sizeof(words)));
    assert_string_equal(words, "1234567");
    assert_non_null(strstr(journal_remedy("Can't dump ghost file"), "deleted"));
    assert_string_equal(journal_remedy("something new"), "");
}

static void test_program(void **state)
{
    struct crs_error err = {0};
    char *path = NULL;
    assert_int_equal(program_find("sh", &path, &err), 0);
    assert_int_equal(path[0], '/');
    free(path);
    assert_true(program_find("/dev/null", &path, &err) < 0);
    assert_true(program_find("no-such-program", &path, &err) < 0);
    setenv("PATH", "::relative:", 1);
    assert_int_equal(program_find("sh", &path, &err), 0);
    free(path);
}

static int set_up(void **state)
{
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    signal(SIGCHLD, on_signal);
    return n > 0 && mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
    clean();
    return rmdir(directory);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "swrk") == 0)
        _exit(fake(atoi(argv[2])));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_misbehaves),      cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_no_program),      cmocka_unit_test(test_options),
        cmocka_unit_test(test_subreaper),       cmocka_unit_test(test_pre_dump),
        cmocka_unit_test(test_finish),          cmocka_unit_test(test_check),
        cmocka_unit_test(test_restore),         cmocka_unit_test(test_streams),
        cmocka_unit_test(test_streams_damaged), cmocka_unit_test(test_journal),
        cmocka_unit_test(test_program),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
