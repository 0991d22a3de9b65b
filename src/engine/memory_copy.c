/* memory_copy.c - pages into packs, by several threads */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "base/io.h"
#include "memory_image.h"

#define MAX_THREADS    4
#define FEW_CHUNKS     2 /* not worth a thread */
#define POLL_US        50000
#define CHUNK_MAX_RUNS STORE_CHUNK_PAGES

/* ---- the plan ---- */

int copy_plan_sink(struct copy_plan *plan, Crs__Chunk ***chunks, size_t *n_chunks,
                   uint32_t *ret_sink, struct crs_error *err)
{
    struct copy_sink *sink = ARRAY_ADD(&plan->sinks);

    if (!sink)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages");
    *sink = (struct copy_sink){chunks, n_chunks};
    *ret_sink = plan->sinks.n - 1;
    return 0;
}

/* The chunk that takes the next pages: the last one, or a new one. */
static struct copy_chunk *open_chunk(struct copy_plan *plan, uint32_t sink, int fd)
{
    struct copy_chunk *chunk = plan->chunks.n ? &plan->chunks.items[plan->chunks.n - 1] : NULL;

    if (chunk && chunk->sink == sink && chunk->fd == fd && chunk->n_pages < STORE_CHUNK_PAGES)
        return chunk;
    chunk = ARRAY_ADD(&plan->chunks);
    if (chunk)
        *chunk = (struct copy_chunk){.first_run = plan->runs.n, .sink = sink, .fd = fd};
    return chunk;
}

static bool extend_last_run(struct copy_plan *plan, struct copy_chunk *chunk, uint64_t page,
                            uint32_t n, uint64_t source, uint32_t how)
{
    struct copy_run *run = chunk->n_runs ? &plan->runs.items[plan->runs.n - 1] : NULL;

    if (!run || run->page + run->count != page || run->source + run->count * PAGE != source ||
        run->how != how)
        return false;
    run->count += n;
    return true;
}

int copy_plan_add(struct copy_plan *plan, uint32_t sink, int fd, uint64_t page, uint64_t count,
                  uint64_t source, uint32_t how, struct crs_error *err)
{
    plan->n_pages += count;
    while (count > 0) {
        struct copy_chunk *chunk = open_chunk(plan, sink, fd);
        if (!chunk)
            return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages");
        uint32_t room = STORE_CHUNK_PAGES - chunk->n_pages, n = count < room ? count : room;
        if (!extend_last_run(plan, chunk, page, n, source, how)) {
            struct copy_run *run = ARRAY_ADD(&plan->runs);
            if (!run)
                return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages");
            *run = (struct copy_run){page, source, n, how};
            chunk->n_runs++;
        }
        chunk->n_pages += n;
        page += n;
        source += n * PAGE;
        count -= n;
    }
    return 0;
}

void copy_plan_clear(struct copy_plan *plan)
{
    for (size_t i = 0; i < plan->chunks.n; i++)
        if (plan->chunks.items[i].result)
            crs__chunk__free_unpacked(plan->chunks.items[i].result, NULL);
    free(plan->runs.items);
    free(plan->chunks.items);
    free(plan->sinks.items);
    *plan = (struct copy_plan){0};
}

/* ---- one chunk ---- */

struct copy_job {
    struct memory_image *image;
    struct kobj_dump *ctx;
    atomic_size_t next_chunk, done_pages;
    atomic_bool stop;
    pthread_mutex_t lock;
    pthread_cond_t finished;
    unsigned n_running; /* under lock, as the rest */
    int result;
    struct crs_error err;
};

/* The pages read for one chunk: page i of the buffer is page[i] of the sink. */
struct copy_buffer {
    uint8_t *data;
    uint64_t page[STORE_CHUNK_PAGES];
    bool keep_zero[STORE_CHUNK_PAGES];
    bool absent[STORE_CHUNK_PAGES]; /* couldn't be read, and needn't be */
    uint32_t n;
};

/* A page that isn't readable in the normal way. */
static int read_forced(struct copy_job *job, const struct copy_run *run, uint64_t address,
                       uint8_t *to, bool *ret_absent, struct crs_error *err)
{
    if (pread_full(job->ctx->t->mem_fd, to, PAGE, address) == 0)
        return 0;
    if (run->how & COPY_MAY_FAIL) {
        *ret_absent = true;
        return 0;
    }
    if (!job->image->guard_bit) {
        /* Kernels that have guard pages but don't tell where show them as swapped. */
        pthread_mutex_lock(&job->lock);
        int r = page_runs_add(&job->image->guards, PAGE_OF(address), 1);
        pthread_mutex_unlock(&job->lock);
        *ret_absent = true;
        return r < 0 ? crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of pages") : 0;
    }
    return crs_fail(err, CRS_CANT_CHECKPOINT, EFAULT, "the page at %#llx can't be read",
                    (unsigned long long)address);
}

/* Read runs [first, first + n) of the process's memory, which aren't forced, to buffer page `at`.
 * Stops early at a page that can't be read; *ret_pages were. */
static int read_vector(struct copy_job *job, const struct copy_run *runs, size_t n, uint8_t *to,
                       uint64_t skip_pages, uint64_t *ret_pages, struct crs_error *err)
{
    struct iovec remote[CHUNK_MAX_RUNS];
    uint64_t total = 0;
    size_t n_remote = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t skip = skip_pages < runs[i].count ? skip_pages : runs[i].count;
        skip_pages -= skip;
        if (skip == runs[i].count)
            continue;
        remote[n_remote++] =
            (struct iovec){(void *)(runs[i].source + skip * PAGE), (runs[i].count - skip) * PAGE};
        total += (runs[i].count - skip) * PAGE;
    }
    struct iovec local = {to, total};
    ssize_t done = process_vm_readv(job->ctx->t->pid, &local, 1, remote, n_remote, 0);
    if (done < 0 && errno != EFAULT)
        return crs_fail_errno(err, CRS_FAILED, "can't read the process's memory");
    *ret_pages = done < 0 ? 0 : done / PAGE;
    return 0;
}

/* Consecutive runs that aren't forced, with a detour for pages that resist. */
static int read_runs(struct copy_job *job, const struct copy_run *runs, size_t n, uint32_t at,
                     uint64_t n_pages, struct copy_buffer *buffer, struct crs_error *err)
{
    for (uint64_t done = 0; done < n_pages;) {
        uint64_t got, before = 0;
        int r = read_vector(job, runs, n, buffer->data + (at + done) * PAGE, done, &got, err);
        if (r < 0)
            return r;
        done += got;
        if (done == n_pages)
            break;
        const struct copy_run *run = runs;
        for (; before + run->count <= done; run++)
            before += run->count;
        r = read_forced(job, run, run->source + (done - before) * PAGE,
                        buffer->data + (at + done) * PAGE, &buffer->absent[at + done], err);
        if (r < 0)
            return r;
        done++;
    }
    return 0;
}

static int read_forced_run(struct copy_job *job, const struct copy_run *run, uint32_t at,
                           struct copy_buffer *buffer, struct crs_error *err)
{
    uint8_t *to = buffer->data + at * PAGE;

    if (pread_full(job->ctx->t->mem_fd, to, run->count * PAGE, run->source) == 0)
        return 0;
    for (uint32_t i = 0; i < run->count; i++) {
        int r = read_forced(job, run, run->source + i * PAGE, to + i * PAGE,
                            &buffer->absent[at + i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_file_run(int fd, const struct copy_run *run, uint8_t *to, struct crs_error *err)
{
    uint64_t size = run->count * PAGE;

    for (uint64_t at = 0; at < size;) {
        ssize_t n = pread(fd, to + at, size - at, run->source + at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return crs_fail_errno(err, CRS_FAILED, "can't read a shared memory object");
        if (n == 0) { /* the last page of an odd size */
            memset(to + at, 0, size - at);
            break;
        }
        at += n;
    }
    return 0;
}

static int read_chunk(struct copy_job *job, const struct copy_chunk *chunk,
                      struct copy_buffer *buffer, struct crs_error *err)
{
    const struct copy_run *runs = job->image->plan.runs.items + chunk->first_run;
    int r = 0;

    for (size_t i = 0, n; r == 0 && i < chunk->n_runs; i += n) {
        uint32_t at = buffer->n;
        n = 0;
        do {
            for (uint32_t k = 0; k < runs[i + n].count; k++, buffer->n++) {
                buffer->page[buffer->n] = runs[i + n].page + k;
                buffer->keep_zero[buffer->n] = runs[i + n].how & COPY_KEEP_ZERO;
                buffer->absent[buffer->n] = false;
            }
            n++;
        } while (chunk->fd < 0 && i + n < chunk->n_runs &&
                 !((runs[i + n - 1].how | runs[i + n].how) & COPY_FORCED));
        if (chunk->fd >= 0)
            r = read_file_run(chunk->fd, &runs[i], buffer->data + at * PAGE, err);
        else if (runs[i].how & COPY_FORCED)
            r = read_forced_run(job, &runs[i], at, buffer, err);
        else
            r = read_runs(job, &runs[i], n, at, buffer->n - at, buffer, err);
    }
    return r;
}

static bool is_zero(const uint8_t *page)
{
    uint64_t first;

    memcpy(&first, page, sizeof(first));
    return first == 0 && memcmp(page, page + 8, PAGE - 8) == 0;
}

/* Squeeze out what needs no place. */
static void drop_pages(struct copy_buffer *buffer)
{
    uint32_t to = 0;

    for (uint32_t i = 0; i < buffer->n; i++) {
        const uint8_t *page = buffer->data + i * PAGE;
        if (buffer->absent[i] || (!buffer->keep_zero[i] && is_zero(page)))
            continue;
        if (to != i)
            memcpy(buffer->data + to * PAGE, page, PAGE);
        buffer->page[to++] = buffer->page[i];
    }
    buffer->n = to;
}

static int set_runs(Crs__Chunk *chunk, const struct copy_buffer *buffer)
{
    size_t n = 0;

    for (uint32_t i = 0; i < buffer->n; i++)
        n += i == 0 || buffer->page[i] != buffer->page[i - 1] + 1;
    chunk->runs = calloc(n, sizeof(*chunk->runs));
    if (!chunk->runs)
        return -ENOMEM;
    for (uint32_t i = 0; i < buffer->n; i++) {
        if (i > 0 && buffer->page[i] == buffer->page[i - 1] + 1) {
            chunk->runs[chunk->n_runs - 1]->count++;
            continue;
        }
        Crs__Run *run = malloc(sizeof(*run));
        if (!run)
            return -ENOMEM;
        crs__run__init(run);
        run->first = buffer->page[i];
        run->count = 1;
        chunk->runs[chunk->n_runs++] = run;
    }
    return 0;
}

static int put_chunk(struct copy_job *job, struct copy_chunk *chunk, struct copy_buffer *buffer,
                     struct crs_error *err)
{
    Crs__Chunk *result;

    if (buffer->n == 0)
        return 0;
    result = malloc(sizeof(*result));
    if (!result)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a chunk");
    crs__chunk__init(result);
    chunk->result = result;
    int r = store_put_chunk(job->ctx->writer, buffer->data, buffer->n * PAGE, result, err);
    if (r == 0 && set_runs(result, buffer) < 0)
        r = crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a chunk");
    return r;
}

/* ---- the threads ---- */

static int copy_chunks(struct copy_job *job, struct copy_buffer *buffer, struct crs_error *err)
{
    struct copy_plan *plan = &job->image->plan;
    int r = 0;

    while (r == 0 && !atomic_load(&job->stop)) {
        size_t i = atomic_fetch_add(&job->next_chunk, 1);
        if (i >= plan->chunks.n)
            break;
        struct copy_chunk *chunk = &plan->chunks.items[i];
        buffer->n = 0;
        r = read_chunk(job, chunk, buffer, err);
        if (r == 0) {
            drop_pages(buffer);
            r = put_chunk(job, chunk, buffer, err);
        }
        atomic_fetch_add(&job->done_pages, chunk->n_pages);
    }
    return r;
}

static int run_worker(struct copy_job *job, struct crs_error *err)
{
    _cleanup_free_ struct copy_buffer *buffer = calloc(1, sizeof(*buffer));
    void *data =
        mmap(NULL, STORE_CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int r;

    if (!buffer || data == MAP_FAILED) {
        r = crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a buffer");
    } else {
        buffer->data = data;
        r = copy_chunks(job, buffer, err);
    }
    if (data != MAP_FAILED)
        munmap(data, STORE_CHUNK_SIZE);
    return r;
}

static void *worker(void *arg)
{
    struct copy_job *job = arg;
    struct crs_error err = {0};
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
    cpu_set_t cpus;
    unsigned n = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? CPU_COUNT(&cpus) : 2;

    if (n < 2)
        n = 2;
    if (n > MAX_THREADS)
        n = MAX_THREADS;
    return n < n_chunks ? n : n_chunks;
}

/* Start up to n threads, with all signals blocked: those are for the caller's threads. */
static unsigned start_threads(struct copy_job *job, pthread_t *threads, unsigned n)
{
    sigset_t all, old;
    unsigned started = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_mutex_lock(&job->lock);
    while (started < n && pthread_create(&threads[started], NULL, worker, job) == 0)
        started++;
    job->n_running = started;
    pthread_mutex_unlock(&job->lock);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
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
                                    .done_bytes = atomic_load(&job->done_pages) * PAGE,
                                    .total_bytes = job->image->plan.n_pages * PAGE};

    if (job->ctx->progress)
        job->ctx->progress(&progress, job->ctx->progress_arg);
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
        pthread_mutex_lock(&job->lock);
    }
    pthread_mutex_unlock(&job->lock);
    return r;
}

static int copy_all(struct copy_job *job, const volatile int *cancel, uint64_t deadline_us,
                    struct crs_error *err)
{
    unsigned n = count_threads(job->image->plan.chunks.n), started = 0;
    pthread_t threads[MAX_THREADS];
    int r = 0;

    if (job->image->plan.chunks.n > FEW_CHUNKS)
        started = start_threads(job, threads, n);
    if (started == 0)
        return run_worker(job, err);
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

/* Hand the chunks to their owners, in the order of the plan. */
static int hand_over(struct copy_plan *plan, struct crs_error *err)
{
    for (size_t s = 0; s < plan->sinks.n; s++) {
        struct copy_sink *sink = &plan->sinks.items[s];
        size_t n = 0;
        for (size_t i = 0; i < plan->chunks.n; i++)
            n += plan->chunks.items[i].sink == s && plan->chunks.items[i].result;
        if (n == 0)
            continue;
        *sink->chunks = calloc(n, sizeof(**sink->chunks));
        if (!*sink->chunks)
            return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of chunks");
        for (size_t i = 0; i < plan->chunks.n; i++)
            if (plan->chunks.items[i].sink == s && plan->chunks.items[i].result)
                (*sink->chunks)[(*sink->n_chunks)++] = TAKE_PTR(plan->chunks.items[i].result);
    }
    return 0;
}

int memory_dump(struct memory_image *image, struct kobj_dump *ctx, const volatile int *cancel,
                uint64_t deadline_us, struct crs_error *err)
{
    struct copy_job job = {.image = image, .ctx = ctx};
    int r = check_stop(cancel, deadline_us, err);

    if (r < 0)
        return r;
    pthread_mutex_init(&job.lock, NULL);
    pthread_cond_init(&job.finished, NULL);
    r = copy_all(&job, cancel, deadline_us, err);
    pthread_cond_destroy(&job.finished);
    pthread_mutex_destroy(&job.lock);
    return r < 0 ? r : hand_over(&image->plan, err);
}
