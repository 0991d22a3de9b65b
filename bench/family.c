/*
 * family.c - a program of many processes and threads that wait
 *
 *     family DIR PROCESSES THREADS
 *
 * The first process has the others as its children; each has so many threads. DIR/ready is made,
 * with the first one's PID, once all are there. They hold nothing but what that takes.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define STACK_SIZE 65536
#define LIFE_S     (30 * 60) /* should nobody be left to end it */

static unsigned *n_ready;

static _Noreturn void die(const char *words)
{
    fprintf(stderr, "family: can't %s: %s\n", words, strerror(errno));
    killpg(0, SIGKILL);
    abort();
}

static void *wait_for_ever(void *arg)
{
    __atomic_fetch_add(n_ready, 1, __ATOMIC_SEQ_CST);
    for (;;)
        pause();
    return arg;
}

static void start_threads(unsigned n)
{
    pthread_attr_t attr;
    pthread_t thread;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    for (unsigned i = 1; i < n; i++) {
        errno = pthread_create(&thread, &attr, wait_for_ever, NULL);
        if (errno != 0)
            die("start a thread");
    }
}

static void say_ready(const char *dir)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/ready", dir);
    FILE *file = fopen(path, "we");
    if (!file || fprintf(file, "%d\n", (int)getpid()) < 0 || fclose(file) != 0)
        die("write the file ready");
}

int main(int argc, char **argv)
{
    if (argc != 4 || atoi(argv[2]) < 1 || atoi(argv[3]) < 1) {
        fprintf(stderr, "usage: %s DIR PROCESSES THREADS\n", argv[0]);
        return 2;
    }
    unsigned n_processes = atoi(argv[2]), n_threads = atoi(argv[3]);
    n_ready =
        mmap(NULL, sizeof(*n_ready), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (n_ready == MAP_FAILED)
        die("share memory");
    for (unsigned i = 1; i < n_processes; i++) {
        pid_t pid = fork();
        if (pid < 0)
            die("start a process");
        if (pid == 0) {
            prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
            alarm(LIFE_S);
            start_threads(n_threads);
            wait_for_ever(NULL);
        }
    }
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    alarm(LIFE_S);
    start_threads(n_threads);
    while (__atomic_load_n(n_ready, __ATOMIC_SEQ_CST) < n_processes * n_threads - 1)
        usleep(1000);
    say_ready(argv[1]);
    wait_for_ever(NULL);
}
