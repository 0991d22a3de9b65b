/*
 * process_prctl.c - prctl settings, oom_score_adj and core dump filter of a process
 * kinds: oom_score_adj coredump_filter
 */
#include <sys/prctl.h>
#include "victim.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif

static int mdwe;

static long read_number(const char *path, int base)
{
    char text[64] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    CHECK(read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    return strtol(text, NULL, base);
}

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    MUST(fd >= 0 && write(fd, text, strlen(text)) > 0);
    close(fd);
}

int main(int argc, char **argv)
{
    int subreaper = 0;

    victim_init(argc, argv);
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    MUST(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
    mdwe = prctl(PR_SET_MDWE, 1, 0, 0, 0) == 0; /* since Linux 6.3 */
    write_text("/proc/self/oom_score_adj", "321");
    write_text("/proc/self/coredump_filter", "0x7");
    victim_ready();
    while (victim_wait()) {
        CHECK(prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0);
        CHECK_EQ(subreaper, 1);
        CHECK_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
        CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
        if (mdwe)
            CHECK_EQ(prctl(PR_GET_MDWE, 0, 0, 0, 0), 1);
        CHECK_EQ(read_number("/proc/self/oom_score_adj", 10), 321);
        CHECK_EQ(read_number("/proc/self/coredump_filter", 16), 7);
    }
    return 0;
}
