/* test_fdinfo.c - /proc/PID/fdinfo/FD as text */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "proc/fdinfo.h"

static void test_plain(void **state)
{
    struct fdinfo info;

    assert_int_equal(fdinfo_parse("pos:\t4711\nflags:\t0102002\nmnt_id:\t27\nino:\t5\n", &info), 0);
    assert_int_equal(info.position, 4711);
    assert_int_equal(info.flags, 0102002);
    assert_false(info.has_eventfd || info.has_signalfd || info.has_timerfd);
    assert_int_equal(info.targets.n, 0);
    assert_int_equal(info.locks.n, 0);
    fdinfo_clear(&info);
}

static void test_eventfd(void **state)
{
    struct fdinfo info;

    assert_int_equal(fdinfo_parse("pos:\t0\nflags:\t02000002\nmnt_id:\t17\nino:\t1038\n"
                                  "eventfd-count: fffffffffffffffe\neventfd-id: 1\n"
                                  "eventfd-semaphore: 1\n",
                                  &info),
                     0);
    assert_true(info.has_eventfd && info.has_semaphore && info.semaphore);
    assert_true(info.eventfd_count == UINT64_MAX - 1);
    assert_int_equal(info.eventfd_id, 1);
    assert_true(info.flags & O_CLOEXEC);
    fdinfo_clear(&info);

    /* before Linux 6.5 */
    assert_int_equal(fdinfo_parse("pos:\t0\nflags:\t02\neventfd-count:                a\n", &info),
                     0);
    assert_true(info.has_eventfd && !info.has_semaphore);
    assert_int_equal(info.eventfd_count, 10);
    fdinfo_clear(&info);
}

static void test_timerfd(void **state)
{
    struct fdinfo info;

    assert_int_equal(fdinfo_parse("pos:\t0\nflags:\t02000002\nmnt_id:\t17\nino:\t1038\n"
                                  "clockid: 7\nticks: 12\nsettime flags: 03\n"
                                  "it_value: (999, 993674953)\nit_interval: (1, 5)\n",
                                  &info),
                     0);
    assert_true(info.has_timerfd);
    assert_int_equal(info.clock, 7);
    assert_int_equal(info.ticks, 12);
    assert_int_equal(info.settime_flags, 3);
    assert_true(info.value_ns == UINT64_C(999993674953));
    assert_true(info.interval_ns == UINT64_C(1000000005));
    fdinfo_clear(&info);
    assert_int_equal(fdinfo_parse("flags:\t02\nit_value: (1, 1000000000)\n", &info), -EINVAL);
}

static void test_signalfd(void **state)
{
    struct fdinfo info;

    assert_int_equal(fdinfo_parse("pos:\t0\nflags:\t02\nsigmask:\t8000000000000200\n", &info), 0);
    assert_true(info.has_signalfd && info.sigmask == UINT64_C(0x8000000000000200));
    fdinfo_clear(&info);
}

static void test_epoll(void **state)
{
    struct fdinfo info;

    assert_int_equal(
        fdinfo_parse(
            "pos:\t0\nflags:\t02\nmnt_id:\t17\nino:\t1038\n"
            "tfd:        3 events: c0000000 data: 123456789abcdef0  pos:0 ino:40e sdev:10\n"
            "tfd:       12 events:       1d data:   ffffffffffffffff  pos:-1 ino:61af "
            "sdev:7\n",
            &info),
        0);
    assert_int_equal(info.targets.n, 2);
    assert_int_equal(info.targets.items[0].fd, 3);
    assert_int_equal(info.targets.items[0].events, 0xc0000000);
    assert_true(info.targets.items[0].data == UINT64_C(0x123456789abcdef0));
    assert_int_equal(info.targets.items[0].ino, 0x40e);
    assert_int_equal(info.targets.items[1].fd, 12);
    assert_true(info.targets.items[1].data == UINT64_MAX);
    fdinfo_clear(&info);
    assert_int_equal(fdinfo_parse("flags:\t02\ntfd: x\n", &info), -EINVAL);
}

static void test_fanotify(void **state)
{
    _cleanup_fdinfo_ struct fdinfo info = {0};

    assert_int_equal(
        fdinfo_parse("pos:\t0\nflags:\t02004002\n"
                     "fanotify flags:e03 event-flags:8000\n"
                     "fanotify ino:3c51a sdev:fe00000 mflags:40 mask:0 ignored_mask:20 "
                     "fhandle-bytes:8 fhandle-type:1 f_handle:1ac5030000000000\n"
                     "fanotify mnt_id:1b mflags:0 mask:8000020 ignored_mask:0\n"
                     "fanotify sdev:fe00003 mflags:0 mask:8000100 ignored_mask:0\n"
                     "fanotify mnt_ns:7 mflags:0 mask:1\n",
                     &info),
        0);
    assert_true(info.has_fanotify);
    assert_int_equal(info.fanotify_flags, 0xe03);
    assert_int_equal(info.event_flags, 0x8000);
    assert_int_equal(info.marks.n, 4);
    assert_int_equal(info.marks.items[0].kind, FDINFO_MARK_INODE);
    assert_int_equal(info.marks.items[0].flags, 0x40);
    assert_int_equal(info.marks.items[0].ignored_mask, 0x20);
    assert_int_equal(info.watches.items[info.marks.items[0].watch].ino, 0x3c51a);
    assert_int_equal(info.watches.items[0].handle_size, 8);
    assert_int_equal(info.marks.items[1].kind, FDINFO_MARK_MOUNT);
    assert_int_equal(info.marks.items[1].mount, 0x1b);
    assert_int_equal(info.marks.items[1].mask, 0x8000020);
    assert_int_equal(info.marks.items[2].kind, FDINFO_MARK_FILE_SYSTEM);
    assert_true(info.marks.items[2].device == makedev(254, 3));
    assert_int_equal(info.marks.items[3].kind, FDINFO_MARK_OTHER);
    fdinfo_clear(&info);
    assert_int_equal(fdinfo_parse("flags:\t02\nfanotify flags:x\n", &info), -EINVAL);
    assert_int_equal(fdinfo_parse("flags:\t02\nfanotify mnt_id:1 mask:1\n", &info), -EINVAL);
    assert_int_equal(fdinfo_parse("flags:\t02\nfanotify ino:1 sdev:1 mflags:0 mask:1 "
                                  "ignored_mask:0 fhandle-bytes:ff fhandle-type:1 f_handle:00\n",
                                  &info),
                     -EINVAL);
}

static void test_inotify(void **state)
{
    struct fdinfo info;

    assert_int_equal(
        fdinfo_parse("pos:\t0\nflags:\t02000000\nmnt_id:\t17\nino:\t1038\n"
                     "inotify wd:6 ino:3 sdev:6 mask:2 ignored_mask:0 \n"
                     "inotify wd:4d ino:3c51a sdev:fe00003 mask:84000fff ignored_mask:0 "
                     "fhandle-bytes:8 fhandle-type:81 f_handle:1ac5030000000000\n",
                     &info),
        0);
    assert_int_equal(info.watches.n, 2);
    assert_int_equal(info.watches.items[0].wd, 6);
    assert_int_equal(info.watches.items[0].handle_size, 0);
    const struct fdinfo_watch *w = &info.watches.items[1];
    assert_int_equal(w->wd, 77);
    assert_int_equal(w->ino, 0x3c51a);
    assert_true(w->device == makedev(254, 3));
    assert_int_equal(w->mask, 0x84000fff);
    assert_int_equal(w->handle_size, 8);
    assert_int_equal(w->handle_type, 0x81);
    assert_memory_equal(w->handle, "\x1a\xc5\x03\0\0\0\0\0", 8);
    fdinfo_clear(&info);
    assert_int_equal(fdinfo_parse("flags:\t02\ninotify wd:1 ino:x\n", &info), -EINVAL);
    assert_int_equal(fdinfo_parse("flags:\t02\ninotify wd:1 ino:1 sdev:1 mask:1 ignored_mask:0 "
                                  "fhandle-bytes:81 fhandle-type:1 f_handle:00\n",
                                  &info),
                     -EINVAL);
    assert_int_equal(fdinfo_parse("flags:\t02\ninotify wd:1 ino:1 sdev:1 mask:1 ignored_mask:0 "
                                  "fhandle-bytes:2 fhandle-type:1 f_handle:00\n",
                                  &info),
                     -EINVAL);
}

static void test_pidfd(void **state)
{
    struct fdinfo info;

    assert_int_equal(fdinfo_parse("pos:\t0\nflags:\t02000002\nmnt_id:\t4\nino:\t1071814\n"
                                  "Pid:\t25797\nNSpid:\t25797\t312\t5\n",
                                  &info),
                     0);
    assert_true(info.has_pidfd);
    assert_int_equal(info.pid, 25797);
    assert_int_equal(info.inner_pid, 5);
    fdinfo_clear(&info);
    assert_int_equal(fdinfo_parse("flags:\t02\nPid:\t-1\nNSpid:\t-1\n", &info), 0);
    assert_true(info.has_pidfd && info.pid == -1);
    fdinfo_clear(&info);
    assert_int_equal(fdinfo_parse("flags:\t02\nPid:\tx\n", &info), -EINVAL);
}

static void test_locks(void **state)
{
    struct fdinfo info;

    assert_int_equal(fdinfo_parse("pos:\t0\nflags:\t0100002\nmnt_id:\t27\nino:\t10952939\n"
                                  "lock:\t1: FLOCK  ADVISORY  WRITE 6434 fe:00:10952939 0 EOF\n"
                                  "lock:\t2: POSIX  ADVISORY  READ 6434 fe:00:10952939 10 14\n"
                                  "lock:\t3: OFDLCK ADVISORY  READ -1 fe:00:10952939 100 EOF\n"
                                  "lock:\t4: LEASE  ACTIVE    READ 99 fe:00:10952939 0 EOF\n",
                                  &info),
                     0);
    assert_int_equal(info.locks.n, 4);
    assert_int_equal(info.locks.items[0].kind, FDINFO_LOCK_FLOCK);
    assert_true(info.locks.items[0].write && info.locks.items[0].end == UINT64_MAX);
    assert_int_equal(info.locks.items[1].kind, FDINFO_LOCK_POSIX);
    assert_false(info.locks.items[1].write);
    assert_int_equal(info.locks.items[1].start, 10);
    assert_int_equal(info.locks.items[1].end, 14);
    assert_int_equal(info.locks.items[2].kind, FDINFO_LOCK_OFD);
    assert_int_equal(info.locks.items[2].start, 100);
    assert_int_equal(info.locks.items[3].kind, FDINFO_LOCK_LEASE);
    fdinfo_clear(&info);
    assert_int_equal(fdinfo_parse("flags:\t02\nlock:\t1: POSIX\n", &info), -EINVAL);
}

static void test_hostile(void **state)
{
    struct fdinfo info;
    char line[2000];

    assert_int_equal(fdinfo_parse("", &info), -EINVAL);
    assert_int_equal(fdinfo_parse("pos:\t1\n", &info), -EINVAL);
    assert_int_equal(fdinfo_parse("flags:\n", &info), -EINVAL);
    assert_int_equal(fdinfo_parse("flags:\t777777777777\n", &info), -EINVAL);
    assert_int_equal(fdinfo_parse("flags:\t02\neventfd-count: zz\n", &info), -EINVAL);
    assert_int_equal(fdinfo_parse("flags:\t02\nunknown: what\nno colon", &info), 0);
    fdinfo_clear(&info);
    memset(line, 'x', sizeof(line));
    strcpy(line + sizeof(line) - 12, "\nflags:\t02");
    assert_int_equal(fdinfo_parse(line, &info), 0);
    assert_int_equal(info.flags, 2);
    fdinfo_clear(&info);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),    cmocka_unit_test(test_eventfd),
        cmocka_unit_test(test_timerfd),  cmocka_unit_test(test_signalfd),
        cmocka_unit_test(test_epoll),    cmocka_unit_test(test_inotify),
        cmocka_unit_test(test_fanotify), cmocka_unit_test(test_pidfd),
        cmocka_unit_test(test_locks),    cmocka_unit_test(test_hostile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
