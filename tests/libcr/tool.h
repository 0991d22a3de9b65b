/*
 * tool.h - plays the tool's part of a request, from inside of the process
 *
 * The tool writes the block's words while the process is held; here a thread writes them, and wakes
 * who waits. It makes threads run entry() by a signal, whose handler does. All waits are for a
 * word, with a limit of TOOL_LIMIT_S.
 */
#ifndef TESTS_LIBCR_TOOL_H
#define TESTS_LIBCR_TOOL_H

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cooperation.h"
#include "libcr.h"

#define TOOL_LIMIT_S 30
#define TOOL_SIGNAL  (SIGRTMIN + 7)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            check_failed(#condition, __FILE__, __LINE__);                                          \
    } while (0)

static void check_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: not so: %s (errno %d, %s)\n", file, line, what, errno, strerror(errno));
    _exit(1);
}

/* Until it is so. */
#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        time_t until = time(NULL) + TOOL_LIMIT_S;                                                  \
        while (!(condition)) {                                                                     \
            if (time(NULL) > until)                                                                \
                check_failed("in time: " #condition, __FILE__, __LINE__);                          \
            usleep(500);                                                                           \
        }                                                                                          \
    } while (0)

#define LOAD(word) __atomic_load_n(&(word), __ATOMIC_SEQ_CST)

static struct cooperation *tool_block; /* of the library */

/* ---- the block, found by its note ---- */

struct tool_search {
    uint32_t kind;
    struct cooperation *found;
};

static void tool_look_at_notes(struct tool_search *search, const char *at, size_t size)
{
    const char *end = at + size;

    while (end - at >= (ptrdiff_t)sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *note = (const void *)at;
        const char *name = at + sizeof(*note), *what = name + (note->n_namesz + 3) / 4 * 4;
        int64_t distance;

        if (note->n_namesz == 8 && memcmp(name, COOPERATION_NOTE_NAME, 8) == 0 &&
            note->n_type == COOPERATION_NOTE_TYPE && note->n_descsz == 8) {
            memcpy(&distance, what, 8);
            struct cooperation *block = (void *)(what + distance);
            if (block->magic == COOPERATION_MAGIC && block->kind == search->kind)
                search->found = block;
        }
        at = what + (note->n_descsz + 3) / 4 * 4;
    }
}

static int tool_look_at_image(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_NOTE)
            tool_look_at_notes(arg, (const char *)info->dlpi_addr + info->dlpi_phdr[i].p_vaddr,
                               info->dlpi_phdr[i].p_memsz);
    return 0;
}

static struct cooperation *tool_find(uint32_t kind)
{
    struct tool_search search = {.kind = kind};

    dl_iterate_phdr(tool_look_at_image, &search);
    return search.found;
}

static void tool_on_signal(int sig, siginfo_t *info, void *context)
{
    int saved = errno;

    (void)sig;
    ((void (*)(struct cooperation *, siginfo_t *, void *))(uintptr_t)tool_block->entry)(
        tool_block, info, context);
    errno = saved;
}

/* First of all. */
static void tool_begin(void)
{
    struct sigaction action = {.sa_sigaction = tool_on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};

    sigfillset(&action.sa_mask);
    CHECK(sigaction(TOOL_SIGNAL, &action, NULL) == 0);
    tool_block = tool_find(COOPERATION_FULL);
    CHECK(tool_block);
    CHECK(tool_block->version == COOPERATION_VERSION);
    CHECK(tool_block->size == sizeof(struct cooperation));
    CHECK(tool_block->pid == getpid());
    CHECK(tool_block->entry != 0 && tool_block->restorer != 0);
}

/* ---- its steps ---- */

static void tool_write(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void tool_pend(int owner)
{
    tool_block->owner = owner;
    tool_block->requester = 4711;
    tool_block->target = getpid();
    tool_block->scope = CR_SCOPE_TREE;
    tool_block->signal = 0;
    strcpy(tool_block->destination, "/some/where/context.1");
    __atomic_fetch_or(&tool_block->sections, COOPERATION_PENDING, __ATOMIC_SEQ_CST);
}

static void tool_wait_for_sections(void)
{
    WAIT_FOR(LOAD(tool_block->sections) == COOPERATION_PENDING);
}

/* True where there is a runner; its callbacks have arrived. */
static bool tool_run_runner(void)
{
    if (LOAD(tool_block->runner_tid) == 0)
        return false;
    tool_write(&tool_block->phase, COOPERATION_RUNNER_PHASE);
    WAIT_FOR(LOAD(tool_block->runner) == COOPERATION_ARRIVED);
    return true;
}

/* The runner has all signals blocked, so no signal can make it run anything. */
static bool tool_is_runner(pid_t tid)
{
    char path[64], name[32] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
    file = fopen(path, "re");
    if (!file || !fgets(name, sizeof(name), file))
        name[0] = '\0';
    if (file)
        fclose(file);
    return strcmp(name, "libcr\n") == 0;
}

/* All threads but this one and the runner. */
static unsigned tool_list_threads(pid_t *tids, unsigned room)
{
    DIR *dir = opendir("/proc/self/task");
    unsigned n = 0;
    struct dirent *entry;

    CHECK(dir);
    while ((entry = readdir(dir))) {
        pid_t tid = atoi(entry->d_name);
        if (tid > 0 && tid != gettid() && !tool_is_runner(tid)) {
            CHECK(n < room);
            tids[n++] = tid;
        }
    }
    closedir(dir);
    return n;
}

static pid_t tool_called[256];
static unsigned tool_n_called;

/* They have been told, and maybe not arrived. */
static void tool_call_threads(void)
{
    tool_n_called = 0;
    if (!(LOAD(tool_block->flags) & COOPERATION_WANTS_THREADS))
        return;
    tool_n_called = tool_list_threads(tool_called, 256);
    tool_block->expected = tool_n_called;
    tool_write(&tool_block->phase, COOPERATION_THREADS_PHASE);
    for (unsigned i = 0; i < tool_n_called; i++)
        syscall(SYS_tgkill, getpid(), tool_called[i], TOOL_SIGNAL);
}

/* One that was about to end will not come. */
static bool tool_threads_arrived(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < tool_n_called; i++)
        if (syscall(SYS_tgkill, getpid(), tool_called[i], 0) == 0)
            tool_called[n++] = tool_called[i];
    tool_n_called = n;
    __atomic_store_n(&tool_block->expected, n, __ATOMIC_SEQ_CST);
    return LOAD(tool_block->arrived) >= n;
}

static void tool_wait_for_threads(void)
{
    WAIT_FOR(tool_threads_arrived());
}

static void tool_put_back(void)
{
    tool_block->owner = 0;
    tool_write(&tool_block->outcome, COOPERATION_NONE);
    __atomic_fetch_add(&tool_block->rounds, 1, __ATOMIC_SEQ_CST);
    tool_write(&tool_block->sections, tool_block->sections & ~COOPERATION_PENDING);
}

static void tool_tell(enum cooperation_outcome outcome, int code)
{
    tool_block->code = code;
    tool_write(&tool_block->outcome, outcome);
}

/* What the library has put back at the end of a round. */
static void tool_check_idle(void)
{
    CHECK(!(LOAD(tool_block->sections) & COOPERATION_PENDING));
    CHECK(LOAD(tool_block->phase) == COOPERATION_IDLE);
    CHECK(LOAD(tool_block->outcome) == COOPERATION_NONE);
    CHECK(LOAD(tool_block->abort) == 0);
    CHECK(LOAD(tool_block->runner) == COOPERATION_NOT_RUN);
    CHECK(LOAD(tool_block->arrived) == 0 && LOAD(tool_block->finished) == 0);
    CHECK(LOAD(tool_block->expected) == 0 && LOAD(tool_block->forward) == 0);
    CHECK(LOAD(tool_block->owner) == 0);
}

/* The whole of it: what `abort` says, or `wanted`. Returns `abort`. */
static uint32_t tool_request(enum cooperation_outcome wanted)
{
    uint32_t rounds = LOAD(tool_block->rounds), how;
    bool runner;

    tool_n_called = 0;
    tool_pend(getpid());
    tool_wait_for_sections();
    runner = tool_run_runner();
    if (LOAD(tool_block->abort) == 0) {
        tool_call_threads();
        tool_wait_for_threads();
    }
    how = LOAD(tool_block->abort);
    if (wanted == COOPERATION_RESTART)
        tool_block->restarts++;
    if ((how & 0xffff) == COOPERATION_ABORT_OMIT)
        tool_tell(COOPERATION_OMITTED, CR_EOMITTED);
    else if (how)
        tool_tell(COOPERATION_FAILED, how >> 16 ? (int)(how >> 16) : CR_ETEMPFAIL);
    else if (runner || tool_n_called > 0)
        tool_tell(wanted, 0);
    if (runner || tool_n_called > 0)
        WAIT_FOR(LOAD(tool_block->rounds) != rounds);
    else
        tool_put_back();
    CHECK(LOAD(tool_block->rounds) == rounds + 1);
    tool_check_idle();
    return how;
}

/* ---- in a thread of its own ---- */

struct tool_run {
    pthread_t thread;
    void (*func)(void *arg);
    void *arg;
    enum cooperation_outcome wanted;
    uint32_t how;
};

static void *tool_main(void *arg)
{
    struct tool_run *run = arg;

    if (run->func)
        run->func(run->arg);
    else
        run->how = tool_request(run->wanted);
    return NULL;
}

static void tool_start(struct tool_run *run, void (*func)(void *), void *arg)
{
    sigset_t mine, before;

    run->func = func;
    run->arg = arg;
    sigemptyset(&mine);
    sigaddset(&mine, TOOL_SIGNAL);
    pthread_sigmask(SIG_BLOCK, &mine, &before);
    CHECK(pthread_create(&run->thread, NULL, tool_main, run) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static uint32_t tool_join(struct tool_run *run)
{
    CHECK(pthread_join(run->thread, NULL) == 0);
    return run->how;
}

/* A request, while this thread waits for its end; returns `abort`. */
__attribute__((unused)) static uint32_t tool_round(enum cooperation_outcome wanted)
{
    struct tool_run run = {.wanted = wanted};

    tool_start(&run, NULL, NULL);
    return tool_join(&run);
}

#endif
