/* smaps.c - the text of /proc/PID/smaps: mappings with the kernel's flags */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "smaps.h"

static const struct {
    char name[3];
    uint32_t flag;
} vm_flags[] = {
    {"mw", PROC_VM_MAY_WRITE},  {"gd", PROC_VM_GROWSDOWN},    {"pf", PROC_VM_PFNMAP},
    {"lo", PROC_VM_LOCKED},     {"io", PROC_VM_IO},           {"sr", PROC_VM_SEQUENTIAL},
    {"rr", PROC_VM_RANDOM},     {"dc", PROC_VM_DONTFORK},     {"lf", PROC_VM_LOCK_ON_FAULT},
    {"ac", PROC_VM_ACCOUNTED},  {"nr", PROC_VM_NORESERVE},    {"ht", PROC_VM_HUGETLB},
    {"sf", PROC_VM_SYNC},       {"wf", PROC_VM_WIPEONFORK},   {"dd", PROC_VM_DONTDUMP},
    {"mm", PROC_VM_MIXEDMAP},   {"hg", PROC_VM_HUGEPAGE},     {"nh", PROC_VM_NOHUGEPAGE},
    {"mg", PROC_VM_MERGEABLE},  {"um", PROC_VM_UFFD_MISSING}, {"uw", PROC_VM_UFFD_WP},
    {"ui", PROC_VM_UFFD_MINOR}, {"ss", PROC_VM_SHADOW_STACK}, {"sl", PROC_VM_SEALED},
    {"dp", PROC_VM_DROPPABLE},
};

/* A flag that the kernel has no name for is "??". Before lf had its name (6.1 for one), this was
 * the only one such that a locked mapping could have. */
static uint32_t parse_flags(const char *text)
{
    uint32_t flags = 0;
    bool nameless = false;

    while (*(text += strspn(text, " "))) {
        size_t n = strcspn(text, " ");
        for (size_t i = 0; n == 2 && i < ELEMENTS(vm_flags); i++)
            if (memcmp(text, vm_flags[i].name, 2) == 0)
                flags |= vm_flags[i].flag;
        nameless |= n == 2 && memcmp(text, "??", 2) == 0;
        text += n;
    }
    return nameless && flags & PROC_VM_LOCKED ? flags | PROC_VM_LOCK_ON_FAULT : flags;
}

/* The pages of "Rss:    12 kB"; no such field: false. */
static bool take_pages(const char *line, const char *field, uint64_t *ret)
{
    size_t n = strlen(field);

    if (strncmp(line, field, n) != 0)
        return false;
    *ret = strtoull(line + n, NULL, 10) / 4;
    return true;
}

static void parse_field(const char *line, struct proc_smap *smap)
{
    if (take_pages(line, "Rss:", &smap->resident_pages) ||
        take_pages(line, "Swap:", &smap->swapped_pages) ||
        take_pages(line, "AnonHugePages:", &smap->huge_resident_pages))
        return;
    if (strncmp(line, "KernelPageSize:", 15) == 0)
        smap->page_bytes = strtoull(line + 15, NULL, 10) << 10;
    else if (strncmp(line, "ProtectionKey:", 14) == 0)
        smap->protection_key = strtoul(line + 14, NULL, 10);
    else if (strncmp(line, "VmFlags:", 8) == 0)
        smap->flags = parse_flags(line + 8);
}

static int parse_lines(char *text, struct proc_smaps *smaps, size_t *ret_line)
{
    struct proc_smap *smap = NULL;

    for (char *line = text, *next; *line; line = next) {
        next = strchrnul(line, '\n');
        if (*next)
            *next++ = 0;
        ++*ret_line;
        /* Fields begin with a capital letter, mappings with an address in small hex. */
        if (isupper((unsigned char)*line) && smap) {
            parse_field(line, smap);
            continue;
        }
        smap = ARRAY_ADD(smaps);
        if (!smap)
            return -ENOMEM;
        if (proc_map_parse_line(line, &smap->map) < 0)
            return -EINVAL;
        if (smaps->n > 1 && smap->map.start < smap[-1].map.end)
            return -EINVAL;
    }
    return 0;
}

int proc_smaps_parse(const char *text, size_t size, struct proc_smaps *ret, struct crs_error *err)
{
    _cleanup_proc_smaps_ struct proc_smaps smaps = {.text = strndup(text, size)};
    size_t line = 0;

    if (!smaps.text)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for the list of mappings");
    int r = parse_lines(smaps.text, &smaps, &line);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't understand line %zu of smaps", line);
    proc_smaps_clear(ret);
    *ret = smaps;
    smaps = (struct proc_smaps){0};
    return 0;
}

void proc_smaps_clear(struct proc_smaps *smaps)
{
    free(smaps->items);
    free(smaps->text);
    *smaps = (struct proc_smaps){0};
}

const struct proc_smap *proc_smaps_find(const struct proc_smaps *smaps, uint64_t start)
{
    size_t low = 0, high = smaps->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (smaps->items[middle].map.start < start)
            low = middle + 1;
        else
            high = middle;
    }
    return low < smaps->n && smaps->items[low].map.start == start ? &smaps->items[low] : NULL;
}
