/*
 * request_targets.c - requests of real checkpoints: who is meant, where to, what follows, errors
 */
#include <netinet/in.h>
#include <sys/ptrace.h>
#include <sys/socket.h>

#include "target.h"

/* ---- scopes ---- */

static void in_own_group(void *arg)
{
    setpgid(0, 0);
    with_thread(NULL);
}

static void in_own_session(void *arg)
{
    setsid();
    with_thread(NULL);
}

static void scopes(void)
{
    struct target alone = start(with_thread, NULL), group = start(in_own_group, NULL),
                  session = start(in_own_session, NULL);

    CHECK(request(CR_SCOPE_PGRP, group.pid, NULL) == 0);
    expect(&group, "t=");
    CHECK(request(CR_SCOPE_SESS, session.pid, NULL) == 0);
    expect(&session, "t=");
    CHECK(request(CR_SCOPE_PGRP, 0, NULL) == 0); /* the requester is in it as well */
    expect(&alone, "t=");
    CHECK(request(CR_SCOPE_SESS, 0, NULL) == 0);
    expect(&alone, "t=");
    expect(&group, "t=");
    CHECK(request(CR_SCOPE_TREE, 0, NULL) == 0);
    expect(&alone, "t=");
    expect(&group, "t=");
    expect(&session, "t=");
    expect_silence(&alone);
    expect_silence(&group);
    expect_silence(&session);
    end(&alone);
    end(&group);
    end(&session);
}

static void several_at_once(void)
{
    cr_checkpoint_handle_t handles[4];
    struct target targets[4];

    for (int i = 0; i < 4; i++)
        targets[i] = start(with_both, NULL);
    for (int i = 0; i < 4; i++)
        CHECK(ask(CR_SCOPE_PROC, targets[i].pid, NULL, &handles[i]) == 0);
    for (int i = 3; i >= 0; i--)
        CHECK(reap(&handles[i]) == 0);
    for (int i = 0; i < 4; i++) {
        expect(&targets[i], "ts==");
        end(&targets[i]);
    }
}

/* ---- a program that starts others all the time ---- */

static pid_t start_shell(const char *script)
{
    const char *libcr = getenv("LIBCR");
    char library[4096];
    pid_t pid = fork();

    CHECK(pid >= 0 && libcr);
    if (pid > 0)
        return pid;
    snprintf(library, sizeof(library), "%s/lib/libcr_run.so.0", libcr);
    setenv("LD_PRELOAD", library, 1);
    execl("/bin/sh", "sh", "-c", script, NULL);
    _exit(127);
}

static void busy_shell(void)
{
    struct target with_callbacks;
    struct stat st;

    unlink("turns");
    pid_t pid = start_shell("while :; do /bin/echo x >>turns; (:; /bin/true) | /bin/cat; done");
    WAIT_FOR(stat("turns", &st) == 0 && st.st_size > 20);
    for (int i = 0; i < 20; i++)
        CHECK(request(CR_SCOPE_TREE, pid, NULL) == 0);
    with_callbacks = start(with_both, NULL);
    for (int i = 0; i < 10; i++) {
        CHECK(request(CR_SCOPE_SESS, 0, NULL) == 0);
        expect(&with_callbacks, "ts==");
    }
    off_t before = st.st_size;
    WAIT_FOR(stat("turns", &st) == 0 && st.st_size > before + 20);
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, NULL, 0) == pid);
    end(&with_callbacks);
}

/* ---- destinations ---- */

static off_t size_of(int fd)
{
    struct stat st;

    CHECK(fstat(fd, &st) == 0);
    return st.st_size;
}

static void files(void)
{
    struct target t = start(with_thread, NULL);
    int fd = open("context", O_RDWR | O_CREAT | O_EXCL, 0400), reader = open("context", O_RDONLY);

    CHECK(fd >= 0 && reader >= 0);
    CHECK(request(CR_SCOPE_PROC, t.pid, &(struct wishes){.fd = fd}) == 0);
    expect(&t, "t=");
    CHECK(size_of(fd) > 4096);
    CHECK(request(CR_SCOPE_PROC, t.pid, &(struct wishes){.fd = reader}) == EBADF);
    CHECK(link("context", "second") == 0);
    CHECK(request(CR_SCOPE_PROC, t.pid, &(struct wishes){.fd = fd}) == EMLINK);
    CHECK(unlink("context") == 0 && unlink("second") == 0);
    CHECK(request(CR_SCOPE_PROC, t.pid, &(struct wishes){.fd = fd}) == EINVAL);
    expect_silence(&t);
    close(fd);
    close(reader);
    end(&t);
}

static void directory(void)
{
    struct target t = start(nothing, NULL);
    char name[40];
    struct stat st;

    CHECK(mkdir("contexts", 0700) == 0);
    int fd = open("contexts", O_RDONLY | O_DIRECTORY);
    CHECK(request(CR_SCOPE_PROC, t.pid, &(struct wishes){.fd = fd}) == 0);
    snprintf(name, sizeof(name), "contexts/context.%d", t.pid);
    CHECK(stat(name, &st) == 0 && st.st_size > 4096 && (st.st_mode & 07777) == 0400);
    CHECK(request(CR_SCOPE_PROC, t.pid, &(struct wishes){.fd = fd}) == EEXIST);
    CHECK(stat(name, &st) == 0 && unlink(name) == 0);
    CHECK(request(CR_SCOPE_PROC, 0x7ffffff0, &(struct wishes){.fd = fd}) == ESRCH);
    CHECK(rmdir("contexts") == 0); /* nothing was left of it */
    close(fd);
    end(&t);
}

/* All that comes, in a process of its own; its exit code says whether it was something. */
static pid_t drain(int fd, int other_end)
{
    pid_t pid = fork();
    size_t n = 0;

    CHECK(pid >= 0);
    if (pid > 0)
        return pid;
    close(other_end);
    for (char buffer[65536];;) {
        ssize_t r = read(fd, buffer, sizeof(buffer));
        if (r <= 0)
            _exit(n > 4096 ? 0 : 1);
        n += r;
    }
}

static void expect_drained(pid_t pid, int *fds)
{
    int status;

    close(fds[0]);
    close(fds[1]);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void pipes_and_sockets(void)
{
    struct target t = start(with_thread, NULL);
    int fds[2];
    pid_t reader;

    CHECK(mkfifo("fifo", 0600) == 0);
    fds[0] = open("fifo", O_RDONLY | O_NONBLOCK);
    fds[1] = open("fifo", O_WRONLY);
    CHECK(fds[0] >= 0 && fds[1] >= 0 && fcntl(fds[0], F_SETFL, 0) == 0);
    reader = drain(fds[0], fds[1]);
    CHECK(request(CR_SCOPE_PROC, t.pid, &(struct wishes){.fd = fds[1]}) == 0);
    expect(&t, "t=");
    expect_drained(reader, fds);
    unlink("fifo");
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    reader = drain(fds[0], fds[1]);
    CHECK(request(CR_SCOPE_PROC, t.pid, &(struct wishes){.fd = fds[1]}) == 0);
    expect(&t, "t=");
    expect_drained(reader, fds);
    end(&t);
}

/* The other end is gone, or there is no room: the program goes on. */
static void lost_context(void)
{
    struct target t = start(with_thread, NULL);
    int fds[2];

    CHECK(pipe(fds) == 0);
    close(fds[0]);
    CHECK(request(CR_SCOPE_PROC, t.pid, &(struct wishes){.fd = fds[1]}) == EPIPE);
    expect_silence(&t);
    close(fds[1]);
    fds[1] = open("/dev/full", O_WRONLY);
    CHECK(fds[1] >= 0);
    CHECK(request(CR_SCOPE_PROC, t.pid, &(struct wishes){.fd = fds[1]}) == ENOSPC);
    expect(&t, "t-");
    close(fds[1]);
    CHECK(request(CR_SCOPE_PROC, t.pid, NULL) == 0);
    expect(&t, "t=");
    end(&t);
}

/* ---- connections to others ---- */

static int ends[4]; /* two that the target has, and the others' */

static void connected(void *arg)
{
    nothing(NULL);
    close(ends[1]);
    close(ends[3]);
}

static void connect_to_itself(int *fds)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    CHECK(listener >= 0 && listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fds[0], (struct sockaddr *)&address, sizeof(address)) == 0);
    fds[1] = accept(listener, NULL, NULL);
    CHECK(fds[1] >= 0);
    close(listener);
}

/* They don't refuse the checkpoint, and each is named. */
static void connections(void)
{
    char unix_words[40], tcp_words[40];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    connect_to_itself(ends + 2);
    struct target t = start(connected, NULL);
    close(ends[0]);
    close(ends[2]);
    CHECK(request(CR_SCOPE_PROC, t.pid, NULL) == 0);
    snprintf(unix_words, sizeof(unix_words), "fd %d is connected to ", ends[0]);
    snprintf(tcp_words, sizeof(tcp_words), "fd %d is connected from 127.0.0.1:", ends[2]);
    CHECK(strstr(last_log, unix_words) && strstr(last_log, tcp_words));
    CHECK(last_log[strlen(last_log) - 1] == '\n');
    end(&t);
}

/* ---- signals ---- */

static void on_signal(int sig)
{
    say('u');
}

static void with_handler(void *arg)
{
    signal(SIGUSR1, on_signal);
    with_thread(NULL);
}

static void signals(void)
{
    struct target handler = start(with_handler, NULL), plain = start(nothing, NULL);

    CHECK(request(CR_SCOPE_PROC, handler.pid, &(struct wishes){.signal = SIGUSR1}) == 0);
    expect(&handler, "t=u");
    CHECK(request(CR_SCOPE_PROC, handler.pid, &(struct wishes){.signal = SIGSTOP}) == 0);
    WAIT_FOR(state_of(handler.pid) == 'T');
    expect(&handler, "t=");
    CHECK(request(CR_SCOPE_PROC, handler.pid, NULL) == 0); /* woken, and stopped again */
    expect(&handler, "t=");
    WAIT_FOR(state_of(handler.pid) == 'T');
    CHECK(request(CR_SCOPE_PROC, handler.pid, &(struct wishes){.signal = SIGCONT}) == 0);
    expect(&handler, "t=");
    expect_alive(&handler);
    CHECK(request(CR_SCOPE_PROC, handler.pid, &(struct wishes){.signal = -SIGUSR1}) == 0);
    expect(&handler, "t");
    CHECK(request(CR_SCOPE_PROC, plain.pid, &(struct wishes){.signal = SIGSTOP}) == 0);
    WAIT_FOR(state_of(plain.pid) == 'T');
    CHECK(request(CR_SCOPE_PROC, plain.pid, NULL) == 0);
    WAIT_FOR(state_of(plain.pid) == 'T'); /* what is let go comes to its stop by itself */
    CHECK(request(CR_SCOPE_PROC, plain.pid, &(struct wishes){.signal = SIGKILL}) == 0);
    expect_killed(&plain, SIGKILL);
    CHECK(request(CR_SCOPE_PROC, handler.pid, &(struct wishes){.signal = SIGTERM}) == 0);
    expect_killed(&handler, SIGTERM);
}

/* ---- errors ---- */

static int never_arrives(void *arg)
{
    say('t');
    for (int i = 0; i < LIMIT_S * 10 && cr_status() == CR_STATE_ACTIVE; i++)
        usleep(100000);
    return 0;
}

static void stuck(void *arg)
{
    nothing(NULL);
    CHECK(cr_register_callback(never_arrives, NULL, CR_THREAD_CONTEXT) >= 0);
}

static void time_limit(void)
{
    struct target t = start(stuck, NULL), other = start(with_thread, NULL);

    CHECK(request(CR_SCOPE_SESS, 0, &(struct wishes){.timeout_s = 1}) == ETIMEDOUT);
    expect(&t, "t");
    expect(&other, "t-");
    CHECK(request(CR_SCOPE_PROC, other.pid, NULL) == 0);
    expect(&other, "t=");
    end(&t);
    end(&other);
}

static void in_use(void)
{
    cr_checkpoint_handle_t handle;
    struct target t = start(stuck, NULL);

    CHECK(ask(CR_SCOPE_PROC, t.pid, &(struct wishes){.timeout_s = 3}, &handle) == 0);
    expect(&t, "t");
    CHECK(request(CR_SCOPE_PROC, t.pid, NULL) == EBUSY);
    CHECK(reap(&handle) == ETIMEDOUT);
    end(&t);
}

static pid_t start_program(void)
{
    pid_t pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        execlp("sleep", "sleep", "1000", NULL);
        _exit(127);
    }
    return pid;
}

static void errors(void)
{
    struct target t = start(with_thread, NULL), plain = start(nothing, NULL);
    pid_t program = start_program();

    CHECK(request(CR_SCOPE_PROC, 0x7ffffff0, NULL) == ESRCH);
    CHECK(request(CR_SCOPE_PGRP, 0x7ffffff0, NULL) == ESRCH);
    CHECK(request(CR_SCOPE_PROC, program, NULL) == CR_ENOSUPPORT);
    CHECK(request(CR_SCOPE_SESS, 0, NULL) == CR_ENOSUPPORT);
    expect_silence(&t);
    CHECK(request(CR_SCOPE_SESS, 0, &(struct wishes){.flags = CR_CHKPT_ASYNC_ERR}) ==
          CR_ENOSUPPORT);
    CHECK(strstr(last_log, "no checkpoint library"));
    kill(program, SIGKILL);
    waitpid(program, NULL, 0);
    CHECK(request(CR_SCOPE_SESS, 0, &(struct wishes){.flags = CR_CHKPT_PROHIBIT_SELF}) == EDEADLK);
    expect_silence(&t);
    CHECK(request(CR_SCOPE_PROC, t.pid, &(struct wishes){.flags = CR_CHKPT_PROHIBIT_SELF}) == 0);
    expect(&t, "t=");
    if (geteuid() != 0)
        CHECK(request(CR_SCOPE_PROC, 1, NULL) == EPERM);
    kill(plain.pid, SIGKILL);
    waitpid(plain.pid, NULL, 0);
    end(&t);
}

static void tracers(void)
{
    struct target traced = start(with_thread, NULL), other = start(with_thread, NULL);

    CHECK(ptrace(PTRACE_SEIZE, traced.pid, 0, 0) == 0);
    CHECK(request(CR_SCOPE_PROC, traced.pid, NULL) == CR_EPTRACED);
    CHECK(request(CR_SCOPE_PROC, traced.pid, &(struct wishes){.flags = CR_CHKPT_PTRACED_SKIP}) ==
          ESRCH);
    CHECK(request(CR_SCOPE_PROC, other.pid, NULL) == 0);
    expect(&other, "t=");
    CHECK(request(CR_SCOPE_SESS, 0, &(struct wishes){.flags = CR_CHKPT_PTRACED_SKIP}) ==
          CR_EPTRACER);
    CHECK(request(CR_SCOPE_SESS, 0,
                  &(struct wishes){.flags = CR_CHKPT_PTRACED_SKIP | CR_CHKPT_PTRACER_SKIP}) == 0);
    expect(&other, "t=");
    expect_silence(&traced);
    CHECK(ptrace(PTRACE_INTERRUPT, traced.pid, 0, 0) == 0);
    CHECK(waitpid(traced.pid, NULL, __WALL) == traced.pid);
    CHECK(ptrace(PTRACE_DETACH, traced.pid, 0, 0) == 0);
    CHECK(request(CR_SCOPE_PROC, traced.pid, NULL) == 0);
    expect(&traced, "t=");
    end(&traced);
    end(&other);
}

int main(void)
{
    static const struct test_case cases[] = {
        CASE(scopes),    CASE(several_at_once),   CASE(busy_shell),   CASE(files),
        CASE(directory), CASE(pipes_and_sockets), CASE(lost_context), CASE(connections),
        CASE(signals),   CASE(time_limit),        CASE(in_use),       CASE(errors),
        CASE(tracers),
    };

    return RUN_CASES(cases);
}
