/* process_file.c - files of /proc about the process itself, a thread of it, and the machine */
#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "victim.h"

static char known[] = "what stands in the memory";

static void *idle(void *tid)
{
    *(pid_t *)tid = syscall(SYS_gettid);
    for (;;)
        pause();
}

/* Does the text, read from its beginning, have a line "NAME NUMBER"? */
static bool has_number(int fd, const char *format, int number)
{
    char text[8192], line[64];
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

    text[n > 0 ? n : 0] = 0;
    snprintf(line, sizeof(line), format, number);
    return strstr(text, line) != NULL;
}

int main(int argc, char **argv)
{
    char path[64], text[64];
    volatile pid_t tid = 0;
    pthread_t thread;
    struct stat st, own;

    victim_init(argc, argv);
    MUST(pthread_create(&thread, NULL, idle, (void *)&tid) == 0);
    while (!tid)
        victim_sleep_ms(1);
    pthread_setname_np(thread, "the-thread");
    int status = open("/proc/self/status", O_RDONLY);
    int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    int tasks = open("/proc/self/task", O_RDONLY | O_DIRECTORY);
    int place = open("/proc/self", O_PATH | O_DIRECTORY);
    int maps = open("/proc/self/maps", O_RDONLY);
    snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
    int comm = open(path, O_RDWR);
    int machine = open("/proc/meminfo", O_RDONLY);
    MUST(status >= 0 && memory >= 0 && tasks >= 0 && place >= 0 && maps >= 0 && comm >= 0);
    MUST(machine >= 0 && read(machine, text, 7) == 7);
    MUST(lseek(status, 6, SEEK_SET) == 6 && read(maps, text, 12) == 12);

    victim_ready();
    while (victim_wait()) {
        CHECK(has_number(status, "\nPid:\t%d\n", getpid()));
        CHECK_EQ(lseek(status, 0, SEEK_CUR), 6);
        CHECK_EQ(lseek(maps, 0, SEEK_CUR), 12);
        CHECK_EQ(lseek(machine, 0, SEEK_CUR), 7);
        CHECK(pread(machine, text, 9, 0) == 9 && memcmp(text, "MemTotal:", 9) == 0);
        CHECK(read(status, text, 4) == 4 && lseek(status, 6, SEEK_SET) == 6);
        memset(text, 0, sizeof(text));
        CHECK(pread(memory, text, sizeof(known), (off_t)(uintptr_t)known) == sizeof(known));
        CHECK(memcmp(text, known, sizeof(known)) == 0);
        known[0]++;
        memset(text, 0, sizeof(text));
        CHECK(pread(comm, text, sizeof(text), 0) > 0 && strcmp(text, "the-thread\n") == 0);
        snprintf(path, sizeof(path), "%d/stat", getpid());
        CHECK(fstatat(tasks, path, &st, 0) == 0);
        CHECK(fstat(place, &st) == 0 && stat("/proc/self", &own) == 0 && st.st_ino == own.st_ino);
        CHECK(fcntl(memory, F_GETFD) == FD_CLOEXEC && fcntl(comm, F_GETFD) == 0);
    }
    return 0;
}
