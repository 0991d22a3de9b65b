/*
 * tcp_silence.c - a connection to the outside takes no more data, until the program is ended
 *
 * Data that came after the dump would be acknowledged, and lost. A filter drops every packet, so
 * that the other end sends again.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kobj/tcp.h"

static void take_filter_away(const int *fds, size_t n)
{
    int none = 0;

    for (size_t i = 0; i < n; i++)
        setsockopt(fds[i], SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none));
}

int tcp_silence_begin(const struct open_file *file, struct tcp_silence *ret, struct crs_error *err)
{
    struct sock_filter nothing = {BPF_RET | BPF_K, 0, 0, 0};
    struct sock_fprog program = {1, &nothing};
    _cleanup_close_ int fd = fcntl(file->dup_fd, F_DUPFD_CLOEXEC, 3);
    struct watcher watcher;

    if (fd < 0)
        return file_refuse_errno(file, err, "keep its connection");
    int r = watcher_start(&fd, 1, take_filter_away, &watcher);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't start a process: %s", strerror(-r));
    *ret = (struct tcp_silence){TAKE_FD(fd), watcher};
    if (setsockopt(ret->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
        return file_refuse_errno(file, err, "silence its connection");
    return 0;
}

/* The last that closes it does so without a word to the other end. */
void tcp_silence_give_up(struct tcp_silence *s)
{
    inet_set_flag(s->fd, IPPROTO_TCP, TCP_REPAIR, 1);
    watcher_dismiss(&s->watcher);
}

void tcp_silence_end(struct tcp_silence *s)
{
    watcher_release(&s->watcher);
    cleanup_close(&s->fd);
}
