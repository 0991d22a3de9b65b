/* members.c - a process of a request, and its block */
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/io.h"
#include "engine/cooperation.h"
#include "proc/stat.h"
#include "requests/request.h"

#define WORDS_SIZE     offsetof(struct cooperation, destination)
#define STALE_TRIES    50
#define STALE_SLEEP_US 100000
#define HOLD_TIME_US   (10 * 1000000)

struct member *member_find(struct request *q, pid_t pid)
{
    for (size_t i = 0; i < q->members.n; i++)
        if (q->members.items[i].pid == pid)
            return &q->members.items[i];
    return NULL;
}

struct member *member_add(struct request *q, pid_t pid)
{
    struct member *m = ARRAY_ADD(&q->members);

    if (!m)
        return NULL;
    *m = (struct member){.pid = pid, .tid = pid, .pidfd = syscall(SYS_pidfd_open, pid, 0)};
    return m;
}

void member_clear(struct member *m)
{
    cleanup_close(&m->pidfd);
    free(m->called.items);
}

bool member_has_ended(const struct member *m)
{
    struct pollfd end = {.fd = m->pidfd, .events = POLLIN};

    return m->pidfd < 0 || poll(&end, 1, 0) == 1;
}

/* ---- its block ---- */

int member_read(const struct member *m, struct cooperation *ret)
{
    struct iovec local = {ret, WORDS_SIZE}, remote = {(void *)m->block, WORDS_SIZE};

    if (!m->block)
        return -ENOENT;
    ssize_t n = process_vm_readv(m->tid, &local, 1, &remote, 1, 0);
    return n == (ssize_t)WORDS_SIZE && cooperation_is_sane(ret) ? 0 : -ESRCH;
}

bool member_has_callbacks(pid_t inner_pid, const struct cooperation *block)
{
    /* Another PID: a copy, in the child of a fork. */
    return block->pid == inner_pid &&
           (block->runner_tid != 0 || block->flags & COOPERATION_WANTS_THREADS);
}

bool member_wants(pid_t inner_pid, const struct cooperation *block)
{
    return member_has_callbacks(inner_pid, block) ||
           (block->pid == inner_pid && block->sections & ~COOPERATION_PENDING);
}

/* One that has ended and that nobody waits for is no owner any more. */
static bool is_alive(pid_t pid)
{
    _cleanup_bytes_ struct bytes text = {0};
    struct proc_stat stat;
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    return read_file(-1, path, 4096, &text) == 0 &&
           proc_stat_parse((const char *)text.data, &stat) == 0 && !strchr("ZX", stat.state);
}

/* The owner's number is one as the process sees it. */
static bool has_living_owner(pid_t pid, const struct cooperation *block)
{
    pid_t owner = block->owner > 0 ? targets_outer_pid(pid, block->owner) : 0;

    return owner > 0 && owner != getpid() && is_alive(owner);
}

enum member_use member_use(pid_t pid, const struct cooperation *block)
{
    if (!(block->sections & COOPERATION_PENDING))
        return MEMBER_FREE;
    if (has_living_owner(pid, block))
        return MEMBER_IN_USE;
    /* Where nobody runs callbacks, nobody but the next tool puts it back. */
    return block->phase == COOPERATION_IDLE && block->runner == COOPERATION_NOT_RUN ? MEMBER_FREE
                                                                                    : MEMBER_STALE;
}

int member_check_free(struct request *q, pid_t pid, uint64_t address,
                      const struct cooperation *given)
{
    const struct member m = {.pid = pid, .tid = pid, .block = address};
    struct cooperation block = *given;
    enum member_use use = member_use(pid, &block);

    for (int tries = 0; tries < STALE_TRIES && use == MEMBER_STALE; tries++) {
        usleep(STALE_SLEEP_US);
        if (member_read(&m, &block) < 0)
            return 0;
        use = member_use(pid, &block);
    }
    if (use == MEMBER_FREE)
        return 0;
    return request_fail(q, EBUSY, "process %d takes part in another checkpoint", pid);
}

/* ---- held ---- */

int member_hold(struct request *q, struct member *m, struct tracee **ret)
{
    struct crs_error error = {0};
    int r = tracee_freeze(m->pid, request_hold_until(q), ret, &error);

    if (r == 0) {
        m->tid = tracee_main(*ret)->tid;
        return 0;
    }
    if (r == -ESRCH || member_has_ended(m)) {
        m->state = MEMBER_GONE;
        return -ESRCH;
    }
    return request_fail_with(q, request_code(r, &error), &error);
}

int member_put(struct tracee *t, const struct member *m, size_t offset, uint32_t value,
               struct crs_error *err)
{
    return tracee_write(t, m->block + offset, &value, sizeof(value), err);
}
