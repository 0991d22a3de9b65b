/* memory_copy.c - pages into packs, by several threads */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "base/io.h"
#include "base/priority.h"
#include "base/processors.h"
#include "base/slice.h"
#include "base/thread.h"
#include "memory_image.h"
#include "tracee/tracee.h"

#define MAX_THREADS 8
#define FEW_CHUNKS  2 /* not worth a thread */
#define POLL_US     50000

struct copy_job {
    struct copy_source *source;
    struct copy_buffer *buffer;       /* for the caller's own thread */
    uint64_t pages_before, all_pages; /* of the whole set */
    atomic_size_t next_chunk, done_pages;
    atomic_bool stop;
    bool runs, nice; /* the program, and it is to go before us */
    pthread_mutex_t lock;
    pthread_cond_t finished;
    unsigned n_running; /* under lock, as the rest */
    int result;
    struct crs_error err;
};

static int copy_chunks(struct copy_job *job, struct copy_buffer *buffer, struct crs_error *err)
{
    struct copy_plan *plan = job->source->plan;
    int r = 0;

    while (r == 0 && !atomic_load(&job->stop)) {
        size_t i = atomic_fetch_add(&job->next_chunk, 1);
        if (i >= plan->chunks.n)
            break;
        struct copy_chunk *chunk = &plan->chunks.items[i];
        if (!copy_takes(job->source->part, chunk))
            continue;
        r = copy_chunk_read(job->source, chunk, buffer, err);
        if (r == 0)
            r = copy_chunk_put(job->source, chunk, buffer, err);
        chunk->done = r == 0;
        atomic_fetch_add(&job->done_pages, chunk->n_pages);
        if (job->runs) /* who was woken while the kernel copied doesn't wait for the next tick */
            sched_yield();
    }
    return r;
}

void copy_buffer_free(struct copy_buffer *buffer)
{
    if (buffer)
        munmap(buffer->data, STORE_CHUNK_SIZE);
    free(buffer);
}

struct copy_buffer *copy_buffer_new(int flags, struct crs_error *err)
{
    struct copy_buffer *buffer = calloc(1, sizeof(*buffer));
    void *data = mmap(NULL, STORE_CHUNK_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

    if (buffer && data != MAP_FAILED) {
        buffer->data = data;
        return buffer;
    }
    if (data != MAP_FAILED)
        munmap(data, STORE_CHUNK_SIZE);
    free(buffer);
    crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a buffer");
    return NULL;
}

static int run_worker(struct copy_job *job, struct crs_error *err)
{
    struct copy_buffer *buffer = copy_buffer_new(MAP_POPULATE, err);
    int r = buffer ? copy_chunks(job, buffer, err) : -ENOMEM;

    copy_buffer_free(buffer);
    return r;
}

static void *worker(void *arg)
{
    struct copy_job *job = arg;
    struct crs_error err = {0};

    if (job->runs)
        slice_change(SLICE_LONG_NS);
    if (job->nice)
        priority_lower();
    int r = run_worker(job, &err);

    pthread_mutex_lock(&job->lock);
    if (r < 0 && job->result == 0) {
        job->result = r;
        job->err = err;
        atomic_store(&job->stop, true);
    }
    job->n_running--;
    pthread_cond_signal(&job->finished);
    pthread_mutex_unlock(&job->lock);
    return NULL;
}

static unsigned count_threads(size_t n_chunks)
{
    unsigned n = processors_count();

    if (n < 2)
        n = 2;
    if (n > MAX_THREADS)
        n = MAX_THREADS;
    return n < n_chunks ? n : n_chunks;
}

static unsigned start_threads(struct copy_job *job, pthread_t *threads, unsigned n)
{
    pthread_mutex_lock(&job->lock);
    unsigned started = thread_start_workers(threads, n, worker, job);
    job->n_running = started;
    pthread_mutex_unlock(&job->lock);
    return started;
}

static int check_stop(const volatile int *cancel, uint64_t deadline_us, struct crs_error *err)
{
    if (cancel && *cancel)
        return crs_fail(err, CRS_FAILED, ECANCELED, "the checkpoint was cancelled");
    if (deadline_us && now_us() > deadline_us)
        return crs_fail(err, CRS_TIMED_OUT, ETIMEDOUT,
                        "the time ran out while memory was being copied");
    return 0;
}

static void report(struct copy_job *job)
{
    struct crs_progress progress = {.phase = "memory",
                                    .done_bytes =
                                        (job->pages_before + atomic_load(&job->done_pages)) * PAGE,
                                    .total_bytes = job->all_pages * PAGE};

    if (job->source->ctx->progress)
        job->source->ctx->progress(&progress, job->source->ctx->progress_arg);
}

/* Watch the threads until all have ended. */
static int watch(struct copy_job *job, const volatile int *cancel, uint64_t deadline_us,
                 struct crs_error *err)
{
    struct timespec until;
    int r = 0;

    pthread_mutex_lock(&job->lock);
    while (job->n_running > 0) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += POLL_US * 1000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&job->finished, &job->lock, &until);
        pthread_mutex_unlock(&job->lock);
        report(job);
        if (r == 0 && (r = check_stop(cancel, deadline_us, err)) < 0)
            atomic_store(&job->stop, true);
        if (job->source->enough && job->source->enough(job->source, atomic_load(&job->done_pages)))
            atomic_store(&job->stop, true);
        pthread_mutex_lock(&job->lock);
    }
    pthread_mutex_unlock(&job->lock);
    return r;
}

static void note_buffers(struct memory_set *set, unsigned n)
{
    if (n * (uint64_t)STORE_CHUNK_SIZE > set->buffer_bytes)
        set->buffer_bytes = n * (uint64_t)STORE_CHUNK_SIZE;
}

/* Threads that go behind others can't be taken back for a freeze: so only while it runs. */
static bool is_running(const struct memory_image *image)
{
    return !(image->t && image->t->frozen);
}

static int copy_all(struct copy_job *job, const volatile int *cancel, uint64_t deadline_us,
                    struct crs_error *err)
{
    unsigned n = count_threads(job->source->plan->chunks.n), started = 0;
    pthread_t threads[MAX_THREADS];
    int r = 0;

    if (job->source->plan->chunks.n > FEW_CHUNKS)
        started = start_threads(job, threads, n);
    note_buffers(job->source->image->set, started + 1);
    if (started == 0)
        return copy_chunks(job, job->buffer, err);
    r = watch(job, cancel, deadline_us, err);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (r == 0 && job->result < 0) {
        if (err)
            *err = job->err;
        r = job->result;
    }
    return r;
}

/* Room for what each owner gets. A shared object's content may come from several processes. */
static int make_room(struct copy_plan *plan, struct crs_error *err)
{
    _cleanup_free_ size_t *n = calloc(plan->sinks.n + 1, sizeof(*n));
    bool failed = !n;

    for (size_t i = 0; !failed && i < plan->chunks.n; i++)
        n[plan->chunks.items[i].sink] +=
            (plan->chunks.items[i].result != NULL) + (plan->chunks.items[i].same != NULL);
    for (size_t s = 0; !failed && s < plan->sinks.n; s++) {
        struct copy_sink *sink = &plan->sinks.items[s];
        if (n[s] == 0)
            continue;
        Crs__Chunk **more =
            reallocarray(*sink->chunks, *sink->n_chunks + n[s], sizeof(**sink->chunks));
        if (more)
            *sink->chunks = more;
        failed = !more;
    }
    return failed ? crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of chunks") : 0;
}

int copy_plan_hand_over(struct copy_plan *plan, struct crs_error *err)
{
    int r = make_room(plan, err);

    for (size_t i = 0; r == 0 && i < plan->chunks.n; i++) {
        struct copy_chunk *chunk = &plan->chunks.items[i];
        struct copy_sink *sink = &plan->sinks.items[chunk->sink];
        if (chunk->same)
            (*sink->chunks)[(*sink->n_chunks)++] = TAKE_PTR(chunk->same);
        if (chunk->result)
            (*sink->chunks)[(*sink->n_chunks)++] = TAKE_PTR(chunk->result);
    }
    if (r == 0) { /* they are of no use any more, and may be millions */
        numbers_clear(&plan->runs);
    }
    return r;
}

int copy_plan_run(struct copy_source *source, struct copy_buffer *buffer, uint64_t *done_pages,
                  uint64_t all_pages, const volatile int *cancel, uint64_t deadline_us,
                  struct crs_error *err)
{
    struct copy_job job = {.source = source,
                           .buffer = buffer,
                           .pages_before = *done_pages,
                           .all_pages = all_pages,
                           .runs = is_running(source->image),
                           .nice = is_running(source->image) && source->image->set->nice};
    int r = check_stop(cancel, deadline_us, err);

    if (r < 0)
        return r;
    pthread_mutex_init(&job.lock, NULL);
    pthread_cond_init(&job.finished, NULL);
    r = copy_all(&job, cancel, deadline_us, err);
    pthread_cond_destroy(&job.finished);
    pthread_mutex_destroy(&job.lock);
    *done_pages += source->plan->n_pages;
    return r;
}

int memory_dump(struct memory_set *set, struct kobj_dump *ctx, const volatile int *cancel,
                uint64_t deadline_us, struct crs_error *err)
{
    /* One for all processes: most of a large tree are small, and few of its pages are used. */
    struct copy_buffer *buffer = copy_buffer_new(0, err);
    uint64_t all = 0, before = 0;
    bool late = memory_late_begin(set);
    int r = buffer ? 0 : -ENOMEM;

    memory_same_begin(set);
    for (size_t i = 0; i < set->images.n; i++)
        all += memory_freeze_pages(set->images.items[i]);
    for (size_t i = 0; r == 0 && i < set->images.n; i++) {
        struct memory_image *image = set->images.items[i];
        if (!image->space)
            continue;
        struct copy_source source = {image,
                                     ctx,
                                     &image->plan,
                                     image->tid,
                                     image->t->mem_fd,
                                     NULL,
                                     PTHREAD_MUTEX_INITIALIZER,
                                     memory_freeze_part(image)};
        if (late) {
            r = memory_late_read(set, &source, err);
        } else {
            r = copy_plan_run(&source, buffer, &before, all, cancel, deadline_us, err);
            if (r == 0 && !image->fork)
                r = copy_plan_hand_over(&image->plan, err);
        }
        if (r < 0)
            crs_fail_at(err, r, "process %d", image->pid);
    }
    copy_buffer_free(buffer);
    return r;
}
