/* test_vdso.c - a copy of the vDSO that leads to the real one */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "proc/maps.h"
#include "tracee/arch/arch.h"

static struct bytes own; /* this process's vDSO, where it is mapped */

static int find_vdso(void **state)
{
    _cleanup_bytes_ struct bytes text = {0};
    _cleanup_proc_maps_ struct proc_maps maps = {0};

    if (read_file(AT_FDCWD, "/proc/self/maps", 1 << 24, &text) < 0 ||
        proc_maps_parse((const char *)text.data, text.size, &maps, NULL) < 0)
        return -1;
    for (size_t i = 0; i < maps.n; i++)
        if (strcmp(maps.items[i].name, "[vdso]") == 0)
            own = (struct bytes){(uint8_t *)maps.items[i].start,
                                 maps.items[i].end - maps.items[i].start};
    return own.size ? 0 : -1;
}

/* Where a symbol of the vDSO is; found in the plain way, without the code under test. */
static uint64_t find_symbol(const char *wanted)
{
    const Elf64_Ehdr *elf = (const void *)own.data;
    const Elf64_Shdr *sections = (const void *)(own.data + elf->e_shoff);

    for (unsigned i = 0; i < elf->e_shnum; i++) {
        if (sections[i].sh_type != SHT_DYNSYM)
            continue;
        const Elf64_Sym *s = (const void *)(own.data + sections[i].sh_offset);
        const char *names = (const char *)own.data + sections[sections[i].sh_link].sh_offset;
        for (size_t k = 0; k < sections[i].sh_size / sizeof(*s); k++)
            if (strcmp(names + s[k].st_name, wanted) == 0)
                return s[k].st_value;
    }
    return 0;
}

typedef int (*clock_gettime_fn)(clockid_t, struct timespec *);
typedef long (*getcpu_fn)(unsigned *, unsigned *, void *);

static uint8_t *make_copy(const struct bytes *current, uint64_t current_at)
{
    uint8_t *place =
        mmap(NULL, own.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct bytes image = {place, own.size};
    struct crs_error err = {0};

    assert_true(place != MAP_FAILED);
    memcpy(place, own.data, own.size);
    int r = arch_vdso_redirect(&image, (uintptr_t)place, current, current_at, &err);
    if (r < 0)
        fail_msg("%s", err.text);
    assert_int_equal(mprotect(place, own.size, PROT_READ | PROT_EXEC), 0);
    return place;
}

static void check_functions(const uint8_t *copy)
{
    uint64_t clock_at = find_symbol("__vdso_clock_gettime"), cpu_at = find_symbol("__vdso_getcpu");
    struct timespec before, between, after;
    unsigned cpu = 77777, node = 77777;

    assert_true(clock_at && cpu_at);
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(((clock_gettime_fn)(copy + clock_at))(CLOCK_MONOTONIC, &between), 0);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(before.tv_sec * 1000000000L + before.tv_nsec <=
                between.tv_sec * 1000000000L + between.tv_nsec);
    assert_true(between.tv_sec * 1000000000L + between.tv_nsec <=
                after.tv_sec * 1000000000L + after.tv_nsec);
    assert_int_equal(((getcpu_fn)(copy + cpu_at))(&cpu, &node, NULL), 0);
    assert_true(cpu < 4096);
}

static void test_redirect(void **state)
{
    uint8_t *copy = make_copy(&own, (uintptr_t)own.data);

    check_functions(copy);
    munmap(copy, own.size);
}

/* A kernel whose vDSO lacks the functions: system calls take their place. */
static void test_missing(void **state)
{
    _cleanup_bytes_ struct bytes other = {0};

    assert_int_equal(bytes_copy(&other, own.data, own.size), 0);
    for (size_t i = 0; i + 4 < other.size; i++)
        if (memcmp(other.data + i, "get", 3) == 0 || memcmp(other.data + i, "time", 4) == 0)
            other.data[i] ^= 0x20;
    uint8_t *copy = make_copy(&other, 0x10000 /* nothing is there */);
    check_functions(copy);
    munmap(copy, own.size);
}

/* Whatever the bytes are: an error or a patch inside of them, never a touch outside. */
static void test_hostile(void **state)
{
    _cleanup_bytes_ struct bytes image = {0};
    unsigned seed = 1;

    for (size_t size = 0; size < own.size; size += 61) {
        assert_int_equal(bytes_copy(&image, own.data, size), 0);
        (void)arch_vdso_redirect(&image, 0x10000, &own, (uintptr_t)own.data, NULL);
    }
    for (int round = 0; round < 3000; round++) {
        assert_int_equal(bytes_copy(&image, own.data, own.size), 0);
        for (int i = 0; i < 8; i++) {
            seed = seed * 1103515245 + 12345;
            size_t at = (seed >> 8) % (round & 1 ? 1024 : own.size);
            image.data[at] = seed >> 3;
        }
        (void)arch_vdso_redirect(&image, 0x10000, &own, (uintptr_t)own.data, NULL);
        (void)arch_vdso_redirect(&image, 0x10000, &image, 0x20000, NULL);
    }
    memset(image.data, 0, image.size);
    assert_int_equal(arch_vdso_redirect(&image, 0x10000, &own, 0, NULL), -ENOEXEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redirect),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, find_vdso, NULL);
}
