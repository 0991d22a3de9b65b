/* test_proc_tables.c - captured texts: /proc/PID/stat, timers, task/TID/children, net/unix,
 * mountinfo */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "proc/children.h"
#include "proc/igmp.h"
#include "proc/mountinfo.h"
#include "proc/net_raw.h"
#include "proc/net_unix.h"
#include "proc/stat.h"
#include "proc/timers.h"

static void load(const char *name, struct bytes *ret)
{
    char path[512];

    snprintf(path, sizeof(path), FIXTURES "/proc/%s", name);
    assert_int_equal(read_file(AT_FDCWD, path, 1 << 20, ret), 0);
}

/* ---- stat ---- */

static void test_stat(void **state)
{
    _cleanup_bytes_ struct bytes text = {0};
    struct proc_stat s;

    load("stat-plain.txt", &text);
    assert_int_equal(proc_stat_parse((const char *)text.data, &s), 0);
    assert_string_equal(s.command, "sleep");
    assert_true(s.pid > 0 && s.parent > 0 && s.session > 0);
    assert_int_equal(s.priority, 20);
    assert_int_equal(s.nice, 0);
    assert_int_equal(s.threads, 1);
    assert_int_equal(s.exit_signal, SIGCHLD);
    assert_true(s.processor == 0 || s.processor == 1);
    assert_int_equal(s.policy, 0);
}

static void test_stat_with_a_name_to_mislead(void **state)
{
    struct proc_stat s;

    assert_int_equal(
        proc_stat_parse("77 (a) R 1 (\n) S 5 6 7 1025 8 4194304 1 2 3 4 50 60 0 0 15 -5 9 0 "
                        "123456 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 34 3 42 1 0 0 0\n",
                        &s),
        0);
    assert_int_equal(s.pid, 77);
    assert_string_equal(s.command, "a) R 1 (\n");
    assert_int_equal(s.state, 'S');
    assert_int_equal(s.parent, 5);
    assert_int_equal(s.group, 6);
    assert_int_equal(s.session, 7);
    assert_int_equal(s.terminal, 1025);
    assert_int_equal(s.foreground_group, 8);
    assert_int_equal(s.flags, 4194304);
    assert_int_equal(s.minor_faults, 1);
    assert_int_equal(s.major_faults, 3);
    assert_int_equal(s.utime, 50);
    assert_int_equal(s.stime, 60);
    assert_int_equal(s.priority, 15);
    assert_int_equal(s.nice, -5);
    assert_int_equal(s.threads, 9);
    assert_int_equal(s.start_time, 123456);
    assert_int_equal(s.exit_signal, 34);
    assert_int_equal(s.processor, 3);
    assert_int_equal(s.rt_priority, 42);
    assert_int_equal(s.policy, 1);
}

static void test_not_a_stat(void **state)
{
    struct proc_stat s;

    assert_int_equal(proc_stat_parse("", &s), -EINVAL);
    assert_int_equal(proc_stat_parse("1 )(", &s), -EINVAL);
    assert_int_equal(proc_stat_parse("1 (cut) S 5 6", &s), -EINVAL);
}

/* ---- timers ---- */

static void test_timers(void **state)
{
    _cleanup_bytes_ struct bytes text = {0};
    _cleanup_free_ struct proc_timer *timers = NULL;
    size_t n;

    load("timers.txt", &text);
    assert_int_equal(proc_timers_parse((const char *)text.data, &timers, &n), 0);
    assert_int_equal(n, 4); /* this kernel lists the newest first */
    assert_int_equal(timers[0].id, 3);
    assert_int_equal(timers[0].notify, SIGEV_SIGNAL);
    assert_true(timers[0].clock < -8);
    assert_int_equal(timers[1].clock, -6);
    assert_int_equal(timers[2].notify, SIGEV_NONE);
    assert_int_equal(timers[2].clock, -2);
    assert_int_equal(timers[3].id, 0);
    assert_int_equal(timers[3].signal, 40);
    assert_int_equal(timers[3].value, 77);
    assert_int_equal(timers[3].notify, SIGEV_THREAD_ID);
    assert_int_equal(timers[3].target, timers[0].target);
    assert_int_equal(timers[3].clock, CLOCK_MONOTONIC);
}

static void test_no_timers(void **state)
{
    struct proc_timer *timers;
    size_t n = 1;

    assert_int_equal(proc_timers_parse("", &timers, &n), 0);
    assert_int_equal(n, 0);
    assert_null(timers);
}

static void test_large_values(void **state)
{
    _cleanup_free_ struct proc_timer *timers = NULL;
    size_t n;

    assert_int_equal(proc_timers_parse("ID: 2147483647\nsignal: 64/ffffffffffffffff\n"
                                       "notify: thread/pid.0\nClockID: 11\n",
                                       &timers, &n),
                     0);
    assert_int_equal(timers[0].id, 2147483647);
    assert_true(timers[0].value == UINT64_MAX);
    assert_int_equal(timers[0].notify, SIGEV_THREAD);
    assert_int_equal(timers[0].target, 0);
}

static void test_not_timers(void **state)
{
    struct proc_timer *timers;
    size_t n;

    assert_int_equal(proc_timers_parse("ID: 1\nsignal: 2/0\n", &timers, &n), -EINVAL);
    assert_int_equal(
        proc_timers_parse("ID: 1\nsignal: 2/0\nnotify: smoke/pid.1\nClockID: 0\n", &timers, &n),
        -EINVAL);
}

/* ---- children ---- */

static void test_children(void **state)
{
    _cleanup_free_ pid_t *children = NULL;
    size_t n;

    assert_int_equal(proc_children_parse("12 4194304 7 ", &children, &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(children[0], 12);
    assert_int_equal(children[1], 4194304);
    assert_int_equal(children[2], 7);
}

static void test_no_children(void **state)
{
    pid_t *children;
    size_t n = 1;

    assert_int_equal(proc_children_parse("", &children, &n), 0);
    assert_int_equal(n, 0);
    assert_null(children);
    assert_int_equal(proc_children_parse("12 x", &children, &n), -EINVAL);
    assert_int_equal(proc_children_parse("0", &children, &n), -EINVAL);
}

/* ---- net/unix ---- */

static void test_unix_sockets(void **state)
{
    _cleanup_bytes_ struct bytes text = {0};
    struct net_unix_socket *s;
    size_t n;

    load("net-unix.txt", &text);
    assert_int_equal(net_unix_parse((char *)text.data, &s, &n), 0);
    assert_int_equal(n, 6);
    assert_int_equal(s[0].inode, 16404);
    assert_int_equal(s[0].type, 2);
    assert_false(s[0].listening || s[0].connected);
    assert_string_equal(s[0].name, "/run/systemd/notify");
    assert_true(s[1].listening && !s[1].connected && s[1].type == 1);
    assert_string_equal(s[1].name, "@/tmp/.X11-unix/X0");
    assert_true(s[2].connected && s[2].inode == 4294967295);
    assert_null(s[2].name);
    assert_int_equal(s[3].type, 5);
    assert_string_equal(s[3].name, "/tmp/with a blank ");
    assert_int_equal(s[4].inode, 0);
    assert_string_equal(s[5].name, "@zero@inside@@");
    net_unix_free(s, n);
}

static void test_no_unix_sockets(void **state)
{
    struct net_unix_socket *s;
    size_t n = 1;

    assert_int_equal(net_unix_parse("Num RefCount Protocol\n", &s, &n), 0);
    assert_int_equal(n, 0);
    net_unix_free(s, n);
    assert_int_equal(net_unix_parse("", &s, &n), -EINVAL);
    assert_int_equal(net_unix_parse("Num\n0000: 0002 00\n", &s, &n), -EINVAL);
    assert_int_equal(net_unix_parse("Num\n\n", &s, &n), -EINVAL);
    assert_int_equal(net_unix_parse("Num\n0: 2 0 0 1 3 7", &s, &n), 0);
    assert_int_equal(s[0].inode, 7);
    net_unix_free(s, n);
}

/* ---- multicast groups ---- */

static void test_igmp(void **state)
{
    _cleanup_free_ struct multicast_group *groups = NULL;
    size_t n = 0;

    assert_int_equal(
        proc_igmp_parse("Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
                        "1\tlo        :     1      V3\n"
                        "\t\t\t\t010000E0     1 0:00000000\t\t0\n"
                        "4\teth0      :     2      V3\n"
                        "\t\t\t\tFB0000E0     1 0:00000000\t\t0\n"
                        "\t\t\t\t010000E0     1 0:00000000\t\t0\n",
                        &groups, &n),
        0);
    assert_int_equal(
        proc_igmp6_parse("2    ifb0            ff020000000000000000000000000001     1 0000000C 0\n",
                         &groups, &n),
        0);
    assert_int_equal(n, 4);
    assert_int_equal(groups[0].interface, 1);
    assert_memory_equal(groups[0].address, ((uint8_t[]){224, 0, 0, 1}), 4);
    assert_int_equal(groups[1].interface, 4);
    assert_memory_equal(groups[1].address, ((uint8_t[]){224, 0, 0, 251}), 4);
    assert_int_equal(groups[3].interface, 2);
    assert_int_equal(groups[3].size, 16);
    assert_int_equal(groups[3].address[0], 0xff);
    assert_int_equal(groups[3].address[15], 1);
}

static void test_igmp_of_another_form(void **state)
{
    static const char *const texts[] = {"Idx\nx\teth0\n", "Idx\n\t\t\t\t010000E0 1\n",
                                        "Idx\n1\tlo\n\t\t\t\tzzz\n"};
    static const char *const texts6[] = {"eth0\n", "1 lo ff02 1\n", "1 lo\n"};

    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        _cleanup_free_ struct multicast_group *groups = NULL;
        size_t n = 0;
        assert_int_equal(proc_igmp_parse(texts[i], &groups, &n), -EINVAL);
        assert_int_equal(proc_igmp6_parse(texts6[i], &groups, &n), -EINVAL);
    }
}

/* ---- raw sockets ---- */

#define RAW_HEAD "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt ...\n"

static void test_raw_peer(void **state)
{
    static const char text[] =
        RAW_HEAD "   1: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000     0"
                 "        0 4711 2 0000000000000000 0\n"
                 "   1: 0100007F:0001 0200007F:0000 01 00000000:00000000 00:00000000 00000000  1000"
                 "        0 4712 2 0000000000000000 0\n";
    static const char text6[] = RAW_HEAD
        "   58: 00000000000000000000000000000000:003A 00000000000000000000000001000000:0000"
        " 01 00000000:00000000 00:00000000 00000000     0        0 4713 2 "
        "0000000000000000 0\n";
    uint8_t address[16] = {0};
    size_t size = 0;

    assert_int_equal(net_raw_find_peer(text, 4712, address, &size), 0);
    assert_int_equal(size, 4);
    assert_memory_equal(address, "\x7f\0\0\2", 4);
    assert_int_equal(net_raw_find_peer(text, 4711, address, &size), -ENOENT);
    assert_int_equal(net_raw_find_peer(text, 4713, address, &size), -ENOENT);
    assert_int_equal(net_raw_find_peer(text6, 4713, address, &size), 0);
    assert_int_equal(size, 16);
    assert_int_equal(address[15], 1);
    assert_int_equal(net_raw_find_peer("nothing", 1, address, &size), -EINVAL);
    assert_int_equal(net_raw_find_peer(RAW_HEAD, 1, address, &size), -ENOENT);
    assert_int_equal(net_raw_find_peer(RAW_HEAD " 1: what\n", 1, address, &size), -EINVAL);
}

static void test_mountinfo(void **state)
{
    struct proc_mount m;

    assert_true(
        proc_mount_parse("22 28 0:21 /a\\040b /mnt/c\\134\\011d rw,nosuid - ext4 x rw\n", &m));
    assert_true(m.id == 22 && m.device == makedev(0, 21));
    assert_string_equal(m.root, "/a b");
    assert_string_equal(m.path, "/mnt/c\\\td");
    assert_false(proc_mount_parse("22 28 0:21 /", &m));
    assert_false(proc_mount_parse("", &m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stat),
        cmocka_unit_test(test_stat_with_a_name_to_mislead),
        cmocka_unit_test(test_not_a_stat),
        cmocka_unit_test(test_timers),
        cmocka_unit_test(test_no_timers),
        cmocka_unit_test(test_large_values),
        cmocka_unit_test(test_not_timers),
        cmocka_unit_test(test_children),
        cmocka_unit_test(test_no_children),
        cmocka_unit_test(test_unix_sockets),
        cmocka_unit_test(test_no_unix_sockets),
        cmocka_unit_test(test_igmp),
        cmocka_unit_test(test_igmp_of_another_form),
        cmocka_unit_test(test_raw_peer),
        cmocka_unit_test(test_mountinfo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
