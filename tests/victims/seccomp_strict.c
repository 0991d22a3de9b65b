/*
 * seccomp_strict.c - a thread in the strict mode may read, write and end
 *
 * situations: -user
 * link: -pthread
 */
#include <dirent.h>
#include <pthread.h>
#include <sys/socket.h>
#include "victim_seccomp.h"

static int pair[2];

static void *in_strict_mode(void *arg)
{
    char letter;

    MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
    while (read(pair[1], &letter, 1) == 1) {
        letter++;
        write(pair[1], &letter, 1);
    }
    syscall(SYS_exit, 0);
    return arg;
}

/* Of the thread that isn't the first one. */
static int other_mode(void)
{
    char path[300], line[256];
    int mode = -1;
    DIR *dir = opendir("/proc/self/task");

    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (atoi(e->d_name) == getpid() || atoi(e->d_name) == 0)
            continue;
        snprintf(path, sizeof(path), "/proc/self/task/%s/status", e->d_name);
        FILE *f = fopen(path, "re");
        while (f && fgets(line, sizeof(line), f))
            sscanf(line, "Seccomp: %d", &mode);
        if (f)
            fclose(f);
    }
    closedir(dir);
    return mode;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    char letter;

    victim_init(argc, argv);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    MUST(pthread_create(&thread, NULL, in_strict_mode, NULL) == 0);
    MUST(write(pair[0], "a", 1) == 1 && read(pair[0], &letter, 1) == 1 && letter == 'b');
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(other_mode(), SECCOMP_MODE_STRICT);
        CHECK(write(pair[0], "a", 1) == 1);
        CHECK(read(pair[0], &letter, 1) == 1 && letter == 'b');
    }
    return 0;
}
