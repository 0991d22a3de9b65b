/*
 * memory_exe_deleted.c - the executable was deleted while it runs
 */
#include <sys/stat.h>
#include "victim_smaps.h"

static uint64_t table[4096] = {1, 2,
                               3}; /* initialised data: a changed part of the file's mapping */

static void copy_file(const char *from, const char *to)
{
    static char data[1 << 16];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    ssize_t n;

    MUST(in >= 0 && out >= 0);
    while ((n = read(in, data, sizeof(data))) > 0)
        MUST(write(out, data, n) == n);
    MUST(n == 0 && close(in) == 0 && close(out) == 0);
}

int main(int argc, char **argv)
{
    char path[5000], exe[4096];

    victim_init(argc, argv);
    victim_path(path, sizeof(path), "copy-of-the-victim");
    if (access(path, F_OK) < 0) { /* the first time: go on as a copy of this program */
        copy_file("/proc/self/exe", path);
        execv(path, argv);
        MUST(false);
    }
    MUST(unlink(path) == 0);
    victim_fill(table + 512, 4096, 3);
    victim_ready();
    while (victim_wait()) {
        CHECK(table[0] == 1 && table[2] == 3 && victim_same(table + 512, 4096, 3));
        ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
        CHECK(n > 0);
        exe[n > 0 ? n : 0] = 0;
        CHECK(strstr(exe, "copy-of-the-victim") && strstr(exe, " (deleted)"));
        CHECK(open("/proc/self/exe", O_WRONLY | O_CLOEXEC) < 0);
        CHECK_MAPPING(main, "r-xp", "ex", "wr");
    }
    return 0;
}
