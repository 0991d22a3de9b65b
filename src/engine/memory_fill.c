/*
 * memory_fill.c - pages from packs into a restarted process
 *
 * What is stored as it is goes straight from the pack into the process, by its own preadv(2), while
 * threads of ours check the checksums. They are faster, so they take from the other end what is
 * left and write it themselves. What is compressed is unpacked and written by the threads.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/thread.h"
#include "memory_restore.h"
#include "store/chunk_runs.h"

#define MAX_THREADS  4
#define FEW_CHUNKS   2
#define READ_SIZE    (64u << 20)  /* at most, by one preadv */
#define BATCH_SIZE   (256u << 20) /* at most, before progress is told again */
#define LEAST_CHUNKS 4    /* that the process reads before it looks whether there are more, and */
#define MOST_CHUNKS  64   /* at most, where they are shared */
#define READ_RUNS    1024 /* IOV_MAX */
#define BATCH_RUNS   (SCRATCH_OURS / sizeof(struct iovec))

/* ---- threads: checking and unpacking ---- */

struct fill_job {
    struct kobj_restore *ctx;
    Crs__Chunk **packed, **raw; /* parts of one array; raw: as they are, by their places */
    size_t n_packed, n_raw;
    bool shares; /* threads of ours take of the raw ones, too */
    atomic_size_t next_packed;
    atomic_uint_least64_t filled_bytes;
    atomic_bool stop;
    pthread_mutex_t lock; /* guards the rest */
    size_t front, back; /* the process has taken all raw ones before, and threads all from there */
    size_t checked;     /* of those that it has taken; or are about to be */
    int result;
    struct crs_error err;
};

static int write_chunk(struct fill_job *job, const Crs__Chunk *chunk, void *raw,
                       struct crs_error *err)
{
    struct iovec remote[STORE_CHUNK_PAGES], local[STORE_CHUNK_PAGES];
    size_t n_runs = 0, wanted = 0, done = 0;
    struct chunk_run run;

    chunk_runs_each (run, chunk) {
        size_t size = run.count * PAGE;
        if (!run.dropped) {
            local[n_runs] = (struct iovec){(uint8_t *)raw + done, size};
            remote[n_runs++] = (struct iovec){(void *)(run.first * PAGE), size};
            wanted += size;
        }
        done += size;
    }
    if (n_runs == 0)
        return 0;
    unsigned long long first = (uintptr_t)remote[0].iov_base;
    ssize_t n = process_vm_writev(job->ctx->t->pid, local, n_runs, remote, n_runs, 0);
    if (n < 0)
        return crs_fail_errno(err, CRS_CANT_RESTART, "can't write the process's memory at %#llx",
                              first);
    if ((size_t)n != wanted)
        return crs_fail(err, CRS_CANT_RESTART, EFAULT,
                        "only %zd of %zu bytes of the process's memory at %#llx could be written",
                        n, wanted, first);
    return 0;
}

/* What a thread does next. */
static const Crs__Chunk *next_chunk(struct fill_job *job, bool *ret_only_check)
{
    const Crs__Chunk *chunk = NULL;
    size_t i = atomic_fetch_add(&job->next_packed, 1);

    *ret_only_check = false;
    if (i < job->n_packed)
        return job->packed[i];
    pthread_mutex_lock(&job->lock);
    if (job->checked < job->front) {
        chunk = job->raw[job->checked++];
        *ret_only_check = true;
    } else if (job->shares && job->front < job->back) {
        chunk = job->raw[--job->back];
    }
    pthread_mutex_unlock(&job->lock);
    return chunk;
}

static int do_chunks(struct fill_job *job, struct crs_error *err)
{
    _cleanup_free_ void *raw = NULL;
    const Crs__Chunk *chunk;
    bool only_check;
    int r = 0;

    if (posix_memalign(&raw, PAGE, STORE_CHUNK_SIZE) != 0) {
        raw = NULL;
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a buffer");
    }
    while (r == 0 && !atomic_load(&job->stop) && (chunk = next_chunk(job, &only_check))) {
        if (only_check) {
            r = store_check_chunk(job->ctx->reader, chunk, err);
            continue;
        }
        r = store_read_chunk(job->ctx->reader, chunk, raw, err);
        if (r == 0)
            r = write_chunk(job, chunk, raw, err);
        job->filled_bytes += chunk->raw_bytes;
    }
    return r;
}

static void *worker(void *arg)
{
    struct fill_job *job = arg;
    struct crs_error err = {0};
    int r = do_chunks(job, &err);

    if (r < 0) {
        pthread_mutex_lock(&job->lock);
        if (job->result == 0) {
            job->result = r;
            job->err = err;
        }
        pthread_mutex_unlock(&job->lock);
        atomic_store(&job->stop, true);
    }
    return NULL;
}

static unsigned count_cpus(void)
{
    cpu_set_t cpus;

    return sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
}

/* The process itself needs a processor too, while it reads. */
static unsigned count_threads(const struct fill_job *job)
{
    bool raw = job->n_raw > job->n_packed;
    unsigned n = count_cpus();

    if (raw && n > 1)
        n--;
    return n > MAX_THREADS ? MAX_THREADS : n;
}

static unsigned start_threads(struct fill_job *job, pthread_t *threads)
{
    if (job->n_packed + job->n_raw <= FEW_CHUNKS)
        return 0;
    return thread_start_workers(threads, count_threads(job), worker, job);
}

/* ---- the process reads ---- */

struct fill_batch {
    struct kobj_restore *ctx;
    struct fill_job *job;
    struct iovec runs[BATCH_RUNS];
    struct remote_call calls[BATCH_RUNS];
    uint64_t call_bytes[BATCH_RUNS];
    size_t n_runs, n_calls;
    uint64_t bytes, total_bytes;
    uint32_t pack;     /* of the last call */
    uint64_t position; /* in what that is in, after the last call */
};

static int compare_places(const void *a, const void *b)
{
    const Crs__Chunk *x = *(Crs__Chunk *const *)a, *y = *(Crs__Chunk *const *)b;

    if (x->pack != y->pack)
        return x->pack < y->pack ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* A call that read less than it should: go on where it ended. */
static int read_rest(struct fill_batch *batch, struct remote_call *call, uint64_t missing,
                     uint64_t done, struct crs_error *err)
{
    struct iovec *runs = batch->runs + (call->args[1] - batch->ctx->t->scratch) / sizeof(*runs);

    while (missing > 0) {
        for (; done > 0 && done >= runs->iov_len; runs++)
            done -= runs->iov_len;
        int64_t n;
        int r = REMOTE(tracee_main(batch->ctx->t), &n, err, SYS_pread64, call->args[0],
                       (uint64_t)runs->iov_base + done, runs->iov_len - done, call->args[3]);
        if (r < 0)
            return r;
        if (n == -EINTR)
            continue;
        if (n <= 0)
            return crs_fail(err, n < 0 ? CRS_CANT_RESTART : CRS_DAMAGED, n < 0 ? -n : EBADMSG,
                            "can't read the pages at %#llx from the snapshot: %s",
                            (unsigned long long)(uint64_t)runs->iov_base + done,
                            n < 0 ? strerror(-n) : "the file ends before");
        done += n;
        missing -= n;
        call->args[3] += n;
    }
    return 0;
}

static void report(struct fill_batch *batch)
{
    struct crs_progress progress = {
        .phase = "fill", .done_bytes = batch->job->filled_bytes, .total_bytes = batch->total_bytes};

    if (batch->ctx->progress)
        batch->ctx->progress(&progress, batch->ctx->progress_arg);
}

static int flush(struct fill_batch *batch, struct crs_error *err)
{
    struct tracee *t = batch->ctx->t;
    int r;

    if (batch->n_calls == 0)
        return 0;
    r = tracee_write(t, t->scratch, batch->runs, batch->n_runs * sizeof(*batch->runs), err);
    if (r == 0)
        r = tracee_calls(tracee_main(t), batch->calls, batch->n_calls, err);
    for (size_t i = 0; r == 0 && i < batch->n_calls; i++) {
        struct remote_call *call = &batch->calls[i];
        uint64_t done = call->result < 0 ? 0 : call->result;
        if (call->result < 0 && call->result != -EINTR)
            r = crs_fail(err, CRS_CANT_RESTART, -call->result,
                         "the process can't read its pages from the snapshot: %s",
                         strerror(-call->result));
        else if (done < batch->call_bytes[i]) {
            call->args[3] += done;
            r = read_rest(batch, call, batch->call_bytes[i] - done, done, err);
        }
    }
    batch->job->filled_bytes += batch->bytes;
    batch->n_runs = batch->n_calls = 0;
    batch->bytes = 0;
    report(batch);
    return r;
}

/* Runs of a chunk, side by side in its pack. */
struct stretch {
    struct iovec runs[STORE_CHUNK_PAGES]; /* where they belong */
    size_t n_runs;
    uint32_t pack;
    uint64_t position, bytes;
};

/* The call that takes them next: the last one if they follow it in the pack. */
static struct remote_call *open_call(struct fill_batch *batch, const struct stretch *s)
{
    struct tracee *t = batch->ctx->t;
    size_t last = batch->n_calls - 1;

    if (batch->n_calls > 0 && s->pack == batch->pack && s->position == batch->position &&
        batch->call_bytes[last] + s->bytes <= READ_SIZE &&
        batch->calls[last].args[2] + s->n_runs <= READ_RUNS)
        return &batch->calls[last];
    last = batch->n_calls++;
    batch->calls[last] = (struct remote_call){
        .number = SYS_preadv,
        .args = {batch->ctx->memory_files->packs[s->pack],
                 t->scratch + batch->n_runs * sizeof(struct iovec), 0, s->position}};
    batch->call_bytes[last] = 0;
    return &batch->calls[last];
}

static int add_stretch(struct fill_batch *batch, const struct stretch *s, struct crs_error *err)
{
    if (batch->n_runs + s->n_runs > BATCH_RUNS || batch->bytes >= BATCH_SIZE) {
        int r = flush(batch, err);
        if (r < 0)
            return r;
    }
    struct remote_call *call = open_call(batch, s);
    memcpy(batch->runs + batch->n_runs, s->runs, s->n_runs * sizeof(*s->runs));
    batch->n_runs += s->n_runs;
    call->args[2] += s->n_runs;
    batch->call_bytes[batch->n_calls - 1] += s->bytes;
    batch->bytes += s->bytes;
    batch->pack = s->pack;
    batch->position = s->position + s->bytes;
    return 0;
}

/* What comes next in the pack is another stretch. */
static int end_stretch(struct fill_batch *batch, struct stretch *s, struct crs_error *err)
{
    int r = s->n_runs > 0 ? add_stretch(batch, s, err) : 0;

    s->position += s->bytes;
    s->bytes = s->n_runs = 0;
    return r;
}

static int add_chunk(struct fill_batch *batch, const Crs__Chunk *chunk, struct crs_error *err)
{
    struct stretch s;
    struct chunk_run run;

    s.pack = chunk->pack;
    s.bytes = s.n_runs = 0;
    int r = store_chunk_position(batch->ctx->reader, chunk, &s.position, err);
    for (struct chunk_runs_at at = chunk_runs_begin(chunk); r == 0 && chunk_runs_next(&at, &run);) {
        if (run.dropped) {
            r = end_stretch(batch, &s, err);
            s.position += run.count * PAGE;
            continue;
        }
        s.runs[s.n_runs++] = (struct iovec){(void *)(run.first * PAGE), run.count * PAGE};
        s.bytes += run.count * PAGE;
    }
    return r < 0 ? r : end_stretch(batch, &s, err);
}

/* What the process reads next: a part of what is left, so that it is shared to the end. */
static size_t take_raw(struct fill_job *job, size_t *ret_first)
{
    pthread_mutex_lock(&job->lock);
    size_t left = job->back - job->front, n = left;
    if (job->shares) {
        n = left / 4 > MOST_CHUNKS    ? MOST_CHUNKS
            : left / 4 < LEAST_CHUNKS ? LEAST_CHUNKS
                                      : left / 4;
        n = n > left ? left : n;
    }
    *ret_first = job->front;
    job->front += n;
    pthread_mutex_unlock(&job->lock);
    return n;
}

/* Chunks that are stored as they are, in the order of their places in the packs. */
static int read_raw(struct fill_job *job, uint64_t total, struct crs_error *err)
{
    _cleanup_free_ struct fill_batch *batch = calloc(1, sizeof(*batch));
    size_t first, n;
    int r = 0;

    if (!batch)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a list of reads");
    batch->ctx = job->ctx;
    batch->job = job;
    batch->total_bytes = total;
    while (r == 0 && !atomic_load(&job->stop) && (n = take_raw(job, &first)) > 0) {
        for (size_t i = first; r == 0 && i < first + n && !atomic_load(&job->stop); i++)
            r = add_chunk(batch, job->raw[i], err);
        if (r == 0)
            r = flush(batch, err);
    }
    return r;
}

/* The raw ones by their places, the others before them. */
static uint64_t sort_chunks(struct fill_job *job, const Crs__AddressSpace *space, const bool *later,
                            Crs__Chunk **chunks)
{
    uint64_t total = 0;
    size_t n = 0;

    for (int raw = 0; raw < 2; raw++) {
        for (size_t i = 0; i < space->n_chunks; i++) {
            Crs__Chunk *chunk = space->chunks[i];
            if ((later && later[i]) || (chunk->codec == CRS__CODEC__CODEC_NONE) != raw)
                continue;
            chunks[n++] = chunk;
            total += chunk->raw_bytes;
        }
        if (!raw)
            job->n_packed = n;
    }
    job->packed = chunks;
    job->raw = chunks + job->n_packed;
    job->n_raw = job->back = n - job->n_packed;
    qsort(job->packed, job->n_packed, sizeof(*chunks), compare_places);
    qsort(job->raw, job->n_raw, sizeof(*chunks), compare_places);
    return total;
}

int memory_fill(struct kobj_restore *ctx, const Crs__AddressSpace *space, const bool *later,
                struct crs_error *err)
{
    _cleanup_free_ Crs__Chunk **chunks = calloc(space->n_chunks + 1, sizeof(*chunks));
    struct fill_job job = {.ctx = ctx};
    pthread_t threads[MAX_THREADS];

    if (!chunks)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a list of chunks");
    uint64_t total = sort_chunks(&job, space, later, chunks);
    pthread_mutex_init(&job.lock, NULL);
    job.shares = count_cpus() > 1 && job.n_packed + job.n_raw > FEW_CHUNKS;
    unsigned n = start_threads(&job, threads);
    int r = read_raw(&job, total, err);
    if (r < 0)
        atomic_store(&job.stop, true);
    else /* what the threads have not checked yet, if they have come to be at all */
        r = do_chunks(&job, err);
    for (unsigned i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&job.lock);
    if (job.result < 0 && r == 0) {
        if (err)
            *err = job.err;
        r = job.result;
    }
    return r;
}
