/*
 * request_restart.c - what requests have saved, restarted
 *
 * Contexts are restarted by `crs restart` here: by requests_restart() they are in other tests.
 */
#include "target.h"

/* The restarted program can't write to our pipe: it says what happens in a file of its own. */
static char story_path[4096];

static void tell(const char *text)
{
    int fd = open(story_path, O_WRONLY | O_APPEND | O_CREAT, 0600);

    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static bool story_is(const char *wanted)
{
    char text[256] = "";
    int fd = open(story_path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    return n == (ssize_t)strlen(wanted) && memcmp(text, wanted, n) == 0;
}

static int telling(void *arg)
{
    int r;

    tell(arg);
    r = cr_checkpoint(CR_CHECKPOINT_READY);
    tell(r == 0 ? "=" : r > 0 ? "+" : "-");
    return 0;
}

static void no_words(void)
{
    int fd = open("/dev/null", O_RDWR);

    for (int i = 0; i < 3; i++)
        dup2(fd, i);
    for (int i = 3; i < 64; i++)
        close(i);
}

/* `crs restart` in the background; it ends as the program does. */
static pid_t restart(const char *context)
{
    const char *crs = getenv("CRS");
    pid_t pid = fork();

    CHECK(pid >= 0 && crs);
    if (pid == 0) {
        execl(crs, "crs", "restart", context, NULL);
        _exit(127);
    }
    return pid;
}

static int save(cr_scope_t scope, pid_t pid, const struct wishes *wishes)
{
    struct wishes own = wishes ? *wishes : (struct wishes){0};
    int r;

    unlink("context");
    own.fd = open("context", O_WRONLY | O_CREAT | O_EXCL, 0600);
    CHECK(own.fd >= 0);
    r = request(scope, pid, &own);
    close(own.fd);
    return r;
}

static pid_t begin(void (*run)(void))
{
    pid_t pid = fork();

    CHECK(pid >= 0);
    if (pid > 0)
        return pid;
    no_words();
    run();
    _exit(9);
}

static void expect_exit(pid_t pid, int code)
{
    int status;

    CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
        fprintf(stderr, "process %d ended with %#x, not %d\n", pid, status, code);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code);
}

/* ---- a callback of each context ---- */

static void until_end_file(void)
{
    tell("!");
    while (access("end", F_OK) != 0)
        usleep(10000);
    _exit(7);
}

static void callbacks_role(void)
{
    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(telling, (void *)"t", CR_THREAD_CONTEXT) >= 0);
    CHECK(cr_register_callback(telling, (void *)"s", CR_SIGNAL_CONTEXT) >= 0);
    until_end_file();
}

static void callbacks(void)
{
    unlink(story_path);
    unlink("end");
    pid_t pid = begin(callbacks_role), tool;
    WAIT_FOR(story_is("!"));
    CHECK(save(CR_SCOPE_PROC, pid, NULL) == 0);
    WAIT_FOR(story_is("!ts=="));
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, NULL, 0) == pid);
    tool = restart("context");
    WAIT_FOR(story_is("!ts==++"));
    close(open("end", O_CREAT | O_WRONLY, 0600));
    expect_exit(tool, 7);
}

/* ---- one that asks for its own checkpoint ---- */

static void oneself_role(void)
{
    cr_checkpoint_handle_t handle;
    cr_checkpoint_args_t args;
    int r;

    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(telling, (void *)"t", CR_THREAD_CONTEXT) >= 0);
    cr_initialize_checkpoint_args_t(&args);
    args.cr_scope = CR_SCOPE_TREE;
    args.cr_fd = open("context", O_WRONLY | O_CREAT | O_EXCL, 0600);
    CHECK(args.cr_fd >= 0 && cr_request_checkpoint(&args, &handle) == 0);
    do
        r = cr_poll_checkpoint(&handle, NULL);
    while (r == CR_POLL_CHKPT_ERR_PRE && errno == EINTR);
    if (r == CR_POLL_CHKPT_ERR_POST && errno == CR_ERESTARTED)
        _exit(fcntl(args.cr_fd, F_GETFD) < 0 && errno == EBADF ? 5 : 6);
    _exit(r > 0 ? 4 : 3);
}

static void of_oneself(void)
{
    unlink(story_path);
    unlink("context");
    expect_exit(begin(oneself_role), 4);
    CHECK(story_is("t="));
    CHECK(rename("context", "moved") == 0 && chmod("moved", 0400) == 0);
    expect_exit(restart("moved"), 5);
    CHECK(story_is("t=+"));
}

/* ---- a tree without its root ---- */

static int omitting(void *arg)
{
    cr_checkpoint(CR_CHECKPOINT_OMIT);
    return 0;
}

static void rest_role(void)
{
    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(omitting, NULL, CR_THREAD_CONTEXT) >= 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(cr_init() >= 0);
        CHECK(cr_register_callback(telling, (void *)"c", CR_THREAD_CONTEXT) >= 0);
        until_end_file();
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
    _exit(0);
}

static void without_root(void)
{
    unlink(story_path);
    unlink("end");
    pid_t pid = begin(rest_role), tool;
    WAIT_FOR(story_is("!"));
    CHECK(save(CR_SCOPE_TREE, pid, NULL) == 0);
    WAIT_FOR(story_is("!c="));
    close(open("end", O_CREAT | O_WRONLY, 0600));
    expect_exit(pid, 0);
    unlink("end");
    tool = restart("context");
    WAIT_FOR(story_is("!c=+"));
    close(open("end", O_CREAT | O_WRONLY, 0600));
    expect_exit(tool, 7);
}

/* ---- with its files ---- */

static void copy(const char *from, const char *to)
{
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0700);
    char buffer[65536];

    CHECK(in >= 0 && out >= 0);
    for (ssize_t n; (n = read(in, buffer, sizeof(buffer))) > 0;)
        CHECK(write(out, buffer, n) == n);
    close(in);
    close(out);
}

static pid_t start_copy(const char *program)
{
    const char *libcr = getenv("LIBCR");
    char library[4096];
    pid_t pid = fork();

    CHECK(pid >= 0 && libcr);
    if (pid > 0)
        return pid;
    no_words();
    snprintf(library, sizeof(library), "%s/lib/libcr_run.so.0", libcr);
    setenv("LD_PRELOAD", library, 1);
    execl(program, "sh", "-c", "while [ ! -e end ]; do echo >>turns; sleep 0.05; done; exit 7",
          NULL);
    _exit(127);
}

/* The executable is gone when it's restarted. */
static void with_its_files(void)
{
    struct stat st;

    unlink("end");
    unlink("turns");
    copy("/bin/sh", "shell");
    pid_t pid = start_copy("./shell"), tool;
    WAIT_FOR(stat("turns", &st) == 0 && st.st_size > 2);
    CHECK(save(CR_SCOPE_TREE, pid, &(struct wishes){.flags = CR_CHKPT_DUMP_EXEC}) == 0);
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(unlink("shell") == 0 && stat("turns", &st) == 0);
    off_t before = st.st_size;
    tool = restart("context");
    WAIT_FOR(stat("turns", &st) == 0 && st.st_size > before + 2);
    close(open("end", O_CREAT | O_WRONLY, 0600));
    expect_exit(tool, 7);
}

int main(void)
{
    static const struct test_case cases[] = {CASE(callbacks), CASE(of_oneself), CASE(without_root),
                                             CASE(with_its_files)};
    char *cwd = getcwd(NULL, 0);

    snprintf(story_path, sizeof(story_path), "%s/story", cwd);
    free(cwd);
    return RUN_CASES(cases);
}
