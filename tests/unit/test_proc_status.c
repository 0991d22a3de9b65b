/* test_proc_status.c - /proc/PID/status, from captured texts */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/array.h"
#include "base/io.h"
#include "proc/status.h"

static struct proc_status parse(const char *name)
{
    _cleanup_bytes_ struct bytes text = {0};
    struct proc_status status;
    char path[512];

    snprintf(path, sizeof(path), FIXTURES "/proc/%s", name);
    assert_int_equal(read_file(AT_FDCWD, path, 1 << 20, &text), 0);
    assert_int_equal(proc_status_parse((const char *)text.data, &status), 0);
    return status;
}

static void test_thread_in_a_namespace(void **state)
{
    _cleanup_proc_status_ struct proc_status s = parse("status-thread.txt");
    const uint32_t uids[] = {1000, 1001, 1002, 1003}, groups[] = {24, 27, 100, 1000};

    assert_string_equal(s.name, "worker\\n\\\\)");
    assert_int_equal(s.state, 't');
    assert_true(s.has_umask);
    assert_int_equal(s.umask, 027);
    assert_int_equal(s.tgid, 812);
    assert_int_equal(s.pid, 815);
    assert_int_equal(s.parent, 1);
    assert_int_equal(s.tracer, 4211);
    assert_int_equal(s.inner_tgid, 1);
    assert_int_equal(s.inner_pid, 4);
    assert_int_equal(s.inner_pgid, 1);
    assert_int_equal(s.inner_sid, 1);
    assert_memory_equal(s.uid, uids, sizeof(uids));
    assert_int_equal(s.gid[3], 100);
    assert_int_equal(s.n_groups, 4);
    assert_memory_equal(s.groups, groups, sizeof(groups));
    assert_int_equal(s.threads, 3);
    assert_int_equal(s.signals_pending, 0x200);
    assert_int_equal(s.shared_pending, 0x200004000);
    assert_true(s.blocked == 0xffffffff7ffbfeff);
    assert_int_equal(s.ignored, 0x1000);
    assert_int_equal(s.caught, 0x180004242);
    assert_true(s.cap_permitted == 0x1fffeffffff);
    assert_int_equal(s.cap_effective, 0x2000);
    assert_true(s.cap_bounding == 0x1ffffffffff);
    assert_int_equal(s.cap_ambient, 1);
    assert_true(s.no_new_privs);
    assert_int_equal(s.seccomp, 2);
    assert_true(s.store_bypass_standard);
    assert_false(s.indirect_branch_standard);
    assert_true(s.shadow_stack);
}

static void test_plain_process(void **state)
{
    _cleanup_proc_status_ struct proc_status s = parse("status-plain.txt");

    assert_string_equal(s.name, "sleep");
    assert_int_equal(s.tracer, 0);
    assert_int_equal(s.n_groups, 0);
    assert_null(s.groups);
    assert_int_equal(s.inner_pid, s.pid);
    assert_false(s.no_new_privs);
    assert_int_equal(s.seccomp, 0);
    assert_false(s.shadow_stack);
}

static void test_copy(void **state)
{
    _cleanup_proc_status_ struct proc_status s = parse("status-thread.txt"), copy = {0};

    assert_int_equal(proc_status_copy(&s, &copy), 0);
    assert_true(s.n_groups > 0);
    assert_int_equal(copy.n_groups, s.n_groups);
    assert_memory_equal(copy.groups, s.groups, s.n_groups * sizeof(*s.groups));
    assert_ptr_not_equal(copy.groups, s.groups);
    struct proc_status flat = copy;
    flat.groups = s.groups;
    assert_memory_equal(&flat, &s, sizeof(s));
}

static void test_not_a_status(void **state)
{
    struct proc_status s;

    assert_int_equal(proc_status_parse("", &s), -EINVAL);
    assert_int_equal(proc_status_parse("no such line\n", &s), -EINVAL);
    assert_int_equal(proc_status_parse("Pid:\t1\nTgid:\t1\nUid:\t0 0\n", &s), -EINVAL);
}

static void test_kernel_without_namespaces(void **state)
{
    _cleanup_proc_status_ struct proc_status s = {0};

    assert_int_equal(proc_status_parse("Pid:\t7\nTgid:\t5\n", &s), 0);
    assert_int_equal(s.inner_pid, 7);
    assert_int_equal(s.inner_tgid, 5);
    assert_false(s.has_umask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thread_in_a_namespace),
        cmocka_unit_test(test_plain_process),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_not_a_status),
        cmocka_unit_test(test_kernel_without_namespaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
