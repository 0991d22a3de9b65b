/*
 * listener.c - the notification thread: requests by others
 *
 * It sleeps until somebody connects to the process's socket. One request is served at a time, the
 * next ones wait in the socket's queue. Where opal_cr_use_thread is 0 it only talks to the tool,
 * and a thread of the program does the work when it comes to listener_test().
 *
 * Around the save all descriptors but the one that wakes the thread are closed, and the thread
 * waits on a condition: an image of it holds nothing that isn't there after a restart.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/thread.h"
#include "opal/constants.h"
#include "opal/util/output.h"
#include "openpal/runtime/gate.h"
#include "openpal/runtime/job.h"
#include "openpal/runtime/place.h"

/* A tool that connects and says nothing isn't waited for longer. */
#define SILENCE_MS 5000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_t thread;
static bool wanted;     /* between start and stop, not in forked children */
static bool running;    /* the thread is there */
static bool stop;       /* it shall end */
static unsigned paused; /* it shall hold no descriptors, and wait */
static bool parked;     /* it does */
static int listen_fd = -1, wake_fd = -1;
static char directory[PATH_MAX]; /* of the socket; "": there is none */
static struct job *current;
static _Atomic bool waits_for_program; /* `current` does, for listener_test() */
static _Thread_local bool is_listener;

/* ---- its socket ---- */

static void close_socket(void)
{
    cleanup_close(&listen_fd);
    listen_fd = -1;
}

/* A mark first: a tool that comes between two steps is to wait, not to be told that nobody ever
 * listens. */
static int open_in(const struct place *place, struct crs_error *err)
{
    char name[PLACE_NAME_SIZE];
    int r;

    place_mark_busy(place, getpid());
    place_name(name, getpid(), "sock");
    r = place_listen(place, name, &listen_fd, err);
    place_unmark_busy(place, getpid());
    return r;
}

/* A process that can't be asked goes on all the same, and can still save itself. */
static void open_socket(void)
{
    _cleanup_place_ struct place place = PLACE_INIT;
    struct crs_error error = {0};
    int r = directory[0] ? place_open_at(directory, &place, NULL) : -1;

    if (listen_fd >= 0)
        return;
    if (r < 0)
        r = place_open_own(runtime_params.tmp_dir, &place, &error);
    if (r == 0) {
        place_clean(&place);
        snprintf(directory, sizeof(directory), "%s", place.path);
        r = open_in(&place, &error);
    }
    if (r < 0)
        opal_output(0, "opal_cr: this process can't be asked for checkpoints: %s", error.text);
}

static void mark_busy(void)
{
    _cleanup_place_ struct place place = PLACE_INIT;

    if (directory[0] && place_open_at(directory, &place, NULL) == 0)
        place_mark_busy(&place, getpid());
}

static void remove_files(void)
{
    _cleanup_place_ struct place place = PLACE_INIT;
    char name[PLACE_NAME_SIZE];

    if (!directory[0] || place_open_at(directory, &place, NULL) < 0)
        return;
    place_name(name, getpid(), "sock");
    unlinkat(place.fd, name, 0);
    place_unmark_busy(&place, getpid());
}

void listener_place(char path[PATH_MAX])
{
    pthread_mutex_lock(&lock);
    snprintf(path, PATH_MAX, "%s", directory);
    pthread_mutex_unlock(&lock);
}

/* ---- waking and waiting ---- */

static void wake(void)
{
    uint64_t one = 1;

    if (wake_fd >= 0)
        (void)!write(wake_fd, &one, sizeof(one));
}

static void wake_locked(void)
{
    pthread_mutex_lock(&lock);
    wake();
    pthread_mutex_unlock(&lock);
}

/* Under the lock. */
static void park(void)
{
    parked = true;
    pthread_cond_broadcast(&changed);
    while (paused && !stop)
        pthread_cond_wait(&changed, &lock);
    parked = false;
}

/* Under the lock, which is free meanwhile. True: `fd` is ready, or has been closed by its other
 * end. */
static bool wait_for(int fd, short events, int timeout_ms)
{
    struct pollfd p[] = {{.fd = wake_fd, .events = POLLIN}, {.fd = fd, .events = events}};
    uint64_t count;

    pthread_mutex_unlock(&lock);
    int n = poll(p, ELEMENTS(p), timeout_ms);
    pthread_mutex_lock(&lock);
    if (n > 0 && p[0].revents & POLLIN)
        (void)!read(wake_fd, &count, sizeof(count));
    if (n > 0 && p[0].revents & POLLNVAL) /* closed by the program */
        wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return n > 0 && p[1].revents != 0;
}

/* ---- one request ---- */

static int time_left(const struct job *job, bool pause)
{
    uint64_t now = now_us(), left = 0;

    if (pause)
        return runtime_params.sleep_wait_us / 1000 > 0 ? runtime_params.sleep_wait_us / 1000 : 1;
    if (job->claimed || !job->deadline_us)
        return -1;
    if (job->deadline_us > now)
        left = (job->deadline_us - now) / 1000 + 1;
    return left > INT32_MAX ? INT32_MAX : (int)left;
}

static bool is_too_late(const struct job *job)
{
    return !job->claimed && job->deadline_us && now_us() >= job->deadline_us;
}

static void refuse_late(struct job *job)
{
    char words[512];

    snprintf(words, sizeof(words), "it couldn't be saved in the time given: %s",
             job->delay[0] ? job->delay : "it was busy");
    job_refuse(job, CRS_TIMED_OUT, words);
}

/* The mask of the program's first thread, all signals where it can't be seen. */
static void mask_of_program(sigset_t *ret)
{
    _cleanup_bytes_ struct bytes text = {0};
    const char *line;
    unsigned long long bits;

    sigfillset(ret);
    if (read_file(AT_FDCWD, "/proc/self/status", 65536, &text) < 0)
        return;
    line = strstr((const char *)text.data, "\nSigBlk:");
    if (!line || sscanf(line, " SigBlk: %llx", &bits) != 1)
        return;
    for (int sig = 1; sig < 64; sig++)
        if (!(bits >> (sig - 1) & 1))
            sigdelset(ret, sig);
}

/* Callbacks run with the program's mask, because what they start inherits it. Otherwise this thread
 * takes no signal that the program waits for. */
static int attempt_unblocked(struct job *job)
{
    sigset_t program, all;

    mask_of_program(&program);
    pthread_sigmask(SIG_SETMASK, &program, &all);
    int r = job_attempt(job);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    return r;
}

/* Under the lock. False: the job is over. */
static bool attempt(struct job *job, int *ret_result)
{
    if (!runtime_params.use_thread) {
        if (!job->delay[0]) /* later reasons come from there */
            job_delay(job, "until the program comes to a point at which it may be saved");
        waits_for_program = true;
        return true;
    }
    job->claimed = true;
    pthread_mutex_unlock(&lock);
    *ret_result = attempt_unblocked(job);
    pthread_mutex_lock(&lock);
    job->claimed = false;
    return *ret_result != OPAL_SUCCESS;
}

/* Under the lock, when the thread must hold no descriptors. A tool that waits for its turn asks
 * again; one that has gone away relies on us. */
static bool outlives_pause(struct job *job)
{
    /* Another thread only finds out that the gate is held; the one that holds it has closed its. */
    while (job->claimed && job->conn >= 0 && paused && !stop)
        pthread_cond_wait(&changed, &lock);
    if (!job->claimed && job->conn >= 0)
        return false;
    park();
    return !job->done;
}

static void serve(struct job *job)
{
    int result = OPAL_SUCCESS;

    current = job;
    while (!job->done) {
        if (paused && !stop) {
            if (!outlives_pause(job))
                break;
            continue;
        }
        if (stop && !job->claimed) {
            job_refuse(job, CRS_NOT_FOUND, "it is about to end");
            break;
        }
        if (is_too_late(job)) {
            refuse_late(job);
            break;
        }
        if (!job->claimed && !attempt(job, &result))
            break;
        if (paused || job->done)
            continue;
        bool gone = wait_for(job->claimed ? -1 : job->conn, POLLIN,
                             time_left(job, result == OPAL_EXISTS && runtime_params.use_thread));
        if (gone && !job->claimed && job->conn >= 0) /* the tool has gone: cancelled */
            break;
    }
    waits_for_program = false;
    current = NULL;
    job_free(job);
}

/* Under the lock. */
static void take_caller(void)
{
    int conn = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    uint64_t until = now_us() + SILENCE_MS * 1000;
    bool ready = false;

    if (conn < 0 && (errno == ENOTSOCK || errno == EBADF || errno == EINVAL)) {
        listen_fd = -1; /* the program has closed it, and the number is another's now */
        open_socket();
    }
    while (conn >= 0 && !ready && !paused && !stop && now_us() < until)
        ready = wait_for(conn, POLLIN, SILENCE_MS);
    if (conn >= 0 && !ready) {
        close(conn);
        return;
    }
    struct job *job = conn >= 0 ? job_accept(conn) : NULL;
    if (job)
        serve(job);
}

static void *run(void *arg)
{
    is_listener = true;
    pthread_setname_np(pthread_self(), "opal-cr");
    pthread_mutex_lock(&lock);
    while (!stop) {
        if (paused)
            park();
        else if (wait_for(listen_fd, POLLIN, -1) && !paused && !stop)
            take_caller();
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* ---- begin and end ---- */

/* Under the lock. It begins with all signals blocked. */
static int start_thread(void)
{
    int r;

    if (wake_fd < 0)
        wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        return OPAL_ERR_OUT_OF_RESOURCE;
    stop = false;
    r = thread_start_worker(&thread, run, NULL);
    running = r == 0;
    return r == 0 ? OPAL_SUCCESS : OPAL_ERR_OUT_OF_RESOURCE;
}

int listener_start(void)
{
    int r;

    pthread_mutex_lock(&lock);
    wanted = true;
    directory[0] = '\0';
    open_socket();
    r = start_thread();
    gate_on_free(wake_locked);
    pthread_mutex_unlock(&lock);
    if (r != OPAL_SUCCESS)
        listener_stop();
    return r;
}

bool listener_is_there(void)
{
    pthread_mutex_lock(&lock);
    bool there = wanted;
    pthread_mutex_unlock(&lock);
    return there;
}

void listener_stop(void)
{
    pthread_mutex_lock(&lock);
    if (!wanted) {
        pthread_mutex_unlock(&lock);
        return;
    }
    bool join = running && !is_listener;
    stop = true;
    wanted = false;
    pthread_cond_broadcast(&changed);
    wake();
    pthread_mutex_unlock(&lock);
    if (join)
        pthread_join(thread, NULL);
    pthread_mutex_lock(&lock);
    running = false;
    remove_files();
    close_socket();
    cleanup_close(&wake_fd);
    wake_fd = -1;
    directory[0] = '\0';
    pthread_mutex_unlock(&lock);
}

void listener_leave(void)
{
    pthread_mutex_lock(&lock);
    remove_files();
    pthread_mutex_unlock(&lock);
}

/* ---- around the save ---- */

void listener_quiet(void)
{
    pthread_mutex_lock(&lock);
    if (paused++ == 0 && wanted) {
        mark_busy();
        job_close_mine();
        close_socket();
        wake();
        while (running && !is_listener && !parked)
            pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
}

void listener_resume(void)
{
    pthread_mutex_lock(&lock);
    if (paused > 0 && --paused == 0 && wanted) {
        open_socket();
        if (!running && start_thread() != OPAL_SUCCESS)
            opal_output(0, "opal_cr: this process can't be asked for checkpoints: no thread");
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
}

void listener_restarted(void)
{
    pthread_mutex_lock(&lock);
    wanted = true;
    if (current && !current->claimed) /* it was asked of the other process */
        current->done = true;
    waits_for_program = false;
    mark_busy();
    pthread_mutex_unlock(&lock);
}

/* ---- a program that is saved by its own thread ---- */

void listener_test(void)
{
    struct job *job = NULL;

    if (!waits_for_program || gate_is_mine())
        return;
    pthread_mutex_lock(&lock);
    if (waits_for_program && current && !current->claimed && !current->done && !paused) {
        job = current;
        job->claimed = true;
    }
    pthread_mutex_unlock(&lock);
    if (!job)
        return;
    int r = job_attempt(job);
    pthread_mutex_lock(&lock);
    job->claimed = false;
    job->done = r == OPAL_SUCCESS;
    pthread_cond_broadcast(&changed);
    wake();
    pthread_mutex_unlock(&lock);
}

/* ---- fork ---- */

void listener_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

void listener_fork_parent(void)
{
    pthread_mutex_unlock(&lock);
}

/* The child isn't the one that tools know, and has no such thread. */
void listener_fork_child(void)
{
    pthread_cond_init(&changed, NULL);
    wanted = false;
    running = running && is_listener;
    close_socket();
    if (!is_listener) {
        cleanup_close(&wake_fd);
        wake_fd = -1;
    }
    if (current) {
        cleanup_close(&current->conn);
        cleanup_close(&current->back);
        current->conn = current->back = -1;
    }
    if (!job_is_mine(current)) /* of the parent's thread, which isn't here */
        current = NULL;
    waits_for_program = false;
    pthread_mutex_unlock(&lock);
}
