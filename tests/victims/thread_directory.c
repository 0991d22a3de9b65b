/*
 * thread_directory.c - threads that have a working directory and umask of their own
 *
 * Thread 1 has its own, 2 was made by it and shares them, 3 has its own, which was removed, 4 those
 * of the process.
 * link: -pthread
 */
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>

#include "victim.h"

enum { N_THREADS = 5 };

static struct {
    volatile char command; /* 'm': move to `value`; 'r': report; 'n': make the next */
    volatile int value, mask, files;
    volatile ino_t inode;
} threads[N_THREADS];

static void go(const char *name, int mask)
{
    char path[5000];

    victim_path(path, sizeof(path), "%s", name);
    mkdir(path, 0777);
    CHECK(chdir(path) == 0);
    umask(mask);
}

static void report(int i)
{
    struct stat st = {0};

    CHECK(stat(".", &st) == 0);
    threads[i].inode = st.st_nlink ? st.st_ino : 0;
    threads[i].mask = umask(0);
    umask(threads[i].mask);
}

static void *run(void *arg);

static void make(int i)
{
    pthread_t thread;

    threads[i].command = 'r';
    MUST(pthread_create(&thread, NULL, run, (void *)(intptr_t)i) == 0);
}

static void obey(int i, char command)
{
    char name[16];

    snprintf(name, sizeof(name), "to-%d", threads[i].value);
    if (command == 'm')
        go(name, threads[i].value);
    if (command == 'n')
        make(i + 1);
    report(i);
}

static void *run(void *arg)
{
    int i = (int)(intptr_t)arg;
    char path[5000];

    if (i == 1 || i == 3) {
        MUST(unshare(CLONE_FS) == 0);
        go(i == 1 ? "first" : "removed", 010 * i);
    }
    if (i == 3) {
        victim_path(path, sizeof(path), "removed");
        MUST(rmdir(path) == 0);
    }
    for (;; victim_sleep_ms(1)) {
        if (!threads[i].command)
            continue;
        obey(i, threads[i].command);
        threads[i].command = 0;
    }
    return NULL;
}

static void ask(int i, char command, int value)
{
    threads[i].value = value;
    if (i == 0) {
        obey(i, command);
        return;
    }
    threads[i].command = command;
    for (int ms = 0; threads[i].command && ms < 15000; ms++)
        victim_sleep_ms(1);
    CHECK_EQ(threads[i].command, 0);
}

static void check(int i, const char *name, int mask)
{
    struct stat st = {0};
    char path[5000];

    victim_path(path, sizeof(path), "%s", name);
    ask(i, 'r', 0);
    CHECK(stat(path, &st) == 0 || strcmp(name, "removed") == 0);
    CHECK_EQ(threads[i].inode, st.st_ino);
    CHECK_EQ(threads[i].mask, mask);
}

static void rest(void)
{
    go("main", 0);
    ask(1, 'm', 2);
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    umask(0);
    make(1);
    ask(1, 'n', 0);
    make(3);
    make(4);
    for (int i = 1; i < N_THREADS; i++)
        while (threads[i].command)
            victim_sleep_ms(1);
    rest();
    victim_ready();
    while (victim_wait()) {
        check(0, "main", 0);
        check(1, "to-2", 2);
        check(2, "to-2", 2);
        check(3, "removed", 030);
        check(4, "main", 0);
        ask(2, 'm', 7);
        check(1, "to-7", 7);
        check(0, "main", 0);
        ask(4, 'm', 5);
        check(0, "to-5", 5);
        check(1, "to-7", 7);
        check(3, "removed", 030);
        rest();
    }
    return 0;
}
