/* supervise.c - stay with a running program until it ends: signals, waiting, job control */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "engine/memory_session.h"
#include "job.h"
#include "supervisor.h"
#include "tracee/reaped.h"

/* ---- signals ---- */

/* Whether the program is in our process group: then terminals and shells reach both of us. */
static bool same_group(const struct supervisor *s)
{
    return getpgid(s->options->program->pid) == getpgrp();
}

static int send_to_program(const struct supervisor *s, int sig, const siginfo_t *info)
{
    if (s->pidfd >= 0)
        return (int)syscall(SYS_pidfd_send_signal, s->pidfd, sig, info, 0);
    return kill(s->options->program->pid, sig);
}

static void pass_signal(const struct supervisor *s, const struct signalfd_siginfo *received)
{
    siginfo_t info = {0};

    /* A value that came with the signal goes on with it; who sent it can't be pretended. */
    if (received->ssi_code != SI_QUEUE) {
        send_to_program(s, (int)received->ssi_signo, NULL);
        return;
    }
    info.si_signo = (int)received->ssi_signo;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = (void *)(uintptr_t)received->ssi_ptr;
    send_to_program(s, (int)received->ssi_signo, &info);
}

/* ---- stops ---- */

static bool terminal_signal(int sig)
{
    return sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

static bool program_stopped(const struct supervisor *s)
{
    return job_pid_state(s->options->program->pid) == 'T';
}

/* Its first process leads a group of its own in our session, and that has the terminal: a restarted
 * shell with jobs, to which the terminal was handed over. */
static bool has_terminal(const struct supervisor *s, int tty)
{
    pid_t pid = s->options->program->pid;

    return getsid(pid) == getsid(0) && tcgetpgrp(tty) == getpgid(pid);
}

static bool under_job_control(const struct supervisor *s)
{
    _cleanup_close_ int tty = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);

    return tty >= 0 && tcgetsid(tty) == getsid(0) && (same_group(s) || has_terminal(s, tty));
}

static void wait_stopped(void)
{
    const struct timespec none = {0};
    sigset_t cont;

    kill(getpid(), SIGSTOP);
    /* Stopped and continued by now. */
    sigemptyset(&cont);
    sigaddset(&cont, SIGCONT);
    sigtimedwait(&cont, NULL, &none);
}

/* A stop from the terminal waits for us, so it came after what continued us (which takes older ones
 * away): the program stands because of it. */
static bool stops_again(void)
{
    sigset_t pending;

    sigpending(&pending);
    return sigismember(&pending, SIGTSTP) || sigismember(&pending, SIGTTIN) ||
           sigismember(&pending, SIGTTOU);
}

/*
 * The shell must see its job stopped when the program stopped for the terminal. By SIGSTOP, as
 * whatever stopped the program is blocked here. The signal that continues the group reaches both,
 * unless the program has a group of its own: then the terminal goes to and fro with it.
 */
static void stop_with_program(const struct supervisor *s)
{
    _cleanup_close_ int tty = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
    pid_t pid = s->options->program->pid, group = getpgid(pid);

    if (same_group(s)) {
        wait_stopped();
        if (program_stopped(s) && !stops_again()) /* only we were continued */
            send_to_program(s, SIGCONT, NULL);
        return;
    }
    if (tty >= 0)
        tcsetpgrp(tty, getpgrp());
    wait_stopped();
    if (tty >= 0 && tcgetpgrp(tty) == getpgrp())
        tcsetpgrp(tty, group);
    if (group > 0)
        kill(-group, SIGCONT);
}

/* ---- signals that come ---- */

static void take_signals(const struct supervisor *s)
{
    struct signalfd_siginfo received;

    while (read(s->signal_fd, &received, sizeof(received)) == sizeof(received)) {
        if (received.ssi_signo == SIGCHLD)
            continue; /* the loop looks at the program after every turn */
        if (received.ssi_code <= 0 && (pid_t)received.ssi_pid == getpid())
            continue; /* our own: SIGPIPE of a closed standard error */
        bool from_process = received.ssi_code <= 0;
        if (from_process || !same_group(s))
            pass_signal(s, &received);
        /* ^Z where the program stood already (it was saved so): it has no other stop to tell. */
        if (!from_process && terminal_signal((int)received.ssi_signo) && program_stopped(s) &&
            under_job_control(s))
            stop_with_program(s);
    }
}

/* A SIGSTOP from a shell to its own group, by its command `suspend`, doesn't reach us either. */
static bool is_stop_for_shell(const struct supervisor *s, int status)
{
    return WIFSTOPPED(status) &&
           (terminal_signal(WSTOPSIG(status)) || (WSTOPSIG(status) == SIGSTOP && !same_group(s)));
}

/* ---- waiting ---- */

/* 1: *ret_status has news. 0: none. */
static int wait_own_child(pid_t pid, int *ret_status, struct crs_error *err)
{
    int status;
    pid_t r = waitpid(pid, &status, WNOHANG | WUNTRACED);

    if (r == 0 || (r < 0 && errno == EINTR))
        return 0;
    /* The engine, in another thread, saw it end while it held it. */
    if (r < 0 && errno == ECHILD && tracee_reaped(pid, &status))
        r = pid;
    if (r < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't wait for process %d", (int)pid);
    *ret_status = status;
    return 1;
}

static int wait_program(struct crs_restarted *program, int *ret_status, struct crs_error *err)
{
    if (program->status_fd < 0)
        return wait_own_child(program->wait_pid, ret_status, err);
    int r = crs_restart_wait(program, WNOHANG | WUNTRACED, ret_status, err);
    return r == -EAGAIN ? 0 : r < 0 ? r : 1;
}

/* Orphans of the program that became our children, where we are a child subreaper. The program's
 * own end is left for wait_program(). */
static void reap_adopted(const struct supervisor *s)
{
    siginfo_t info;

    do {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0 ||
            info.si_pid == s->options->program->wait_pid)
            return;
    } while (waitpid(info.si_pid, NULL, WNOHANG) == info.si_pid);
}

/* Look what became of the program. 1: it has ended. */
static int look(struct supervisor *s, int *ret_status, struct crs_error *err)
{
    for (;;) {
        int status = 0, r = 0;

        pthread_mutex_lock(&s->lock);
        if (!s->held)
            r = wait_program(s->options->program, &status, err);
        bool ended = r > 0 && (WIFEXITED(status) || WIFSIGNALED(status));
        if (ended)
            s->ended = true;
        else if (!s->held)
            reap_adopted(s);
        pthread_mutex_unlock(&s->lock);
        if (r <= 0)
            return r;
        if (ended) {
            *ret_status = status;
            return 1;
        }
        /* It may go on by now, and the stop be an old one. */
        if (is_stop_for_shell(s, status) && program_stopped(s) && under_job_control(s))
            stop_with_program(s);
    }
}

/* ---- the loop ---- */

/* Has the client of the checkpoint under way gone? Polled outside of the lock, so its descriptor
 * may be closed and another's by now: compare, and ask again. */
static void check_client(struct supervisor *s, int polled_fd)
{
    pthread_mutex_lock(&s->lock);
    struct pollfd client = {.fd = s->client_fd, .events = POLLRDHUP};
    if (s->client_fd >= 0 && s->client_fd == polled_fd && poll(&client, 1, 0) > 0 &&
        (client.revents & (POLLRDHUP | POLLHUP | POLLERR)))
        s->cancel = 1;
    pthread_mutex_unlock(&s->lock);
}

static void take_connections(struct supervisor *s)
{
    int fd;

    while ((fd = accept4(s->options->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        serve_connection(s, fd);
}

static int loop(struct supervisor *s, int *ret_status, struct crs_error *err)
{
    for (;;) {
        eventfd_t count;
        int r = look(s, ret_status, err);

        if (r != 0)
            return r < 0 ? r : 0;
        pthread_mutex_lock(&s->lock);
        int client_fd = s->cancel ? -1 : s->client_fd;
        int status_fd = s->held ? -1 : s->options->program->status_fd;
        pthread_mutex_unlock(&s->lock);
        struct pollfd fds[] = {
            {.fd = s->signal_fd, .events = POLLIN},
            {.fd = s->wake_fd, .events = POLLIN},
            {.fd = s->options->listen_fd, .events = POLLIN},
            {.fd = client_fd, .events = POLLRDHUP},
            {.fd = status_fd, .events = POLLIN},
        };
        if (poll(fds, ELEMENTS(fds), -1) < 0 && errno != EINTR)
            return crs_fail_errno(err, CRS_FAILED, "can't wait for events");
        if (fds[0].revents)
            take_signals(s);
        if (fds[1].revents)
            eventfd_read(s->wake_fd, &count);
        if (fds[2].revents)
            take_connections(s);
        if (fds[3].revents)
            check_client(s, client_fd);
    }
}

/* ---- set up and take down ---- */

static void close_supervisor(struct supervisor *s)
{
    cleanup_close(&s->signal_fd);
    cleanup_close(&s->wake_fd);
    cleanup_close(&s->stop_fd);
    cleanup_close(&s->pidfd);
    memory_session_free(s->session);
    free(s->terminated);
}

static int open_supervisor(struct supervisor *s, struct crs_error *err)
{
    sigset_t all;

    sigfillset(&all);
    s->signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->stop_fd = eventfd(0, EFD_CLOEXEC);
    s->pidfd = (int)syscall(SYS_pidfd_open, s->options->program->pid, 0);
    if (s->signal_fd < 0 || s->wake_fd < 0 || s->stop_fd < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't make descriptors to wait on");
    return 0;
}

int supervise(const struct supervise_options *options, struct supervise_result *ret,
              struct crs_error *err)
{
    /* On the heap: a serving thread that doesn't end in time keeps it. */
    struct supervisor *s = calloc(1, sizeof(*s));
    int status = 0;

    if (!s)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    *s = (struct supervisor){.options = options,
                             .client_fd = -1,
                             .lock = PTHREAD_MUTEX_INITIALIZER,
                             .idle = PTHREAD_COND_INITIALIZER,
                             .released = PTHREAD_COND_INITIALIZER};
    s->session = memory_session_new();
    int r = open_supervisor(s, err);
    if (r >= 0)
        r = loop(s, &status, err);
    if (r >= 0)
        *ret = (struct supervise_result){status, TAKE_PTR(s->terminated)};
    if (serve_finish(s)) {
        close_supervisor(s);
        free(s);
    }
    return r;
}
