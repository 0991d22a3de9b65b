/* requests.c - whom a request is for, where its context goes to, and how its end is waited for */
#include <sys/socket.h>

#include "proof.h"

#define N_AT_ONCE 5

/* ---- scopes ---- */

/* The numbers of those whose callback has run are in a file. */
static int sign(void *arg)
{
    int fd = open("signed", O_WRONLY | O_APPEND | O_CREAT, 0600);
    char text[20];
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

    CHECK(fd >= 0 && write(fd, text, n) == n);
    close(fd);
    return cr_checkpoint(CR_CHECKPOINT_READY) != 0;
}

static void sign_and_wait(int from, int to)
{
    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(sign, NULL, CR_THREAD_CONTEXT) >= 0);
    say(to, 'r');
    hear(from);
}

static int n_signed(pid_t pid)
{
    FILE *file = fopen("signed", "re");
    int n = 0, one;

    while (file && fscanf(file, "%d", &one) == 1)
        n += one == pid;
    if (file)
        fclose(file);
    return n;
}

/* A session, in which is a group of its own, in which is a child. */
static void grandchild(int from, int to)
{
    sign_and_wait(from, to);
}

static pid_t report_pid(int fd)
{
    pid_t pid;

    CHECK(read(fd, &pid, sizeof(pid)) == sizeof(pid));
    return pid;
}

static void member_of_session(int from, int to)
{
    struct child child;

    CHECK(setpgid(0, 0) == 0);
    child = start(grandchild);
    CHECK(hear(child.from) == 'r');
    CHECK(write(to, &child.pid, sizeof(child.pid)) == sizeof(child.pid));
    sign_and_wait(from, to);
    end_well(&child);
}

static void leader_of_session(int from, int to)
{
    struct child child;
    pid_t pids[2];

    CHECK(setsid() == getpid());
    child = start(member_of_session);
    pids[0] = child.pid;
    pids[1] = report_pid(child.from);
    CHECK(hear(child.from) == 'r');
    CHECK(write(to, pids, sizeof(pids)) == sizeof(pids));
    sign_and_wait(from, to);
    end_well(&child);
}

static void check_scope(cr_scope_t scope, pid_t target, const pid_t pids[3], const int expected[3])
{
    unlink("signed");
    CHECK_IS(checkpoint(scope, target), 0);
    for (int i = 0; i < 3; i++)
        CHECK_IS(n_signed(pids[i]), expected[i]);
}

static void scopes(void)
{
    static const int first[] = {1, 0, 0}, second[] = {0, 1, 0}, last[] = {0, 0, 1};
    static const int all[] = {1, 1, 1}, group[] = {0, 1, 1};
    struct child child = start(leader_of_session);
    pid_t pids[3] = {child.pid};

    CHECK(read(child.from, pids + 1, 2 * sizeof(pid_t)) == 2 * sizeof(pid_t));
    CHECK(hear(child.from) == 'r');
    check_scope(CR_SCOPE_PROC, pids[0], pids, first);
    check_scope(CR_SCOPE_PROC, pids[1], pids, second);
    check_scope(CR_SCOPE_PROC, pids[2], pids, last);
    check_scope(CR_SCOPE_PGRP, pids[0], pids, first);
    check_scope(CR_SCOPE_PGRP, pids[1], pids, group);
    check_scope(CR_SCOPE_SESS, pids[0], pids, all);
    check_scope(CR_SCOPE_TREE, pids[0], pids, all);
    check_scope(CR_SCOPE_TREE, pids[1], pids, group);
    end_well(&child);
}

/* ---- destinations ---- */

/* Reads it all in a thread, as pipes and sockets must be. */
struct reader {
    int fd;
    size_t size;
};

static void *read_all(void *arg)
{
    struct reader *reader = (struct reader *)arg;
    char text[4096];
    ssize_t n;

    while ((n = read(reader->fd, text, sizeof(text))) > 0)
        reader->size += n;
    CHECK(n == 0);
    return NULL;
}

/* A target's context to fd, which is closed at once; what comes out of the other end. */
static void expect_stream(pid_t target, int fd, int reading_fd)
{
    struct reader reader = {.fd = reading_fd};
    cr_checkpoint_handle_t handle;
    cr_checkpoint_args_t args;
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, read_all, &reader) == 0);
    fill(&args, CR_SCOPE_PROC, target, fd);
    CHECK(cr_request_checkpoint(&args, &handle) == 0);
    close(fd);
    CHECK_IS(finish(&handle), 0);
    pthread_join(thread, NULL);
    CHECK(reader.size > 4096);
    close(reading_fd);
}

static void destinations(void)
{
    struct child child = start(wait_and_go);
    struct stat st;
    char name[40];
    cr_checkpoint_args_t args;
    int pair[2], reading;

    CHECK(hear(child.from) == 'r');
    fill(&args, CR_SCOPE_PROC, child.pid, create("file"));
    CHECK_IS(request(&args), 0);
    CHECK(fstat(args.cr_fd, &st) == 0 && st.st_size > 4096);
    close(args.cr_fd);

    CHECK(mkfifo("fifo", 0600) == 0);
    reading = open("fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    CHECK(reading >= 0 && fcntl(reading, F_SETFL, 0) == 0);
    expect_stream(child.pid, open("fifo", O_WRONLY | O_CLOEXEC), reading);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    expect_stream(child.pid, pair[0], pair[1]);
    CHECK(pipe2(pair, O_CLOEXEC) == 0);
    expect_stream(child.pid, pair[1], pair[0]);

    fill(&args, CR_SCOPE_PROC, child.pid, open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    CHECK_IS(request(&args), 0);
    close(args.cr_fd);
    snprintf(name, sizeof(name), "context.%d", (int)child.pid);
    CHECK(stat(name, &st) == 0 && st.st_size > 4096 && (st.st_mode & 07777) == 0400);
    end_well(&child);
}

/* ---- waiting ---- */

/* The child is in a critical section until it hears. */
static void stay_in_section(int from, int to)
{
    int id = cr_init();

    CHECK(cr_enter_cs(id) == 0);
    say(to, 'r');
    hear(from);
    CHECK(cr_leave_cs(id) == 0);
    hear(from);
}

static volatile sig_atomic_t n_alarms;

static void on_alarm(int sig)
{
    n_alarms++;
}

static void interrupted(cr_checkpoint_handle_t *handle)
{
    struct sigaction action;
    struct itimerval soon = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};

    memset(&action, 0, sizeof(action));
    action.sa_handler = on_alarm;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
    CHECK(cr_wait_checkpoint(handle, NULL) == -1 && errno == EINTR);
    CHECK(cr_poll_checkpoint(handle, NULL) == CR_POLL_CHKPT_ERR_PRE && errno == EINTR);
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    CHECK(n_alarms > 0);
}

/* The child's pipes lead out of the checkpoint, which is worth a line each. */
static void expect_log(cr_checkpoint_handle_t *handle)
{
    char text[4096], part[8] = "-------";
    int size = cr_log_checkpoint(handle, 0, NULL);

    CHECK(size > 8 && size < (int)sizeof(text));
    CHECK_IS(cr_log_checkpoint(handle, sizeof(text), text), size);
    CHECK((int)strlen(text) == size - 1 && text[size - 2] == '\n');
    CHECK_IS(cr_log_checkpoint(handle, 5, part), size); /* again, a part of it */
    CHECK(strncmp(part, text, 4) == 0 && part[4] == 0 && part[5] == '-');
}

static void waits(void)
{
    struct timeval none = {0, 0}, moment = {0, 30000}, longer = {1000, 0};
    struct child child = start(stay_in_section);
    cr_checkpoint_handle_t handle;
    cr_checkpoint_args_t args;
    double before;

    CHECK(hear(child.from) == 'r');
    fill(&args, CR_SCOPE_PROC, child.pid, open_nowhere());
    CHECK(cr_request_checkpoint(&args, &handle) == 0);
    CHECK_IS(cr_wait_checkpoint(&handle, &none), 0);
    CHECK_IS(cr_poll_checkpoint(&handle, &none), 0);
    CHECK(cr_reap_checkpoint(&handle) == -1 && errno == EAGAIN);
    CHECK(cr_log_checkpoint(&handle, 0, NULL) == -1 && errno == EAGAIN);
    before = now_s();
    CHECK_IS(cr_poll_checkpoint(&handle, &moment), 0);
    CHECK(now_s() - before >= 0.03);
    CHECK(moment.tv_sec == 0 && moment.tv_usec == 0);
    interrupted(&handle);

    say(child.to, 'l');
    CHECK(cr_wait_checkpoint(&handle, &longer) > 0);
    CHECK(longer.tv_sec < 1000 && longer.tv_sec > 0);
    CHECK(cr_wait_checkpoint(&handle, &none) > 0); /* as often as one likes */
    expect_log(&handle);
    CHECK(cr_reap_checkpoint(&handle) > 0);
    CHECK(handle == (cr_checkpoint_handle_t)-1);
    close(args.cr_fd);
    end_well(&child);
}

/* ---- several ---- */

static void at_once(void)
{
    struct child children[N_AT_ONCE];
    cr_checkpoint_handle_t handles[N_AT_ONCE];
    struct timeval none = {0, 0};
    cr_checkpoint_args_t args;
    int fd = open_nowhere();

    for (int i = 0; i < N_AT_ONCE; i++) {
        children[i] = start(stay_in_section);
        CHECK(hear(children[i].from) == 'r');
        fill(&args, CR_SCOPE_PROC, children[i].pid, fd);
        CHECK(cr_request_checkpoint(&args, &handles[i]) == 0);
    }
    for (int i = 0; i < N_AT_ONCE; i++)
        CHECK_IS(cr_poll_checkpoint(&handles[i], &none), 0);
    for (int i = N_AT_ONCE - 1; i >= 0; i--) { /* each ends by itself */
        say(children[i].to, 'l');
        CHECK_IS(finish(&handles[i]), 0);
        for (int other = 0; other < i; other++)
            CHECK_IS(cr_poll_checkpoint(&handles[other], &none), 0);
        end_well(&children[i]);
    }
    close(fd);
}

/* ---- oneself ---- */

static void oneself(void)
{
    cr_checkpoint_args_t args;
    struct stat st;

    for (int scope = CR_SCOPE_PROC; scope <= CR_SCOPE_TREE; scope += CR_SCOPE_TREE) {
        fill(&args, (cr_scope_t)scope, 0, create("self"));
        CHECK_IS(request(&args), 0);
        CHECK(fstat(args.cr_fd, &st) == 0 && st.st_size > 4096);
        close(args.cr_fd);
        CHECK_IS(checkpoint((cr_scope_t)scope, getpid()), 0);
    }
}

int main(void)
{
    scopes();
    destinations();
    waits();
    at_once();
    oneself();
    return 0;
}
