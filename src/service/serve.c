/* serve.c - requests to a supervisor, each answered in a thread of its own */
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/thread.h"
#include "engine/checkpoint.h"
#include "job.h"
#include "request.h"
#include "supervisor.h"

#define MAX_SERVING     8
#define REQUEST_TIME_MS 10000
#define FINISH_TIME_S   10

struct connection {
    struct supervisor *supervisor;
    int fd;
};

static void wake(struct supervisor *s)
{
    eventfd_write(s->wake_fd, 1);
}

static void pass_progress(const struct crs_progress *progress, void *arg)
{
    request_answer_progress(*(int *)arg, progress);
}

/* Under the lock: has the client of the checkpoint under way gone, or cancelled it? */
static bool is_given_up(struct supervisor *s)
{
    struct pollfd client = {.fd = s->client_fd, .events = POLLRDHUP};

    if (!s->cancel && s->client_fd >= 0 && poll(&client, 1, 0) > 0 &&
        (client.revents & (POLLRDHUP | POLLHUP | POLLERR)))
        s->cancel = 1;
    return s->cancel;
}

/* Under the lock: one that nobody wants any more ends soon, so wait for that. */
static void wait_for_cancelled(struct supervisor *s)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += REQUEST_TIME_MS / 1000;
    while (!s->ended && s->held && is_given_up(s) &&
           pthread_cond_timedwait(&s->released, &s->lock, &until) == 0)
        ;
}

/* The program is ours to hold, until end_checkpoint(). */
static int begin_checkpoint(struct supervisor *s, int fd, struct crs_error *err)
{
    int r = 0;

    pthread_mutex_lock(&s->lock);
    wait_for_cancelled(s);
    if (s->ended) {
        r = crs_fail(err, CRS_NOT_FOUND, ESRCH, "the job has ended");
    } else if (s->held) {
        r = crs_fail(err, CRS_BUSY, EBUSY,
                     "another checkpoint of this job is under way: try again when it is done");
    } else {
        s->held = true;
        s->client_fd = fd;
        s->cancel = 0;
    }
    pthread_mutex_unlock(&s->lock);
    if (r >= 0)
        wake(s); /* watch the client */
    return r;
}

static void end_checkpoint(struct supervisor *s, bool terminated,
                           const struct crs_checkpoint_result *result)
{
    pthread_mutex_lock(&s->lock);
    s->held = false;
    s->client_fd = -1;
    pthread_cond_broadcast(&s->released);
    if (terminated) {
        free(s->terminated);
        s->terminated = strdup(result->name ? result->name : result->path);
    }
    pthread_mutex_unlock(&s->lock);
    wake(s);
}

static void answer_checkpoint(struct supervisor *s, int fd, pid_t peer, struct request *request)
{
    struct crs_checkpoint_options *options = &request->options;
    struct crs_checkpoint_result result = {0};
    struct crs_error error = {0};
    int r = begin_checkpoint(s, fd, &error);

    if (r >= 0) {
        request_answer_accepted(fd);
        options->store = s->options->store;
        if (!options->name && !options->output && !options->stream_fd)
            options->name = s->options->name;
        options->progress = pass_progress;
        options->progress_arg = &fd;
        options->cancel = &s->cancel;
        options->tool = peer;
        r = checkpoint_in_session(s->options->program->pid, options, s->session, &result, &error);
        r = job_say_if_ended(s->options->program->pid, r, &error);
        end_checkpoint(s, r >= 0 && options->afterwards == CRS_TERMINATE, &result);
    }
    if (r < 0) {
        request_answer_error(fd, &error);
        return;
    }
    request_answer_result(fd, &result);
    crs_checkpoint_result_clear(&result);
}

static void answer(struct supervisor *s, int fd)
{
    _cleanup_request_ struct request request = {0};
    struct crs_error error = {0};
    pid_t peer = 0;
    int r = request_check_peer(fd, &peer, &error);

    if (r >= 0)
        r = request_read(fd, s->stop_fd, REQUEST_TIME_MS, &request, &error);
    if (r < 0)
        request_answer_error(fd, &error);
    else
        answer_checkpoint(s, fd, peer, &request);
}

static void *serve(void *arg)
{
    struct connection connection = *(struct connection *)arg;
    struct supervisor *s = connection.supervisor;

    free(arg);
    answer(s, connection.fd);
    close(connection.fd);
    pthread_mutex_lock(&s->lock);
    if (--s->n_serving == 0)
        pthread_cond_signal(&s->idle);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static int start_serving(struct supervisor *s, int fd)
{
    struct connection *connection = malloc(sizeof(*connection));

    if (!connection)
        return -ENOMEM;
    *connection = (struct connection){s, fd};
    pthread_mutex_lock(&s->lock);
    int r = s->n_serving >= MAX_SERVING ? EAGAIN : 0;
    if (r == 0)
        r = thread_start(NULL, true, serve, connection);
    if (r == 0)
        s->n_serving++;
    pthread_mutex_unlock(&s->lock);
    if (r != 0)
        free(connection);
    return -r;
}

void serve_connection(struct supervisor *s, int fd)
{
    struct crs_error error;
    int r = start_serving(s, fd);

    if (r < 0) {
        crs_fail(&error, CRS_BUSY, EBUSY, "too many requests at once: try again");
        request_answer_error(fd, &error);
        close(fd);
    }
}

bool serve_finish(struct supervisor *s)
{
    struct timespec until;
    int r = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += FINISH_TIME_S;
    eventfd_write(s->stop_fd, 1);
    pthread_mutex_lock(&s->lock);
    while (s->n_serving > 0 && r == 0)
        r = pthread_cond_timedwait(&s->idle, &s->lock, &until);
    pthread_mutex_unlock(&s->lock);
    return r == 0;
}
