/*
 * leader_gone.c - the first thread has ended while others live
 *
 * The others answer, see the leader as it is, and one of them ends the process with a status.
 * link: -pthread
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>

#include "victim_tree.h"

static sem_t asked, answered;
static volatile int in_cwd, by_fd, caught;

static char leader_state(void)
{
    char path[64], text[512] = "";

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)getpid());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
        return '?';
    close(fd);
    char *p = strrchr(text, ')');
    return p && p[1] ? p[2] : '?';
}

static void *answer(void *arg)
{
    for (;;) {
        while (sem_wait(&asked) < 0)
            ;
        in_cwd = access("ready", F_OK) == 0;
        sem_post(&answered);
    }
    return arg;
}

static void on_signal(int signal)
{
    caught = signal;
}

static void *go_on(void *arg)
{
    int fd = *(int *)arg, status = 0;
    char byte = 0;

    while (leader_state() != 'Z')
        victim_sleep_ms(1);
    victim_ready();
    while (victim_wait()) {
        /* It exits when it is let go, as this thread is. */
        for (int i = 0; i < 5000 && leader_state() != 'Z'; i++)
            victim_sleep_ms(1);
        CHECK_EQ(leader_state(), 'Z');
        CHECK(syscall(SYS_gettid) != getpid());
        sem_post(&asked);
        while (sem_wait(&answered) < 0)
            ;
        CHECK_EQ(in_cwd, 1);
        CHECK(write(fd, "x", 1) == 1 && lseek(fd, 0, SEEK_SET) == 0 && read(fd, &byte, 1) == 1);
        CHECK_EQ(byte, 'x');
        caught = 0;
        kill(getpid(), SIGUSR1);
        for (int i = 0; i < 5000 && !caught; i++)
            victim_sleep_ms(1);
        CHECK_EQ(caught, SIGUSR1);
        pid_t pid = fork();
        if (pid == 0)
            _exit(33);
        CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 33);
    }
    _exit(tree_result());
    return arg;
}

int main(int argc, char **argv)
{
    static int fd;
    pthread_t thread;

    victim_init(argc, argv);
    /* Kernels before 6.9 show the descriptors of such a process to nobody: it is refused. */
    int pidfd = syscall(SYS_pidfd_open, getpid(), O_EXCL);
    if (pidfd < 0) {
        fprintf(stderr, "a kernel without pidfds of threads\n");
        return 77;
    }
    close(pidfd);
    MUST(chdir(argv[1]) == 0);
    MUST((fd = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600)) >= 0);
    MUST(sem_init(&asked, 0, 0) == 0 && sem_init(&answered, 0, 0) == 0);
    signal(SIGUSR1, on_signal);
    MUST(pthread_create(&thread, NULL, go_on, &fd) == 0);
    MUST(pthread_create(&thread, NULL, answer, NULL) == 0);
    syscall(SYS_exit, 5);
}
