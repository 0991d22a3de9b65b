/*
 * requests.c - asking for checkpoints: handles, waits, results, and that nothing of it shows
 *
 * The program is its own crs-request: started under that name it plays what the request's signal
 * says.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "request_page.h"
#include "tool.h"

enum play {
    SUCCEED,
    REFUSE,    /* ESRCH, before it is accepted */
    DIE_EARLY, /* before it is accepted */
    DIE_LATE,  /* after */
    FAIL,      /* CR_ETEMPFAIL, with a message */
    FAIL_FAST, /* EIO; the end may be seen before the acceptance */
    WAIT,      /* until the file `go` is there */
    WAIT_DIE,  /* the same, and then die */
    SLOW,      /* until it is there, and only then accept */
    ENDING,    /* say that the process will see the end by itself, and wait until it is there */
};

#define MESSAGE "the first line\nthe second\n"

/* ---- crs-request's part ---- */

static void tell(struct request_page *page, uint32_t state)
{
    __atomic_store_n(&page->state, state, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &page->state, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void accept_request(struct request_page *page)
{
    page->accepted = 1;
    tell(page, REQUEST_ACCEPTED);
}

/* As request_page.h has it: 0 to 2 nothing, the page, the destination, and no more. */
static void check_surroundings(const struct request_page *page)
{
    struct sigaction action;
    struct stat null, fd;
    sigset_t mask;

    CHECK(page->magic == REQUEST_MAGIC && page->version == REQUEST_VERSION);
    CHECK(stat("/dev/null", &null) == 0);
    for (int i = 0; i <= 2; i++)
        CHECK(fstat(i, &fd) == 0 && fd.st_rdev == null.st_rdev);
    CHECK(fcntl(REQUEST_DESTINATION_FD, F_GETFD) == 0);
    for (int i = REQUEST_DESTINATION_FD + 1; i < 1024; i++)
        CHECK(fcntl(i, F_GETFD) == -1);
    CHECK(sigprocmask(SIG_SETMASK, NULL, &mask) == 0);
    for (int i = 1; i <= SIGRTMAX; i++) {
        CHECK(sigismember(&mask, i) != 1);
        CHECK(sigaction(i, NULL, &action) != 0 || i == CR_SIGNUM || action.sa_handler == SIG_DFL);
    }
    CHECK(getsid(0) == getpid() && getppid() != page->requester);
    CHECK(!getenv("LD_PRELOAD") && strcmp(getenv("KEPT"), "kept") == 0);
}

static void end(struct request_page *page, int error)
{
    page->error = error;
    page->n_processes = error == 0;
    strcpy(page->log, MESSAGE);
    page->log_size = error == 0 ? 0 : sizeof(MESSAGE);
    tell(page, REQUEST_DONE);
}

static int be_request(void)
{
    struct request_page *page =
        mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, REQUEST_PAGE_FD, 0);
    struct stat st;

    if (page == MAP_FAILED || page->signal == DIE_EARLY)
        return 1;
    check_surroundings(page);
    if (page->signal == REFUSE) {
        end(page, ESRCH);
        return 0;
    }
    if (page->signal == SLOW)
        WAIT_FOR(stat("go", &st) == 0);
    accept_request(page);
    if (page->signal == DIE_LATE)
        return 1;
    if (page->signal == ENDING) {
        CHECK(page->knows_end);
        tell(page, REQUEST_ACCEPTED | REQUEST_ENDING);
    }
    if (page->signal == ENDING || page->signal == WAIT || page->signal == WAIT_DIE)
        WAIT_FOR(stat("go", &st) == 0);
    if (page->signal == WAIT_DIE)
        return 1;
    CHECK(write(REQUEST_DESTINATION_FD, "context", 7) == 7);
    end(page, page->signal == FAIL ? CR_ETEMPFAIL : page->signal == FAIL_FAST ? EIO : 0);
    return 0;
}

/* ---- the program ---- */

static int out; /* where contexts go */

static int ask(enum play play, cr_checkpoint_handle_t *handle)
{
    cr_checkpoint_args_t args;

    CHECK(cr_initialize_checkpoint_args_t(&args) == 0);
    CHECK((int)args.cr_scope == -1 && args.cr_target == 0 && args.cr_fd == -1);
    CHECK(args.cr_signal == 0 && args.cr_timeout == 0 && args.cr_flags == 0);
    args.cr_scope = CR_SCOPE_PROC;
    args.cr_fd = out;
    args.cr_signal = play;
    return cr_request_checkpoint(&args, handle);
}

static void results(void)
{
    const struct {
        enum play play;
        int error;
    } late[] = {{DIE_LATE, EIO}, {FAIL, CR_ETEMPFAIL}, {FAIL_FAST, EIO}};
    cr_checkpoint_handle_t handle;
    char *message = NULL, text[100];

    for (int i = 0; i < 10; i++) {
        CHECK(ask(SUCCEED, &handle) == 0);
        CHECK((int)handle < -1);
        CHECK(cr_poll_checkpoint(&handle, NULL) > 0);
        CHECK(handle == (cr_checkpoint_handle_t)-1);
    }
    CHECK(ask(REFUSE, &handle) == -1 && errno == ESRCH);
    CHECK(ask(DIE_EARLY, &handle) == -1 && errno == EIO);
    for (int i = 0; i < 3; i++) {
        CHECK(ask(late[i].play, &handle) == 0);
        CHECK(cr_poll_checkpoint(&handle, NULL) == CR_POLL_CHKPT_ERR_POST);
        CHECK(errno == late[i].error);
    }
    CHECK(ask(FAIL, &handle) == 0);
    CHECK(cr_wait_checkpoint(&handle, NULL) > 0);
    CHECK(cr_log_checkpoint(&handle, 0, NULL) == sizeof(MESSAGE));
    CHECK(cr_log_checkpoint(&handle, 4, text) == sizeof(MESSAGE) && strcmp(text, "the") == 0);
    CHECK(cr_poll_checkpoint_msg(&handle, NULL, &message) == CR_POLL_CHKPT_ERR_POST);
    CHECK(message && strcmp(message, MESSAGE) == 0);
    free(message);
    CHECK(ask(SUCCEED, &handle) == 0);
    CHECK(cr_poll_checkpoint_msg(&handle, NULL, &message) > 0 && message == NULL);
}

static void errors(void)
{
    cr_checkpoint_handle_t handle = 12345;
    cr_checkpoint_args_t args;

    CHECK(cri_init_checkpoint_args_t(2, &args) == -1 && errno == EINVAL);
    CHECK(cr_wait_checkpoint(&handle, NULL) == -1 && errno == EINVAL);
    CHECK(cr_reap_checkpoint(&handle) == -1 && errno == EINVAL);
    CHECK(cr_log_checkpoint(&handle, 0, NULL) == -1 && errno == EINVAL);
    CHECK(cr_wait_checkpoint(NULL, NULL) == -1 && errno == EFAULT);
    CHECK(cr_poll_checkpoint(&handle, NULL) == CR_POLL_CHKPT_ERR_PRE && errno == EINVAL);
    cr_initialize_checkpoint_args_t(&args);
    args.cr_fd = out;
    CHECK(cr_request_checkpoint(&args, &handle) == -1 && errno == EINVAL); /* no scope */
    args.cr_scope = CR_SCOPE_PROC;
    args.cr_flags = 0x100;
    CHECK(cr_request_checkpoint(&args, &handle) == -1 && errno == EINVAL);
    args.cr_flags = 0;
    args.cr_signal = 65;
    CHECK(cr_request_checkpoint(&args, &handle) == -1 && errno == EINVAL);
    args.cr_signal = SUCCEED;
    args.cr_fd = 1000;
    CHECK(cr_request_checkpoint(&args, &handle) == -1 && errno == EBADF);
    args.cr_fd = out;
    setenv("CRS_LIBEXEC", "/nonexistent", 1);
    CHECK(cr_request_checkpoint(&args, &handle) == -1 && errno == ENOSYS);
    setenv("CRS_LIBEXEC", ".", 1);
    CHECK(cr_request_checkpoint(&args, NULL) == -1 && errno == EFAULT);
}

static int n_alarms;

static void on_alarm(int sig)
{
    n_alarms++;
}

/* Restarts system calls: the wait ends with EINTR all the same, as select() does. */
static void interrupt_in(long ms)
{
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct itimerval timer = {{0, ms * 1000}, {0, ms * 1000}};

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void go(void)
{
    close(open("go", O_CREAT | O_WRONLY, 0600));
}

static void waits(void)
{
    struct timeval time = {0, 0};
    cr_checkpoint_handle_t handle, second;

    CHECK(ask(WAIT, &handle) == 0 && ask(WAIT, &second) == 0 && handle != second);
    CHECK(cr_wait_checkpoint(&handle, &time) == 0);
    time.tv_usec = 1000000;
    CHECK(cr_wait_checkpoint(&handle, &time) == -1 && errno == EINVAL);
    time.tv_usec = 30000;
    CHECK(cr_poll_checkpoint(&handle, &time) == 0 && time.tv_sec == 0 && time.tv_usec == 0);
    CHECK(cr_reap_checkpoint(&handle) == -1 && errno == EAGAIN);
    CHECK(cr_log_checkpoint(&handle, 0, NULL) == -1 && errno == EAGAIN);
    interrupt_in(20);
    time.tv_sec = 1000;
    CHECK(cr_wait_checkpoint(&handle, &time) == -1 && errno == EINTR && n_alarms > 0);
    CHECK(time.tv_sec == 999 || (time.tv_sec == 1000 && time.tv_usec == 0));
    CHECK(cr_wait_checkpoint(&second, NULL) == -1 && errno == EINTR);
    interrupt_in(0);
    go();
    CHECK(cr_wait_checkpoint(&second, &time) > 0);
    CHECK(cr_poll_checkpoint(&second, NULL) > 0);
    CHECK(cr_poll_checkpoint(&handle, NULL) > 0);
    unlink("go");
}

/* The end of the callbacks is that of the request, whatever its tool is doing. */
static void ending(void)
{
    cr_checkpoint_handle_t handle;
    struct timeval none = {0, 0};

    CHECK(ask(ENDING, &handle) == 0);
    CHECK(cr_poll_checkpoint(&handle, &none) == 0);
    tool_block->rounds++; /* as the last callback's end does; it was 0, as in the page */
    CHECK(cr_poll_checkpoint(&handle, NULL) > 0);
    go();
    tool_block->rounds = 0;
    CHECK(ask(SUCCEED, &handle) == 0 && cr_poll_checkpoint(&handle, NULL) > 0);
    unlink("go");
}

static void *enter_and_go(void *arg)
{
    cr_client_id_t id = cr_init();

    CHECK(id >= 0 && cr_enter_cs(id) == 0);
    go();
    CHECK(cr_leave_cs(id) == 0);
    return NULL;
}

/* Who wants to enter a critical section waits while a request is being made, but not for one that
 * waits for it. */
static void sections(void)
{
    cr_checkpoint_handle_t handle;
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, enter_and_go, NULL) == 0);
    CHECK(ask(SLOW, &handle) == 0 && cr_poll_checkpoint(&handle, NULL) > 0);
    CHECK(pthread_join(thread, NULL) == 0);
    unlink("go");
}

/* It dies while it is waited for. */
static void death(void)
{
    cr_checkpoint_handle_t handle;
    struct timeval none = {0, 0};

    CHECK(ask(WAIT_DIE, &handle) == 0);
    CHECK(cr_poll_checkpoint(&handle, &none) == 0);
    go();
    CHECK(cr_poll_checkpoint(&handle, NULL) == CR_POLL_CHKPT_ERR_POST && errno == EIO);
    unlink("go");
    CHECK(ask(DIE_LATE, &handle) == 0);
    WAIT_FOR(cr_poll_checkpoint(&handle, &none) == CR_POLL_CHKPT_ERR_POST && errno == EIO);
}

static void restarted(void)
{
    cr_checkpoint_handle_t handle;
    struct stat before, after;

    CHECK(ask(WAIT, &handle) == 0 && fstat(out, &before) == 0);
    tool_block->restarts++; /* as a restart does */
    CHECK(cr_poll_checkpoint(&handle, NULL) == CR_POLL_CHKPT_ERR_POST && errno == CR_ERESTARTED);
    CHECK(cr_poll_checkpoint(&handle, NULL) == CR_POLL_CHKPT_ERR_PRE && errno == EINVAL);
    go();
    WAIT_FOR(fstat(out, &after) == 0 && after.st_size > before.st_size);
    unlink("go");
    CHECK(ask(SUCCEED, &handle) == 0 && cr_poll_checkpoint(&handle, NULL) > 0);
}

static void *ask_often(void *arg)
{
    for (int i = 0; i < 5; i++) {
        cr_checkpoint_handle_t handles[3];
        for (int j = 0; j < 3; j++)
            CHECK(ask(j == 1 ? FAIL : SUCCEED, &handles[j]) == 0);
        for (int j = 2; j >= 0; j--)
            CHECK((cr_poll_checkpoint(&handles[j], NULL) > 0) == (j != 1));
    }
    return NULL;
}

static void threads(void)
{
    pthread_t all[4];

    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&all[i], NULL, ask_often, NULL) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(all[i], NULL) == 0);
}

static void forked(void)
{
    cr_checkpoint_handle_t handle;
    int status;
    pid_t child;

    CHECK(ask(WAIT, &handle) == 0);
    child = fork();
    if (child == 0) {
        go();
        CHECK(cr_poll_checkpoint(&handle, NULL) > 0);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(cr_poll_checkpoint(&handle, NULL) > 0);
    unlink("go");
}

/* A handler may come anywhere in the calls, and fork. */
static void on_alarm_fork(int sig)
{
    int saved = errno, status;
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    n_alarms++;
    errno = saved;
}

static void handlers(void)
{
    struct itimerval timer = {{0, 300}, {0, 300}}, none = {{0, 0}, {0, 0}};
    struct timeval no_time = {0, 0};
    cr_checkpoint_handle_t handle;

    CHECK(ask(WAIT, &handle) == 0);
    n_alarms = 0;
    signal(SIGALRM, on_alarm_fork);
    setitimer(ITIMER_REAL, &timer, NULL);
    for (time_t until = time(NULL) + TOOL_LIMIT_S; n_alarms < 200 && time(NULL) < until;) {
        int r = cr_wait_checkpoint(&handle, &no_time);
        CHECK(r == 0 || (r < 0 && errno == EINTR));
    }
    setitimer(ITIMER_REAL, &none, NULL);
    CHECK(n_alarms >= 200);
    go();
    while (cr_poll_checkpoint(&handle, NULL) <= 0)
        CHECK(errno == EINTR);
    unlink("go");
}

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static void itself(void)
{
    char name[64];
    struct stat st;

    cr_request_fd(out);
    CHECK(errno == CR_ENOINIT);
    CHECK(cr_init() == 0);
    cr_request_fd(out);
    CHECK(errno == 0);
    cr_request_file("by-name");
    CHECK(errno == 0 && stat("by-name", &st) == 0 && st.st_size == 7 &&
          (st.st_mode & 07777) == 0600);
    cr_request_file("/nonexistent/context");
    CHECK(errno == ENOENT);
    CHECK(cr_enter_cs(0) == 0);
    cr_request();
    CHECK(errno == 0 && cr_leave_cs(0) == 0);
    snprintf(name, sizeof(name), "context.%d", getpid());
    WAIT_FOR(stat(name, &st) == 0 && st.st_size == 7);
    unlink("by-name");
    unlink(name);
}

static int n_children;

static void on_child(int sig)
{
    n_children++;
}

static int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void nothing_shows(void (*what)(void))
{
    int before = count_descriptors();

    n_children = 0;
    signal(SIGCHLD, on_child);
    what();
    CHECK(n_children == 0);
    CHECK(wait(NULL) == -1 && errno == ECHILD);
    CHECK(waitpid(-1, NULL, __WALL) == -1 && errno == ECHILD);
    CHECK(count_descriptors() == before);
    signal(SIGCHLD, SIG_DFL);
}

int main(int argc, char **argv)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (strcmp(argv[0], "crs-request") == 0)
        return be_request();
    tool_begin();
    CHECK(n > 0);
    self[n] = '\0';
    CHECK(symlink(self, "crs-request") == 0);
    setenv("CRS_LIBEXEC", ".", 1);
    setenv("LD_PRELOAD", "", 1);
    setenv("KEPT", "kept", 1);
    out = open("out", O_CREAT | O_WRONLY | O_APPEND, 0600);
    CHECK(out >= 0);
    nothing_shows(results);
    nothing_shows(errors);
    nothing_shows(waits);
    nothing_shows(ending);
    nothing_shows(sections);
    nothing_shows(death);
    nothing_shows(restarted);
    nothing_shows(threads);
    forked();
    handlers();
    itself();
    unlink("crs-request");
    unlink("out");
    return 0;
}
