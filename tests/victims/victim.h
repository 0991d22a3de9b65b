/*
 * victim.h - what every victim program uses
 *
 * A victim holds one kind of kernel object (or does one kind of thing), is checkpointed and
 * restarted by tests/run, and says whether everything is as it was. It talks to the test through
 * files in its directory DIR, so that it holds nothing but what it is about:
 *
 *     int main(int argc, char **argv)
 *     {
 *         victim_init(argc, argv);
 *         int fd = eventfd(3, 0);
 *         victim_ready();                    // makes DIR/ready with its PID
 *         while (victim_wait())              // until the test makes DIR/check.N (or DIR/stop)
 *             CHECK(read(fd...) == ...);     // a failed CHECK is remembered with its words
 *         return 0;
 *     }
 *
 * victim_wait() first reports the round before: DIR/result.N gets "ok" or the failed checks. The
 * test compares, and asks again after further checkpoints and restarts: checks must leave the
 * object as they found it (write back what was read). DIR/check.N holds the situation: "continue",
 * "same", "namespace" or "new" (how it was restarted); victim_situation() gives it.
 *
 * First lines of a victim, in a comment, each beginning with the key, may tell the test:
 *     situations: -new             not restarted under new PIDs; also -same, -namespace (policies),
 *                                  -user (as root only), -root, -continue; several: -new -user
 *     refused: WORDS               the checkpoint must be refused with exit code 5 and these words
 *                                  in the message, and the victim must be unharmed
 *     isolate: NAMESPACES          started by crs run --isolate=NAMESPACES; restarted in those only
 *     isolated: WORDS              the same as a job in namespaces of its own (crs run --isolate);
 *                                  saved: there it can be checkpointed and restarted
 *     args: A B                    more arguments, after DIR
 *     checkpoint: --option         more options for crs checkpoint
 *     increments: no               not through two checkpoints (tests/run --increments): the first
 *                                  hides something from the second, or ends a measure of time
 *     lazy: no                     not restarted on demand (tests/run --lazy): it looks at how much
 *                                  memory is there, or at huge pages
 *     needs: N MiB                 of free memory; skipped where there is less
 *     hugepages: 4             so many huge pages of 2 MiB are made for it, where the test may
 *     link: -static -lm            more arguments for the compiler
 *     compiler: musl-gcc           instead of gcc
 * CRS_TESTS_SLOW is in its environment where the tool is instrumented, or the processor emulated.
 * A victim that ends with 77 before it is ready is skipped; its last line on stderr says why.
 * One victim file is one program.
 */
#ifndef VICTIM_H
#define VICTIM_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static char victim_dir[4096];
static char victim_words[4096];
static char victim_how[64] = "start";
static int victim_round;

static inline void victim_path(char *path, size_t size, const char *format, ...)
{
    va_list ap;
    int n = snprintf(path, size, "%s/", victim_dir);

    va_start(ap, format);
    vsnprintf(path + n, size - n, format, ap);
    va_end(ap);
}

static inline void victim_put(const char *name, const char *text)
{
    char path[5000], temporary[5100];

    victim_path(path, sizeof(path), "%s", name);
    snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || close(fd) < 0 ||
        rename(temporary, path) < 0) {
        fprintf(stderr, "victim: can't write %s: %s\n", path, strerror(errno));
        _exit(99);
    }
}

/* Where Yama lets only ancestors trace, let the test's tool do it too. The kernel forgets this
 * with the process, so it is said again and again. */
static inline void victim_allow_tracer(void)
{
    int saved = errno;

    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    errno = saved;
}

static inline void victim_init(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        _exit(2);
    }
    snprintf(victim_dir, sizeof(victim_dir), "%s", argv[1]);
    victim_allow_tracer();
}

/* For names that the whole machine shares: victims in PID namespaces of their own have the same
 * PIDs. */
static inline unsigned long victim_number(void)
{
    struct stat st;

    return stat(victim_dir, &st) == 0 ? (unsigned long)st.st_ino : 0;
}

static inline void victim_ready(void)
{
    char text[32];

    snprintf(text, sizeof(text), "%d\n", (int)getpid());
    victim_put("ready", text);
}

static inline const char *victim_situation(void)
{
    return victim_how;
}

__attribute__((format(printf, 1, 2))) static inline void victim_fail(const char *format, ...)
{
    size_t n = strlen(victim_words);
    va_list ap;

    va_start(ap, format);
    vsnprintf(victim_words + n, sizeof(victim_words) - n - 1, format, ap);
    va_end(ap);
    n = strlen(victim_words);
    if (n < sizeof(victim_words) - 1)
        memcpy(victim_words + n, "\n", 2);
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            victim_fail("%s:%d: %s (errno %d)", __FILE__, __LINE__, #condition, errno);            \
    } while (0)

#define CHECK_EQ(a, b)                                                                             \
    do {                                                                                           \
        long long _a = (long long)(a), _b = (long long)(b);                                        \
        if (_a != _b)                                                                              \
            victim_fail("%s:%d: %s is %lld, expected %lld", __FILE__, __LINE__, #a, _a, _b);       \
    } while (0)

/* Set-up that must work: otherwise the victim ends with 98. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "victim: %s:%d: %s: %s\n", __FILE__, __LINE__, #condition,             \
                    strerror(errno));                                                              \
            _exit(98);                                                                             \
        }                                                                                          \
    } while (0)

static inline void victim_sleep_ms(int ms)
{
    struct timespec ts = {ms / 1000, (ms % 1000) * 1000000L};

    while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
        ;
}

/* Report the last round, wait for the next. false: the test is over, end with 0. */
static inline bool victim_wait(void)
{
    char name[64], path[5000];

    if (victim_round > 0) {
        snprintf(name, sizeof(name), "result.%d", victim_round);
        victim_put(name, victim_words[0] ? victim_words : "ok\n");
        victim_words[0] = 0;
    }
    victim_round++;
    for (;; victim_sleep_ms(5)) {
        victim_allow_tracer();
        victim_path(path, sizeof(path), "stop");
        if (access(path, F_OK) == 0)
            return false;
        victim_path(path, sizeof(path), "check.%d", victim_round);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        ssize_t n = read(fd, victim_how, sizeof(victim_how) - 1);
        close(fd);
        if (n <= 0) /* being written */
            continue;
        victim_how[n] = 0;
        victim_how[strcspn(victim_how, "\n")] = 0;
        return true;
    }
}

#endif
