/*
 * lazy_server.c - brings the pages of a restarted program: those that are touched, then all others
 *
 * One thread waits for faults and events; others bring what nobody has touched yet, and look for
 * faults between two chunks. A page is brought with its whole chunk, which is read, checked and
 * unpacked anyway; the page itself first.
 *
 * The lock: whoever puts pages there holds it for reading, from the look whether they are wanted
 * until they are there. Whoever reads events holds it for writing until what they say is noted. The
 * kernel lets the program throw pages away only when we have read that it will, so none comes back
 * afterwards.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/passing.h"
#include "base/thread.h"
#include "engine/lazy_server.h"
#include "engine/lazy_uffd.h"

#define SERVER_NAME     "crs-fill"
#define MAX_THREADS     3
#define BACKGROUND_NICE 10
#define NAP_US          20
#define IDLE_MS         10
#define MEMORY_TRIES    500 /* with a nap of 10 ms between them */

struct fault {
    struct lazy_space *space;
    uint64_t page;
    bool write;
};

struct server {
    struct store_reader *reader;
    struct lazy_shared *shared;
    pthread_rwlock_t lock;
    ARRAY_OF(struct lazy_space *) spaces; /* under the lock */
    size_t n_open;                        /* likewise: those that are not closed */
    pthread_mutex_t queue_lock;
    ARRAY_OF(struct fault) faults; /* read, and not answered yet; under queue_lock */
    int epoll_fd;
    int wake_fd; /* all is there, or it failed */
    pthread_mutex_t failure_lock;
    struct crs_error failure;
    atomic_bool stop;
};

/* One of its threads. */
struct worker {
    struct server *server;
    uint8_t *raw;   /* a chunk */
    uint8_t *zeros; /* a page */
    pthread_t thread;
};

static void wake(struct server *s)
{
    uint64_t one = 1;

    if (write(s->wake_fd, &one, sizeof(one)) < 0)
        return; /* it is awake */
}

static void fail(struct server *s, const struct crs_error *why)
{
    pthread_mutex_lock(&s->failure_lock);
    if (s->failure.kind == CRS_OK)
        s->failure = *why;
    pthread_mutex_unlock(&s->failure_lock);
    s->stop = true;
    wake(s);
}

static void fail_words(struct server *s, int errnum, const char *what)
{
    struct crs_error why = {0};

    crs_fail(&why, CRS_FAILED, errnum, "%s: %s", what, strerror(errnum));
    fail(s, &why);
}

/* ---- under the lock, for writing ---- */

/* The kernel lets all of its mappings go, and whoever waits. */
static void close_space(struct server *s, struct lazy_space *space)
{
    if (space->closed)
        return;
    space->closed = true;
    cleanup_close(&space->uffd);
    space->uffd = -1;
    if (--s->n_open == 0)
        wake(s);
}

static int watch(struct server *s, struct lazy_space *space)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = space};

    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, space->uffd, &event) < 0)
        return -errno;
    if (space->uffd > s->shared->highest_fd)
        s->shared->highest_fd = space->uffd;
    return 0;
}

static int add_space(struct server *s, struct lazy_space *space)
{
    struct lazy_space **place = ARRAY_ADD(&s->spaces);

    if (!place)
        return -ENOMEM;
    *place = space;
    s->n_open++;
    return watch(s, space);
}

static void forked(struct server *s, const struct lazy_space *parent, int uffd)
{
    struct lazy_space *child;
    int r;

    if (uffd > s->shared->highest_fd)
        s->shared->highest_fd = uffd;
    r = lazy_space_fork(parent, uffd, &child);
    if (r == 0)
        r = add_space(s, child);
    if (r < 0)
        fail_words(s, -r, "can't go on with a child that the program has forked");
}

static void queue(struct server *s, struct lazy_space *space, const struct uffd_msg *m)
{
    pthread_mutex_lock(&s->queue_lock);
    struct fault *fault = ARRAY_ADD(&s->faults);
    if (fault)
        *fault = (struct fault){space, m->arg.pagefault.address / LAZY_PAGE,
                                m->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WRITE};
    pthread_mutex_unlock(&s->queue_lock);
    if (!fault)
        fail_words(s, ENOMEM, "can't note which page is touched");
}

static void take(struct server *s, struct lazy_space *space, const struct uffd_msg *m)
{
    switch (m->event) {
    case UFFD_EVENT_PAGEFAULT:
        queue(s, space, m);
        break;
    case UFFD_EVENT_FORK:
        forked(s, space, m->arg.fork.ufd);
        break;
    case UFFD_EVENT_REMAP:
        if (lazy_space_move(space, m->arg.remap.from / LAZY_PAGE, m->arg.remap.to / LAZY_PAGE,
                            m->arg.remap.len / LAZY_PAGE) < 0)
            fail_words(s, ENOMEM, "can't follow what the program has moved (mremap)");
        break;
    case UFFD_EVENT_REMOVE:
    case UFFD_EVENT_UNMAP:
        lazy_space_drop(space, m->arg.remove.start / LAZY_PAGE, m->arg.remove.end / LAZY_PAGE);
        break;
    default:
        break;
    }
}

/* Everything that the kernel has to say about one address space. */
static void listen_to(struct server *s, struct lazy_space *space)
{
    struct uffd_msg messages[16];
    ssize_t n = 0;

    pthread_rwlock_wrlock(&s->lock);
    while (!space->closed && !s->stop &&
           (n = read(space->uffd, messages, sizeof(messages))) >= (ssize_t)sizeof(messages[0]))
        for (size_t i = 0; i < n / sizeof(messages[0]); i++)
            take(s, space, &messages[i]);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        fail_words(s, errno, "can't learn what the program does with its memory");
    if (space->n_wanted == 0)
        close_space(s, space);
    pthread_rwlock_unlock(&s->lock);
}

/* ---- bringing pages ---- */

static void finish(struct server *s, struct lazy_space *space, bool gone)
{
    pthread_rwlock_wrlock(&s->lock);
    if (gone || space->n_wanted == 0)
        close_space(s, space);
    pthread_rwlock_unlock(&s->lock);
}

/* What to do after an answer of the kernel. */
enum next {
    NEXT_GO_ON,
    NEXT_LISTEN, /* events wait to be read */
    NEXT_NO_MEMORY,
    NEXT_GONE,
    NEXT_FAIL,
};

/* Under the lock, for reading. */
static enum next put_run(struct lazy_space *space, const struct lazy_run *run, const uint8_t *raw)
{
    const uint8_t *from = raw + run->offset * LAZY_PAGE;
    uint64_t size = run->count * LAZY_PAGE, done;
    int r = lazy_uffd_copy(space->uffd, run->page * LAZY_PAGE, from, size, &done);

    /* Two mappings side by side have to be filled one after the other. */
    if (r == -ENOENT && run->count > 1)
        r = lazy_uffd_copy(space->uffd, run->page * LAZY_PAGE, from, LAZY_PAGE, &done);
    lazy_space_mark(space, run->bit, done / LAZY_PAGE);
    switch (r) {
    case 0:
        return NEXT_GO_ON;
    case -EEXIST: /* brought by another thread of ours */
    case -ENOENT: /* unmapped, or not the child's (MADV_DONTFORK) */
        lazy_space_mark(space, run->bit + done / LAZY_PAGE, 1);
        return NEXT_GO_ON;
    case -EAGAIN:
        return done > 0 ? NEXT_GO_ON : NEXT_LISTEN;
    case -ENOMEM:
        return NEXT_NO_MEMORY;
    case -ESRCH:
        return NEXT_GONE;
    default:
        errno = -r;
        return NEXT_FAIL;
    }
}

/* The next pages of the chunk. False: none is wanted. */
static bool put_next(struct server *s, struct lazy_space *space, size_t chunk, uint64_t first,
                     const uint8_t *raw, enum next *ret)
{
    struct lazy_run run;

    pthread_rwlock_rdlock(&s->lock);
    bool any = !space->closed && !s->stop && lazy_space_next_run(space, chunk, first, &run);
    if (any)
        *ret = put_run(space, &run, raw);
    pthread_rwlock_unlock(&s->lock);
    return any;
}

static void put_chunk(struct server *s, struct lazy_space *space, size_t chunk, uint64_t first,
                      const uint8_t *raw)
{
    unsigned tries = 0;
    enum next next;

    while (put_next(s, space, chunk, first, raw, &next)) {
        if (next == NEXT_LISTEN) {
            listen_to(s, space);
            usleep(NAP_US);
        } else if (next == NEXT_NO_MEMORY && tries++ < MEMORY_TRIES) {
            usleep(10000);
        } else if (next == NEXT_GONE) {
            finish(s, space, true);
        } else if (next != NEXT_GO_ON) {
            fail_words(s, next == NEXT_FAIL ? errno : ENOMEM, "can't bring a page");
        }
    }
    if (space->n_wanted == 0)
        finish(s, space, false);
}

static void bring_chunk(struct worker *w, struct lazy_space *space, size_t chunk, uint64_t first)
{
    struct server *s = w->server;
    struct crs_error why = {0};

    if (store_read_chunk(s->reader, space->source->chunks[chunk], w->raw, &why) < 0) {
        crs_fail_at(&why, -1, "memory that the program needs can't be had any more, it was killed");
        fail(s, &why);
        return;
    }
    put_chunk(s, space, chunk, first, w->raw);
}

/* A page that the snapshot has nothing for, or that was thrown away. */
static void bring_zeros(struct worker *w, const struct fault *f)
{
    struct server *s = w->server;
    unsigned tries = 0;
    uint64_t done;
    int r;

    do {
        pthread_rwlock_rdlock(&s->lock);
        if (f->space->closed || s->stop)
            r = 0;
        else if (lazy_space_chunk_of(f->space, f->page) >= 0)
            r = 0; /* it was moved there meanwhile: the next fault will tell */
        else if (f->write)
            r = lazy_uffd_copy(f->space->uffd, f->page * LAZY_PAGE, w->zeros, LAZY_PAGE, &done);
        else
            r = lazy_uffd_zero(f->space->uffd, f->page * LAZY_PAGE, LAZY_PAGE);
        pthread_rwlock_unlock(&s->lock);
        if (r == -EAGAIN)
            listen_to(s, f->space);
        if (r == -EAGAIN || r == -ENOMEM)
            usleep(r == -EAGAIN ? NAP_US : 10000);
    } while (r == -EAGAIN || (r == -ENOMEM && tries++ < MEMORY_TRIES));
    if (r == -ENOMEM)
        fail_words(s, ENOMEM, "can't bring a page");
    else if (r == -ESRCH)
        finish(s, f->space, true);
}

static void answer(struct worker *w, const struct fault *f)
{
    struct server *s = w->server;

    pthread_rwlock_rdlock(&s->lock);
    int64_t chunk = f->space->closed ? -1 : lazy_space_chunk_of(f->space, f->page);
    pthread_rwlock_unlock(&s->lock);
    if (chunk >= 0)
        bring_chunk(w, f->space, chunk, f->page);
    else
        bring_zeros(w, f);
    /* It was there already, or isn't mapped any more: whoever waits must look again. Not if it
     * failed: there is nothing to be seen then. */
    pthread_rwlock_rdlock(&s->lock);
    if (!f->space->closed && !s->stop)
        lazy_uffd_wake(f->space->uffd, f->page * LAZY_PAGE, LAZY_PAGE);
    pthread_rwlock_unlock(&s->lock);
}

static bool take_fault(struct server *s, struct fault *ret)
{
    pthread_mutex_lock(&s->queue_lock);
    bool any = s->faults.n > 0;
    if (any) {
        *ret = s->faults.items[0]; /* in their order */
        memmove(s->faults.items, s->faults.items + 1, --s->faults.n * sizeof(*ret));
    }
    pthread_mutex_unlock(&s->queue_lock);
    return any;
}

/* Listen to who has something to say, and answer all faults. False: time to look at other things.
 */
static void attend(struct worker *w, int timeout_ms)
{
    struct epoll_event events[16];
    struct server *s = w->server;
    struct fault fault;

    int n = epoll_wait(s->epoll_fd, events, ELEMENTS(events), timeout_ms);
    for (int i = 0; i < n && !s->stop; i++)
        if (events[i].data.ptr)
            listen_to(s, events[i].data.ptr);
    while (!s->stop && take_fault(s, &fault))
        answer(w, &fault);
}

/* ---- the background ---- */

/* The next chunk that nobody has begun to bring; false: none is left. */
static bool next_chunk(struct server *s, struct lazy_space **ret_space, size_t *ret_chunk)
{
    bool found = false;

    pthread_rwlock_rdlock(&s->lock);
    for (size_t i = 0; i < s->spaces.n && !found; i++) {
        struct lazy_space *space = s->spaces.items[i];
        while (!space->closed && !found && space->next < space->source->n_chunks) {
            struct lazy_run run;
            size_t chunk = space->next++;
            found = chunk < space->source->n_chunks && lazy_space_next_run(space, chunk, 0, &run);
            *ret_space = space;
            *ret_chunk = chunk;
        }
    }
    pthread_rwlock_unlock(&s->lock);
    return found;
}

static bool is_done(struct server *s)
{
    pthread_rwlock_rdlock(&s->lock);
    bool done = s->n_open == 0;
    pthread_rwlock_unlock(&s->lock);
    return done;
}

static void *bring_all(void *arg)
{
    struct worker *w = arg;
    struct lazy_space *space;
    size_t chunk;

    setpriority(PRIO_PROCESS, syscall(SYS_gettid), BACKGROUND_NICE);
    while (!w->server->stop && !is_done(w->server)) {
        bool any = next_chunk(w->server, &space, &chunk);
        if (any)
            bring_chunk(w, space, chunk, 0);
        attend(w, any ? 0 : IDLE_MS); /* a child may be forked yet */
    }
    return NULL;
}

/* ---- the process ---- */

static int make_worker(struct server *s, struct worker *w)
{
    *w = (struct worker){.server = s};
    if (posix_memalign((void **)&w->raw, LAZY_PAGE, STORE_CHUNK_SIZE) != 0 ||
        posix_memalign((void **)&w->zeros, LAZY_PAGE, LAZY_PAGE) != 0)
        return -ENOMEM;
    memset(w->zeros, 0, LAZY_PAGE);
    return 0;
}

static int set_up(struct server *s, const struct lazy_work *work)
{
    pthread_rwlockattr_t attributes;

    *s = (struct server){.reader = work->reader, .shared = work->shared};
    /* What is put there all the time must not keep events from being read. */
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&s->lock, &attributes);
    pthread_mutex_init(&s->queue_lock, NULL);
    pthread_mutex_init(&s->failure_lock, NULL);
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->epoll_fd < 0 || s->wake_fd < 0)
        return -errno;
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->wake_fd, &event) < 0)
        return -errno;
    int r = 0;
    for (size_t i = 0; r == 0 && i < work->n_spaces; i++)
        r = add_space(s, work->spaces[i]);
    return r;
}

static void raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static size_t start_workers(struct server *s, struct worker *workers)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t wanted = cpus <= 2 ? 1 : cpus - 1 > MAX_THREADS ? MAX_THREADS : cpus - 1, n = 0;

    while (n < wanted && make_worker(s, &workers[n]) == 0 &&
           thread_start(&workers[n].thread, false, bring_all, &workers[n]) == 0)
        n++;
    return n;
}

/* A guard that was killed gets a successor. */
static void keep_guard(struct server *s, pid_t *pid, int *pidfd)
{
    struct pollfd end = {.fd = *pidfd, .events = POLLIN};
    int r;

    if (poll(&end, 1, 0) <= 0)
        return;
    waitpid(*pid, NULL, 0);
    close(*pidfd);
    struct epoll_event event = {.events = EPOLLIN};
    r = lazy_guard_start(s->shared, pid, pidfd);
    if (r == 0 && epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, *pidfd, &event) < 0)
        r = -errno;
    if (r < 0)
        fail_words(s, -r, "can't start another guard of the program's memory");
}

static void run(struct server *s, struct worker *own, pid_t *guard, int *guard_fd)
{
    struct worker workers[MAX_THREADS];
    size_t n = start_workers(s, workers);

    if (n == 0)
        fail_words(s, ENOMEM, "can't start a thread");
    while (!s->stop && !is_done(s)) {
        attend(own, -1);
        keep_guard(s, guard, guard_fd);
    }
    for (size_t i = 0; i < n; i++)
        pthread_join(workers[i].thread, NULL);
}

static void tell_ready(int fd)
{
    char byte = 1;

    if (write(fd, &byte, 1) == 1)
        close(fd);
}

_Noreturn void lazy_serve(const struct lazy_work *work)
{
    struct lazy_report report = {0};
    struct worker own = {0};
    struct server s;
    pid_t guard = 0;
    int guard_fd = -1;

    prctl(PR_SET_NAME, SERVER_NAME);
    raise_limit();
    int r = set_up(&s, work);
    if (r == 0)
        r = make_worker(&s, &own);
    if (r == 0)
        r = lazy_guard_start(work->shared, &guard, &guard_fd);
    struct epoll_event event = {.events = EPOLLIN};
    if (r < 0 || epoll_ctl(s.epoll_fd, EPOLL_CTL_ADD, guard_fd, &event) < 0)
        _exit(1); /* who started us sees that nobody is ready, and ends the stubs */
    tell_ready(work->ready_fd);
    run(&s, &own, &guard, &guard_fd);
    if (s.stop)
        lazy_give_up(work->shared, &s.failure);
    else
        pass_record(work->shared->report_fd, &report, sizeof(report), -1);
    work->shared->done = true;
    kill(guard, SIGKILL);
    waitpid(guard, NULL, 0);
    _exit(0);
}
