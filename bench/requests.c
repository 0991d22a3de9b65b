/*
 * requests.c - how long requests for a checkpoint take that a small program makes of itself
 *
 *     requests NUMBER [CONTEXTS]
 *
 * CONTEXTS: t a callback of thread context, s one of signal context, c four threads that do nothing
 * but enter and leave critical sections. The contexts go to /dev/null.
 * Prints the mean times in seconds: until a request was accepted, until it had ended, and the
 * longest.
 */
#include <errno.h>
#include <fcntl.h>
#include <libcr.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define N_THREADS 4

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int callback(void *arg)
{
    (void)arg;
    return cr_checkpoint(CR_CHECKPOINT_READY) < 0;
}

/* Each has a callback as well. */
static void *enter_and_leave(void *arg)
{
    int id = cr_init();

    if (id < 0 || cr_register_callback(callback, NULL, CR_SIGNAL_CONTEXT) < 0)
        return NULL;
    for (;;) {
        cr_enter_cs(id);
        cr_leave_cs(id);
    }
    return arg;
}

static int start_threads(void)
{
    pthread_t thread;
    int r = 0;

    for (int i = 0; i < N_THREADS && r == 0; i++)
        r = pthread_create(&thread, NULL, enter_and_leave, NULL);
    return r == 0 ? 0 : -1;
}

/* How long it took until it was accepted, or less than 0. */
static double request(int fd)
{
    cr_checkpoint_handle_t handle;
    cr_checkpoint_args_t args;
    double begun = now_s(), accepted;
    int r;

    cr_initialize_checkpoint_args_t(&args);
    args.cr_scope = CR_SCOPE_PROC;
    args.cr_fd = fd;
    if (cr_request_checkpoint(&args, &handle) < 0)
        return -1;
    accepted = now_s() - begun;
    do
        r = cr_poll_checkpoint(&handle, NULL);
    while (r == CR_POLL_CHKPT_ERR_PRE && errno == EINTR);
    return r > 0 ? accepted : -1;
}

static int set_up(const char *contexts)
{
    if (cr_init() < 0)
        return -1;
    if (strchr(contexts, 't') && cr_register_callback(callback, NULL, CR_THREAD_CONTEXT) < 0)
        return -1;
    if (strchr(contexts, 's') && cr_register_callback(callback, NULL, CR_SIGNAL_CONTEXT) < 0)
        return -1;
    if (strchr(contexts, 'c') && start_threads() < 0)
        return -1;
    return open("/dev/null", O_WRONLY | O_CLOEXEC);
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 0, fd = set_up(argc > 2 ? argv[2] : "");
    double accepted = 0, all = 0, longest = 0;

    if (n <= 0 || fd < 0)
        return 2;
    for (int i = 0; i < n; i++) {
        double begun = now_s(), one = request(fd), time = now_s() - begun;
        if (one < 0) {
            fprintf(stderr, "requests: %s\n", cr_strerror(errno));
            return 1;
        }
        accepted += one;
        all += time;
        longest = time > longest ? time : longest;
    }
    printf("%.9f %.9f %.9f\n", accepted / n, all / n, longest);
    return 0;
}
