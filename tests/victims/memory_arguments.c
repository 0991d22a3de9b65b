/*
 * memory_arguments.c - command line, environment, auxiliary vector and executable as /proc shows
 * them; overwritten in place, as programs that set their title do
 * args: first second third
 */
#include "victim_smaps.h"

struct text {
    char data[65536];
    ssize_t size;
};

static void read_proc(const char *name, struct text *ret)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    MUST(fd >= 0);
    ret->size = 0;
    for (ssize_t n; (n = read(fd, ret->data + ret->size, sizeof(ret->data) - ret->size)) > 0;)
        ret->size += n;
    close(fd);
}

static void same(const char *name, const struct text *before)
{
    static struct text now;

    read_proc(name, &now);
    CHECK_EQ(now.size, before->size);
    if (now.size == before->size && memcmp(now.data, before->data, now.size) != 0)
        victim_fail("/proc/self/%s differs", name);
}

/* The numbers of /proc/self/stat, by their number in proc(5). */
static void read_fields(unsigned long fields[52])
{
    static struct text stat;

    read_proc("stat", &stat);
    stat.data[stat.size] = 0;
    char *p = strrchr(stat.data, ')') + 3;
    for (int i = 4; i < 52; i++)
        fields[i] = strtoul(p, &p, 10);
}

int main(int argc, char **argv)
{
    static struct text line, environment, auxv;
    char exe[4096] = "", now[4096] = "";
    unsigned long before[52], after[52];

    victim_init(argc, argv);
    if (argc > 2)
        memset(argv[argc - 1], 'X', strlen(argv[argc - 1]));
    if (environ[0] && environ[0][0])
        environ[0][0] = 'Y';
    read_proc("cmdline", &line);
    read_proc("environ", &environment);
    read_proc("auxv", &auxv);
    MUST(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
    read_fields(before);
    victim_ready();
    while (victim_wait()) {
        static const int fields[] = {26, 27, 28, 45, 46, 47, 48, 49, 50, 51};
        same("cmdline", &line);
        same("environ", &environment);
        same("auxv", &auxv);
        memset(now, 0, sizeof(now));
        CHECK(readlink("/proc/self/exe", now, sizeof(now) - 1) > 0 && strcmp(now, exe) == 0);
        read_fields(after);
        for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
            if (after[fields[i]] != before[fields[i]])
                victim_fail("field %d of /proc/self/stat is %lu, was %lu", fields[i],
                            after[fields[i]], before[fields[i]]);
    }
    return 0;
}
