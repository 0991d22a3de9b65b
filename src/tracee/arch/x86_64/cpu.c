/* cpu.c - what a program may use of the processor */
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "tracee/arch/arch.h"

/* Instructions and features that programs choose code by, as /proc/cpuinfo names them. */
static const char *const known_features[] = {
    "3dnow",
    "3dnowext",
    "abm",
    "adx",
    "aes",
    "amx_bf16",
    "amx_int8",
    "amx_tile",
    "avx",
    "avx2",
    "avx512_4fmaps",
    "avx512_4vnniw",
    "avx512_bf16",
    "avx512_bitalg",
    "avx512_fp16",
    "avx512_vbmi2",
    "avx512_vnni",
    "avx512_vp2intersect",
    "avx512_vpopcntdq",
    "avx512bw",
    "avx512cd",
    "avx512dq",
    "avx512er",
    "avx512f",
    "avx512ifma",
    "avx512pf",
    "avx512vbmi",
    "avx512vl",
    "avx_vnni",
    "bmi1",
    "bmi2",
    "clflushopt",
    "clwb",
    "clzero",
    "cx16",
    "erms",
    "f16c",
    "fma",
    "fma4",
    "fsgsbase",
    "fsrm",
    "gfni",
    "hle",
    "lahf_lm",
    "movbe",
    "movdir64b",
    "movdiri",
    "ospke",
    "pclmulqdq",
    "pni",
    "popcnt",
    "prefetchwt1",
    "rdpid",
    "rdrand",
    "rdseed",
    "rdtscp",
    "rtm",
    "serialize",
    "sha_ni",
    "sse4_1",
    "sse4_2",
    "sse4a",
    "ssse3",
    "tbm",
    "umip",
    "vaes",
    "vpclmulqdq",
    "waitpkg",
    "xop",
    "xsave",
    "xsavec",
    "xsaveopt",
    "xgetbv1",
};

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = text; (p = strstr(p, word)); p += n)
        if ((p == text || p[-1] == ' ') && (p[n] == ' ' || p[n] == 0))
            return true;
    return false;
}

int arch_cpu_features(char ***ret, size_t *ret_n)
{
    _cleanup_bytes_ struct bytes text = {0};
    ARRAY_OF(char *) found = {0};
    int r = read_file(AT_FDCWD, "/proc/cpuinfo", 64 << 20, &text);

    if (r < 0)
        return r;
    char *flags = strstr((char *)text.data, "\nflags");
    flags = flags ? strchr(flags, ':') : NULL;
    if (!flags)
        return -ENODATA;
    flags[1 + strcspn(flags + 1, "\n")] = 0;
    for (size_t i = 0; i < ELEMENTS(known_features); i++) {
        if (!has_word(flags + 1, known_features[i]))
            continue;
        char **item = ARRAY_ADD(&found);
        if (!item || !(*item = strdup(known_features[i]))) {
            for (size_t j = 0; j < found.n; j++)
                free(found.items[j]);
            free(found.items);
            return -ENOMEM;
        }
    }
    *ret = found.items;
    *ret_n = found.n;
    return 0;
}

void arch_xsave_info(uint64_t *ret_xcr0, uint32_t *ret_size)
{
    uint32_t a, b, c, d, low = 3, high = 0;

    *ret_xcr0 = 3;
    *ret_size = 576;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    *ret_xcr0 = (uint64_t)high << 32 | low;
    if (__get_cpuid_count(0xd, 0, &a, &b, &c, &d))
        *ret_size = b;
}
