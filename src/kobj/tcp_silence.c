/*
 * tcp_silence.c - a connection to the outside takes no more data, until the program is ended
 *
 * Data that came after the dump would be acknowledged, and lost. A filter drops every packet, so
 * that the other end sends again. Should the tool be killed meanwhile, a process that watches it
 * takes the filter away.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kobj/tcp.h"

static void close_others(int a, int b)
{
    int low = a < b ? a : b, high = a < b ? b : a;

    if (low > 0)
        syscall(SYS_close_range, 0, low - 1, 0);
    if (high > low + 1)
        syscall(SYS_close_range, low + 1, high - 1, 0);
    syscall(SYS_close_range, high + 1, ~0u, 0);
}

/* A byte: the socket is given up. The end without one: it goes on. */
static _Noreturn void watch(int socket, int tool)
{
    char byte;
    ssize_t n;
    int none = 0;

    close_others(socket, tool);
    do
        n = read(tool, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        setsockopt(socket, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none));
    _exit(0);
}

/* A fork without a signal to the caller at its end; it has no business with the caller's own. */
static pid_t start_watch(int socket, int tool)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (pid == 0)
        watch(socket, tool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid;
}

int tcp_silence_begin(const struct open_file *file, struct tcp_silence *ret, struct crs_error *err)
{
    struct sock_filter nothing = {BPF_RET | BPF_K, 0, 0, 0};
    struct sock_fprog program = {1, &nothing};
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't make a pipe");
    _cleanup_close_ int read_end = ends[0], write_end = ends[1],
                        fd = fcntl(file->dup_fd, F_DUPFD_CLOEXEC, 3);
    pid_t pid = fd < 0 ? -1 : start_watch(fd, read_end);
    if (pid < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't start a process");
    *ret = (struct tcp_silence){TAKE_FD(fd), TAKE_FD(write_end), pid};
    if (setsockopt(ret->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
        return file_refuse_errno(file, err, "silence its connection");
    return 0;
}

/* The last that closes it does so without a word to the other end. */
void tcp_silence_give_up(struct tcp_silence *s)
{
    inet_set_flag(s->fd, IPPROTO_TCP, TCP_REPAIR, 1);
    if (write(s->watch_fd, "", 1) < 0)
        return; /* the watcher is gone, which is as good */
}

void tcp_silence_end(struct tcp_silence *s)
{
    cleanup_close(&s->watch_fd);
    while (waitpid(s->watcher, NULL, __WCLONE) < 0 && errno == EINTR)
        ;
    cleanup_close(&s->fd);
}
