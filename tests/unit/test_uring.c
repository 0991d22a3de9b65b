/* test_uring.c - /proc/PID/fdinfo/FD of an io_uring as text */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "proc/uring.h"

static const char full[] =
    "pos:\t0\nflags:\t02000002\nmnt_id:\t17\nino:\t19707688\n"
    "SqMask:\t0x7\nSqHead:\t4294967295\nSqTail:\t1\nCachedSqHead:\t4294967295\n"
    "CqMask:\t0xf\nCqHead:\t5\nCqTail:\t6\nCachedCqTail:\t6\n"
    "SQEs:\t2\n"
    "    7: opcode:NOP, fd:0, flags:0, off:0, addr:0x0, rw_flags:0x0, "
    "buf_index:0 user_data:0, e0:0x0, e1:0x0\n"
    "    0: opcode:NOP, fd:0, flags:0, off:0, addr:0x0, rw_flags:0x0, "
    "buf_index:0 user_data:0, e0:0x0, e1:0x0\n"
    "CQEs:\t1\n"
    "    5: user_data:7, res:-2, flag:0, extra1:0, extra2:0\n\n"
    "SqThread:\t5828\nSqThreadCpu:\t0\nSqTotalTime:\t0\nSqWorkTime:\t0\n"
    "UserFiles:\t1\n    0: /dev/null\n"
    "UserBufs:\t3\n    0: 0x7f0000001000/8192\n    1: <none>\n"
    "    2: 0xffffffffffffffff/1\n"
    "Personalities:\n    1\n\tUid:\t0\n"
    "PollList:\n  op=6, task_works=0\n  op=27, task_works=1\n"
    "CqOverflowList:\n  user_data=1, res=0, flags=0\n"
    "NAPI:\tenabled\n";

static void test_full(void **state)
{
    struct proc_uring r;

    assert_int_equal(proc_uring_parse(full, &r), 0);
    assert_true(r.has_counters && r.has_lists);
    assert_int_equal(r.sq_mask, 7);
    assert_true(r.sq_head == UINT32_MAX && r.sq_consumed == UINT32_MAX);
    assert_int_equal(r.sq_tail, 1);
    assert_int_equal(r.cq_mask, 15);
    assert_int_equal(r.cq_head, 5);
    assert_int_equal(r.cq_tail, 6);
    assert_int_equal(r.cq_posted, 6);
    assert_true(r.n_sqes_shown == 2 && r.big_sqes);
    assert_true(r.n_cqes_shown == 1 && r.big_cqes);
    assert_int_equal(r.sq_thread, 5828);
    assert_int_equal(r.n_files, 1);
    assert_int_equal(r.n_buffers, 3);
    assert_int_equal(r.buffers.n, 3);
    assert_true(r.buffers.items[0].address == 0x7f0000001000 && r.buffers.items[0].size == 8192);
    assert_true(r.buffers.items[1].place == 1 && r.buffers.items[1].address == 0);
    assert_true(r.buffers.items[2].place == 2 && r.buffers.items[2].address == 0);
    assert_true(r.n_polled == 2 && r.polled_op == 6);
    assert_int_equal(r.n_overflown, 1);
    assert_true(r.personalities && r.napi);
    proc_uring_clear(&r);
}

/* While somebody has the ring's lock, and before Linux 5.19. */
static void test_little(void **state)
{
    struct proc_uring r;

    assert_int_equal(proc_uring_parse("pos:\t0\nflags:\t02000002\nmnt_id:\t17\n", &r), 0);
    assert_false(r.has_counters || r.has_lists);
    assert_int_equal(r.sq_thread, -1);
    assert_int_equal(
        proc_uring_parse("SqThread:\t-1\nUserFiles:\t0\nUserBufs:\t0\nPollList:\n", &r), 0);
    assert_false(r.has_counters || r.has_lists);
    assert_int_equal(r.n_polled, 0);
}

static void test_malformed(void **state)
{
    struct proc_uring r;

    assert_int_equal(proc_uring_parse("SqMask:\tx\n", &r), -EINVAL);
    assert_int_equal(proc_uring_parse("CqTail:\t4294967296\n", &r), -EINVAL);
    assert_int_equal(proc_uring_parse("UserBufs:\t1\n    0: here\n", &r), -EINVAL);
    assert_int_equal(proc_uring_parse("PollList:\n  something\n", &r), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_little),
        cmocka_unit_test(test_malformed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
