/* test_maps.c - readers of maps, smaps, pagemap and the mm fields of stat */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "assert_runs.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "proc/mm.h"
#include "proc/pagemap.h"
#include "proc/smaps.h"

static const char maps_text[] =
    "5644a7f74000-5644a7f76000 r--p 00000000 fe:00 247134                     /usr/bin/cat\n"
    "5644a7f76000-5644a7f7b000 r-xp 00002000 fe:00 247134                     /usr/bin/cat\n"
    "5644d3a3b000-5644d3a5c000 rw-p 00000000 00:00 0                          [heap]\n"
    "7fde2e2bd000-7fde2e2df000 rw-p 00000000 00:00 0 \n"
    "7fde2e2df000-7fde2e336000 rw-s 00001000 00:01 18                         /dev/zero (deleted)\n"
    "7fde2e336000-7fde2e337000 ---p 00000000 fe:00 99                         /tmp/a\\012b \\c "
    "(deleted)\n"
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";

static void test_maps(void **state)
{
    _cleanup_proc_maps_ struct proc_maps maps = {0};
    struct crs_error err = {0};

    assert_int_equal(proc_maps_parse(maps_text, strlen(maps_text), &maps, &err), 0);
    assert_int_equal(maps.n, 7);
    assert_true(maps.items[0].start == 0x5644a7f74000 && maps.items[0].end == 0x5644a7f76000);
    assert_int_equal(maps.items[0].protection, PROT_READ);
    assert_int_equal(maps.items[1].protection, PROT_READ | PROT_EXEC);
    assert_int_equal(maps.items[1].offset, 0x2000);
    assert_int_equal(maps.items[1].dev, makedev(0xfe, 0));
    assert_int_equal(maps.items[1].inode, 247134);
    assert_string_equal(maps.items[1].name, "/usr/bin/cat");
    assert_false(maps.items[1].shared);
    assert_string_equal(maps.items[3].name, "");
    assert_true(maps.items[4].shared);
    assert_true(proc_map_marked_deleted(&maps.items[4]));
    assert_int_equal(maps.items[4].end_of_path - maps.items[4].name, strlen("/dev/zero"));
    assert_int_equal(maps.items[5].protection, PROT_NONE);
    assert_string_equal(maps.items[5].name, "/tmp/a\nb \\c (deleted)");
    assert_true(maps.items[6].end == 0xffffffffff601000);
}

static void test_bad_maps(void **state)
{
    static const char *const texts[] = {
        "x",
        "1000-2000",
        "2000-1000 rw-p 00000000 00:00 0 \n",
        "1000-1000 rw-p 00000000 00:00 0 \n",
        "1001-2000 rw-p 00000000 00:00 0 \n",
        "1000-2000 rw-z 00000000 00:00 0 \n",
        "1000-2000 rw-p 00000000 00:00 \n",
        "1000-2000 rw-p 0000000000000000000000 00:00 0 \n",
        "1000-3000 rw-p 00000000 00:00 0 \n2000-4000 rw-p 00000000 00:00 0 \n",
    };

    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        _cleanup_proc_maps_ struct proc_maps maps = {0};
        struct crs_error err = {0};
        assert_int_equal(proc_maps_parse(texts[i], strlen(texts[i]), &maps, &err), -EINVAL);
        assert_null(maps.items);
        assert_non_null(strstr(err.text, "line"));
    }
}

static const char smaps_text[] =
    "7fff2cc0e000-7fff2cc2f000 rw-p 00000000 00:00 0                          [stack]\n"
    "Size:                132 kB\n"
    "Rss:                  12 kB\n"
    "Swap:                  8 kB\n"
    "SwapPss:             400 kB\n"
    "THPeligible:           0\n"
    "ProtectionKey:         3\n"
    "VmFlags: rd wr mr mw me gd ac zz \n"
    "7fff2cd00000-7fff2cd01000 rw-s 00000000 00:01 18                         /memfd:x (deleted)\n"
    "Rss:                   0 kB\n"
    "VmFlags: rd wr sh mr mw me ms lo lf sr rr dc nr sf wf dd hg mg um uw ui ss sl dp io pf ht mm "
    "nh\n";

static void test_smaps(void **state)
{
    _cleanup_proc_smaps_ struct proc_smaps smaps = {0};
    struct crs_error err = {0};

    assert_int_equal(proc_smaps_parse(smaps_text, strlen(smaps_text), &smaps, &err), 0);
    assert_int_equal(smaps.n, 2);
    assert_string_equal(smaps.items[0].map.name, "[stack]");
    assert_int_equal(smaps.items[0].resident_pages, 3);
    assert_int_equal(smaps.items[0].swapped_pages, 2);
    assert_int_equal(smaps.items[0].protection_key, 3);
    assert_int_equal(smaps.items[0].flags,
                     PROC_VM_MAY_WRITE | PROC_VM_GROWSDOWN | PROC_VM_ACCOUNTED);
    assert_int_equal(smaps.items[1].flags,
                     ((1u << 25) - 1) & ~(uint32_t)(PROC_VM_GROWSDOWN | PROC_VM_ACCOUNTED));
    assert_ptr_equal(proc_smaps_find(&smaps, 0x7fff2cd00000), &smaps.items[1]);
    assert_null(proc_smaps_find(&smaps, 0x7fff2cd01000));
    assert_null(proc_smaps_find(&smaps, 0x1000));
    assert_int_equal(proc_smaps_parse("Rss: 12 kB\n", 11, &smaps, &err), -EINVAL);
    assert_int_equal(smaps.n, 2);
}

/* As Linux 6.1 has it, which has no name for lf. */
static void test_nameless_flag(void **state)
{
    static const char text[] = "10000-11000 rw-p 00000000 00:00 0 \n"
                               "VmFlags: rd wr mr mw me lo ?? ac sd  \n"
                               "20000-21000 rw-p 00000000 00:00 0 \n"
                               "VmFlags: rd wr mr mw me ?? ac sd  \n";
    _cleanup_proc_smaps_ struct proc_smaps smaps = {0};

    assert_int_equal(proc_smaps_parse(text, strlen(text), &smaps, NULL), 0);
    assert_int_equal(smaps.items[0].flags, PROC_VM_MAY_WRITE | PROC_VM_LOCKED |
                                               PROC_VM_LOCK_ON_FAULT | PROC_VM_ACCOUNTED);
    assert_int_equal(smaps.items[1].flags, PROC_VM_MAY_WRITE | PROC_VM_ACCOUNTED);
}

static void test_entries(void **state)
{
    enum { present = 0, swapped = 1 };
    const uint64_t p = 1ULL << 63, s = 1ULL << 62, file = 1ULL << 61;
    const uint64_t entries[] = {p, p | 7, 0, s, p | file, p | file, 1ULL << 55, p};
    _cleanup_page_runs_ struct page_runs all = {0}, changed = {0};

    assert_int_equal(pagemap_entries(entries, 8, 100, PAGES_ANONYMOUS, &all, NULL), 0);
    assert_runs(&all, 3, (struct page_run[]){{100, 2}, {103, 3}, {107, 1}});
    assert_int_equal(page_runs_count(&all), 6);
    assert_int_equal(pagemap_entries(entries, 8, 100, PAGES_CHANGED_FILE, &changed, NULL), 0);
    assert_int_equal(page_runs_count(&changed), 4);
    assert_runs(&changed, 3, (struct page_run[]){{100, 2}, {103, 1}, {107, 1}});
}

/* Both ways of scanning give the same pages. More runs than one call of the kernel returns. */
static void test_scan(void **state)
{
    const size_t n_pages = 3 * 8192;
    uint8_t *m = mmap(NULL, n_pages * 4096, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    _cleanup_close_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    _cleanup_page_runs_ struct page_runs scanned = {0}, read = {0}, guards = {0}, limited = {0};
    uint64_t start = (uintptr_t)m, end = start + n_pages * 4096, expected = start / 4096;
    bool can_scan, guard_bit;
    struct page_run run;

    assert_true(m != MAP_FAILED && fd >= 0);
    madvise(m, n_pages * 4096, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < n_pages; i += 2)
        m[i * 4096] = 1;
    bool have_guard = madvise(m + 4096, 4096, 102 /* MADV_GUARD_INSTALL */) == 0;
    pagemap_can_scan(fd, &can_scan, &guard_bit);
    assert_int_equal(
        pagemap_scan(fd, false, false, start, end, n_pages, PAGES_ANONYMOUS, &read, &guards, NULL),
        0);
    assert_int_equal(guards.n, 0);
    assert_int_equal(page_runs_count(&read) >= n_pages / 2, 1);
    assert_int_equal(
        pagemap_scan(fd, false, false, start, end, 1, PAGES_ANONYMOUS, &limited, &guards, NULL), 0);
    assert_true(page_runs_count(&limited) < n_pages / 2);
    if (!can_scan)
        skip();
    assert_int_equal(
        pagemap_scan(fd, true, guard_bit, start, end, 0, PAGES_ANONYMOUS, &scanned, &guards, NULL),
        0);
    if (guard_bit && have_guard) {
        assert_runs(&guards, 1, (struct page_run[]){{start / 4096 + 1, 1}});
    }
    assert_int_equal(page_runs_count(&scanned), n_pages / 2);
    page_runs_each (run, &scanned) {
        assert_int_equal(run.first, expected);
        assert_int_equal(run.count, 1);
        expected += 2;
    }
    munmap(m, n_pages * 4096);
}

static void test_mm(void **state)
{
    static const char text[] =
        "1234 (a) b (c) S 1 1234 1234 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 5555 8192000 300 "
        "18446744073709551615 94000000 94001000 140000000 140000100 0 0 0 0 0 0 0 0 17 1 0 0 0 "
        "0 0 94002000 94003000 94004000 140000200 140000210 140000210 140000300 0\n";
    struct proc_mm mm;

    assert_int_equal(proc_mm_parse(text, &mm), 0);
    assert_int_equal(mm.start_code, 94000000);
    assert_int_equal(mm.end_code, 94001000);
    assert_int_equal(mm.start_stack, 140000000);
    assert_int_equal(mm.start_data, 94002000);
    assert_int_equal(mm.end_data, 94003000);
    assert_int_equal(mm.start_brk, 94004000);
    assert_int_equal(mm.arg_start, 140000200);
    assert_int_equal(mm.arg_end, 140000210);
    assert_int_equal(mm.env_start, 140000210);
    assert_int_equal(mm.env_end, 140000300);
    assert_int_equal(proc_mm_parse("", &mm), -EINVAL);
    assert_int_equal(proc_mm_parse("1 (x)", &mm), -EINVAL);
    assert_int_equal(proc_mm_parse("1 (x) S 1 2 3", &mm), -EINVAL);
}

/* Read in pieces that end in the middle of records. */
static void test_records(void **state)
{
    const size_t size = 64 * 4096;
    uint8_t *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    _cleanup_proc_smaps_ struct proc_smaps smaps = {0};
    _cleanup_bytes_ struct bytes text = {0};

    assert_ptr_not_equal(area, MAP_FAILED);
    for (size_t i = 0; i < size; i += 4096) /* each page a mapping of its own */
        assert_int_equal(mprotect(area + i, 4096, i / 4096 % 2 ? PROT_READ : PROT_NONE), 0);
    assert_int_equal(read_costly_records(AT_FDCWD, "/proc/self/smaps", 1 << 20, &text), 0);
    assert_int_equal(strlen((char *)text.data), text.size);
    assert_int_equal(proc_smaps_parse((char *)text.data, text.size, &smaps, NULL), 0);
    for (size_t i = 0; i < size; i += 4096) {
        const struct proc_smap *smap = proc_smaps_find(&smaps, (uintptr_t)area + i);
        assert_non_null(smap);
        assert_true(smap->map.end == (uintptr_t)area + i + 4096);
        assert_int_equal(smap->map.protection, i / 4096 % 2 ? PROT_READ : PROT_NONE);
    }
    assert_int_equal(read_costly_records(AT_FDCWD, "/proc/self/smaps", 1000, &text), -EFBIG);
    munmap(area, size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_maps),    cmocka_unit_test(test_bad_maps),
        cmocka_unit_test(test_smaps),   cmocka_unit_test(test_nameless_flag),
        cmocka_unit_test(test_entries), cmocka_unit_test(test_scan),
        cmocka_unit_test(test_mm),      cmocka_unit_test(test_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
