/* victim_smaps.h - what the kernel says about a victim's own mapping: permissions, flags, sizes */
#ifndef VICTIM_SMAPS_H
#define VICTIM_SMAPS_H

#include "victim.h"

struct victim_mapping {
    unsigned long start, end;
    char permissions[5];
    unsigned long inode;
    char name[512];
    char flags[256]; /* " rd wr mr ... " */
    long rss_kb, anonymous_kb, huge_kb;
};

/* The mapping that holds `address`; false: there's none. */
static inline bool victim_find_mapping(const void *address, struct victim_mapping *ret)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    unsigned long at = (unsigned long)address;
    bool found = false;
    char line[1024];

    MUST(file);
    while (fgets(line, sizeof(line), file)) {
        struct victim_mapping m = {0};
        int n = 0;
        if (sscanf(line, "%lx-%lx %4s %*s %*s %lu %n", &m.start, &m.end, m.permissions, &m.inode,
                   &n) >= 4 &&
            n > 0) {
            if (found)
                break;
            if (at < m.start || at >= m.end)
                continue;
            snprintf(m.name, sizeof(m.name), "%.*s", (int)strcspn(line + n, "\n"), line + n);
            *ret = m;
            found = true;
        } else if (found) {
            sscanf(line, "Rss: %ld", &ret->rss_kb);
            sscanf(line, "Anonymous: %ld", &ret->anonymous_kb);
            sscanf(line, "AnonHugePages: %ld", &ret->huge_kb);
            if (strncmp(line, "VmFlags:", 8) == 0)
                snprintf(ret->flags, sizeof(ret->flags), "%.*s ", (int)strcspn(line + 8, "\n"),
                         line + 8);
        }
    }
    fclose(file);
    return found;
}

/* Is the flag, two letters at `flag`, there? Older kernels have no name for lf. */
static inline bool victim_has_flag(const struct victim_mapping *m, const char *flag)
{
    char padded[5] = {' ', flag[0], flag[1], ' ', 0};

    return strstr(m->flags, padded) || (strcmp(padded, " lf ") == 0 && strstr(m->flags, " ?? "));
}

/* Are these flags ("dc wf") there, and none of those in `without`? */
static inline bool victim_has_flags(const struct victim_mapping *m, const char *with,
                                    const char *without)
{
    for (const char *p = with; *p; p += p[2] ? 3 : 2)
        if (!victim_has_flag(m, p))
            return false;
    for (const char *p = without; *p; p += p[2] ? 3 : 2)
        if (victim_has_flag(m, p))
            return false;
    return true;
}

#define CHECK_MAPPING(address, perms, with, without)                                               \
    do {                                                                                           \
        struct victim_mapping _m = {0};                                                            \
        if (!victim_find_mapping((const void *)(address), &_m))                                    \
            victim_fail("%s:%d: nothing is mapped at %p", __FILE__, __LINE__,                      \
                        (const void *)(address));                                                  \
        else if (strcmp(_m.permissions, perms) != 0)                                               \
            victim_fail("%s:%d: permissions are %s, expected %s", __FILE__, __LINE__,              \
                        _m.permissions, perms);                                                    \
        else if (!victim_has_flags(&_m, with, without))                                            \
            victim_fail("%s:%d: flags are%s, expected %s without %s", __FILE__, __LINE__,          \
                        _m.flags, with, without);                                                  \
    } while (0)

/* Fill or check memory with a pattern that depends on place, and doesn't compress. */
static inline uint64_t victim_pattern(uint64_t seed, uint64_t i)
{
    uint64_t x = seed * 0x9e3779b97f4a7c15ull + i * 0xbf58476d1ce4e5b9ull;
    x ^= x >> 31;
    x *= 0x94d049bb133111ebull;
    return x ^ (x >> 29);
}

static inline void victim_fill(void *memory, size_t size, uint64_t seed)
{
    uint64_t *words = memory;
    for (size_t i = 0; i < size / 8; i++)
        words[i] = victim_pattern(seed, i);
}

static inline bool victim_same(const void *memory, size_t size, uint64_t seed)
{
    const uint64_t *words = memory;
    for (size_t i = 0; i < size / 8; i++)
        if (words[i] != victim_pattern(seed, i))
            return false;
    return true;
}

#endif
