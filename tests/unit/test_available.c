/* test_available.c - how much memory a process may still get: the texts that tell it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "proc/available.h"

static void meminfo(void **state)
{
    const char text[] = "MemTotal:       24689524 kB\nMemFree:        20000000 kB\n"
                        "MemAvailable:   22000000 kB\n";

    assert_int_equal(proc_meminfo_bytes(text, "MemTotal"), 24689524ull << 10);
    assert_int_equal(proc_meminfo_bytes(text, "MemAvailable"), 22000000ull << 10);
    assert_int_equal(proc_meminfo_bytes(text, "Mem"), 0);
    assert_int_equal(proc_meminfo_bytes("", "MemTotal"), 0);
}

static void assert_group(const char *text, const char *path, int version)
{
    int found = 0;
    char *group = proc_memory_group(text, &found);

    if (!path) {
        assert_null(group);
        return;
    }
    assert_string_equal(group, path);
    assert_int_equal(found, version);
    free(group);
}

static void groups(void **state)
{
    assert_group("0::/user.slice/a b\n", "/user.slice/a b", 2);
    assert_group("5:cpu,cpuacct:/x\n4:memory:/jobs/7\n0::/init\n", "/jobs/7", 1);
    assert_group("0::/\n4:memory:/jobs/7\n", "/jobs/7", 1);
    assert_group("5:cpu:/x\n", NULL, 0);
    assert_group("nonsense", NULL, 0);
    assert_group("", NULL, 0);
}

static void ourselves(void **state)
{
    uint64_t available = 0, total = 0;

    assert_int_equal(proc_available(getpid(), &available, &total), 0);
    assert_true(total > 0);
    assert_true(available <= total);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meminfo),
        cmocka_unit_test(groups),
        cmocka_unit_test(ourselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
