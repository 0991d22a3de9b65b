/*
 * memory_vdso.c - the clock, through the vDSO where the program first found it
 */
#include <elf.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "victim_smaps.h"

typedef int (*clock_gettime_fn)(clockid_t, struct timespec *);

static clock_gettime_fn find(const uint8_t *image)
{
    const Elf64_Ehdr *elf = (const void *)image;
    const Elf64_Shdr *sections = (const void *)(image + elf->e_shoff);

    for (unsigned i = 0; i < elf->e_shnum; i++) {
        const Elf64_Sym *s = (const void *)(image + sections[i].sh_offset);
        if (sections[i].sh_type != SHT_DYNSYM)
            continue;
        const char *names = (const char *)image + sections[sections[i].sh_link].sh_offset;
        for (size_t k = 0; k < sections[i].sh_size / sizeof(*s); k++)
            if (strcmp(names + s[k].st_name, "__vdso_clock_gettime") == 0)
                return (clock_gettime_fn)(image + s[k].st_value);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    const uint8_t *image = (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
    MUST(image);
    clock_gettime_fn gettime = find(image);
    MUST(gettime);
    struct timespec by_vdso, by_libc, by_call;
    victim_ready();
    while (victim_wait()) {
        CHECK(getauxval(AT_SYSINFO_EHDR) == (uintptr_t)image);
        CHECK(memcmp(image, ELFMAG, 4) == 0);
        CHECK(gettime(CLOCK_REALTIME, &by_vdso) == 0);
        CHECK(clock_gettime(CLOCK_REALTIME, &by_libc) == 0);
        CHECK(syscall(SYS_clock_gettime, CLOCK_REALTIME, &by_call) == 0);
        CHECK(by_call.tv_sec - by_vdso.tv_sec <= 1 && by_vdso.tv_sec <= by_call.tv_sec);
        CHECK(by_call.tv_sec - by_libc.tv_sec <= 1 && by_libc.tv_sec <= by_call.tv_sec);
        for (int i = 0; i < 1000; i++)
            CHECK(gettime(CLOCK_MONOTONIC, &by_vdso) == 0);
        CHECK_MAPPING(image, "r-xp", "ex", "wr");
    }
    return 0;
}
