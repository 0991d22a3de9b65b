/* lazy_start.c - the server of a restart on demand is started */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/passing.h"
#include "engine/lazy_server.h"
#include "engine/lazy_start.h"
#include "engine/lazy_uffd.h"

struct lazy {
    int report_fd;
    bool says;
    ARRAY_OF(struct lazy_space *) spaces;
    ARRAY_OF(struct lazy_source *) sources;
};

int lazy_probe(struct crs_error *err)
{
    return lazy_uffd_probe(err);
}

int lazy_new(int report_fd, bool says, struct lazy **ret, struct crs_error *err)
{
    struct lazy *lazy = calloc(1, sizeof(*lazy));

    if (!lazy)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    lazy->report_fd = report_fd;
    lazy->says = says;
    *ret = lazy;
    return 0;
}

static void source_free(struct lazy_source *source)
{
    free(source->chunks);
    free(source->pieces);
    free(source);
}

void lazy_free(struct lazy *lazy)
{
    if (!lazy)
        return;
    for (size_t i = 0; i < lazy->spaces.n; i++)
        lazy_space_free(lazy->spaces.items[i]);
    for (size_t i = 0; i < lazy->sources.n; i++)
        source_free(lazy->sources.items[i]);
    free(lazy->spaces.items);
    free(lazy->sources.items);
    free(lazy);
}

/* ---- what is to be brought ---- */

static int add_source(struct lazy *lazy, const Crs__AddressSpace *space,
                      const struct lazy_part *part, struct lazy_source **ret)
{
    struct lazy_source *source = calloc(1, sizeof(*source));
    struct lazy_source **place = source ? ARRAY_ADD(&lazy->sources) : NULL;

    if (!place) {
        free(source);
        return -ENOMEM;
    }
    *place = source;
    int r = lazy_list(space, part, source);
    if (r < 0)
        return r;
    *ret = source;
    return 0;
}

int lazy_add(struct lazy *lazy, const Crs__AddressSpace *space, struct lazy_part *part,
             struct crs_error *err)
{
    struct lazy_source *source;
    struct lazy_space **place;
    int r = add_source(lazy, space, part, &source);

    if (r == 0) {
        place = ARRAY_ADD(&lazy->spaces);
        r = place ? lazy_space_new(part->uffd, source, place) : -ENOMEM;
    }
    if (r < 0)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a list of chunks");
    part->uffd = -1;
    return 0;
}

/* ---- descriptors: the server keeps only what it needs ---- */

struct kept {
    ARRAY_OF(int) fds;
    bool failed;
};

static void keep(struct kept *kept, int fd)
{
    int *place = fd >= 0 ? ARRAY_ADD(&kept->fds) : NULL;

    if (place)
        *place = fd;
    else if (fd >= 0)
        kept->failed = true;
}

static int compare_numbers(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return x < y ? -1 : x > y;
}

static void close_others(struct kept *kept)
{
    unsigned next = 0;

    qsort(kept->fds.items, kept->fds.n, sizeof(int), compare_numbers);
    for (size_t i = 0; i < kept->fds.n; i++) {
        unsigned fd = kept->fds.items[i];
        if (fd > next)
            syscall(SYS_close_range, next, fd - 1, 0);
        next = fd + 1;
    }
    syscall(SYS_close_range, next, ~0U, 0);
}

/* Whoever reads the other end of a pipe must not wait for its end because of us. */
static bool says_to_file(const struct lazy *lazy)
{
    struct stat st;

    return lazy->says && fstat(STDERR_FILENO, &st) == 0 && !S_ISFIFO(st.st_mode) &&
           !S_ISSOCK(st.st_mode);
}

/* All packs are open from now on: the snapshot may be removed. */
static int keep_packs(struct kobj_restore *ctx, struct kept *kept, struct crs_error *err)
{
    uint32_t last = 0;
    int fd, r = 0;

    for (size_t i = 0; i < ctx->lazy->sources.n; i++) {
        const struct lazy_source *source = ctx->lazy->sources.items[i];
        for (size_t k = 0; r == 0 && k < source->n_chunks; k++) {
            if (source->chunks[k]->pack == last)
                continue;
            last = source->chunks[k]->pack;
            r = store_reader_pack_fd(ctx->reader, last, &fd, err);
            if (r == 0)
                keep(kept, fd);
        }
    }
    return r;
}

/* ---- the processes ---- */

static struct lazy_shared *new_shared(struct kobj_restore *ctx, struct kept *kept)
{
    size_t size = sizeof(struct lazy_shared) + ctx->tree->n_processes * sizeof(int);
    struct lazy_shared *shared =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    void *page = mmap(NULL, LAZY_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED || page == MAP_FAILED)
        return NULL;
    shared->unreadable = page;
    shared->report_fd = ctx->lazy->report_fd;
    shared->says = says_to_file(ctx->lazy);
    keep(kept, shared->report_fd);
    if (shared->says)
        keep(kept, STDERR_FILENO);
    for (size_t i = 0; i < ctx->tree->n_processes; i++)
        if (ctx->stubs[i]) {
            shared->pidfds[shared->n_pidfds++] = ctx->stubs[i]->pidfd;
            keep(kept, ctx->stubs[i]->pidfd);
        }
    for (size_t i = 0; i < ctx->lazy->spaces.n; i++)
        keep(kept, ctx->lazy->spaces.items[i]->uffd);
    return shared;
}

/* A process of nobody's, in a session of its own, that no signal but SIGKILL ends. */
_Noreturn static void become_server(struct kobj_restore *ctx, struct kept *kept, int ready_fd)
{
    struct lazy_work work = {.reader = ctx->reader,
                             .spaces = ctx->lazy->spaces.items,
                             .n_spaces = ctx->lazy->spaces.n,
                             .ready_fd = ready_fd};
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (setsid() < 0 || fork() != 0)
        _exit(0);
    if (chdir("/") < 0)
        _exit(1);
    work.shared = new_shared(ctx, kept);
    keep(kept, ready_fd);
    if (!work.shared || kept->failed)
        _exit(1);
    close_others(kept);
    lazy_serve(&work);
}

static int await_server(int fd, struct crs_error *err)
{
    char byte;
    ssize_t n;

    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    return n == 1 ? 0
                  : crs_fail(err, CRS_FAILED, ECHILD,
                             "the process that was to bring the program's memory could not start");
}

/* Whoever restarts learns that there is a server. */
static int tell_begun(const struct lazy *lazy, struct crs_error *err)
{
    const struct lazy_report begun = {.begun = true};
    int r = pass_record(lazy->report_fd, &begun, sizeof(begun), -1);

    return r < 0 ? crs_fail(err, CRS_FAILED, -r, "can't tell who restarts the program: %s",
                            strerror(-r))
                 : 0;
}

int lazy_start(struct kobj_restore *ctx, struct crs_error *err)
{
    struct kept kept = {0};
    int pair[2];

    if (!ctx->lazy || ctx->lazy->spaces.n == 0)
        return 0;
    int r = keep_packs(ctx, &kept, err);
    if (r == 0)
        r = tell_begun(ctx->lazy, err);
    if (r == 0 && pipe2(pair, O_CLOEXEC) < 0)
        r = crs_fail_errno(err, CRS_FAILED, "can't make a pipe");
    if (r < 0) {
        free(kept.fds.items);
        return r;
    }
    pid_t pid = fork();
    if (pid == 0)
        become_server(ctx, &kept, pair[1]);
    if (pid < 0)
        r = crs_fail_errno(err, CRS_FAILED, "can't start a process to bring the memory");
    close(pair[1]);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (r == 0)
        r = await_server(pair[0], err);
    close(pair[0]);
    free(kept.fds.items);
    /* Theirs alone from now on. */
    for (size_t i = 0; i < ctx->lazy->spaces.n; i++) {
        cleanup_close(&ctx->lazy->spaces.items[i]->uffd);
        ctx->lazy->spaces.items[i]->uffd = -1;
    }
    return r;
}
