/*
 * xstate.c - the vector state, from one processor to another
 *
 * The XSAVE area in its standard form has each component at a place of its own, but the places,
 * and with them the size, are the processor's: vendors differ in them, and one that has more
 * components has a larger area. The kernel takes an area only in its own size. So what was saved on
 * another processor is taken apart by the layout that it was saved with, and put together anew.
 */
#include <cpuid.h>
#include <pthread.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "tracee/arch/arch.h"

#define LEGACY_SIZE   512 /* x87 and SSE, the same everywhere; its last bytes are the software's */
#define SOFTWARE_AT   464
#define HEADER_SIZE   64
#define PKRU          9          /* the component with the rights by protection keys */
#define PKRU_OF_NEW   0x55555554 /* all access but by key 0 is denied */
#define EXTENDED_FROM (LEGACY_SIZE + HEADER_SIZE)

/* MPX: processors may still enable its components, but no kernel since 5.6 lets programs use it,
 * and newer processors have none. */
#define OBSOLETE (1ULL << 3 | 1ULL << 4)

/* Asked of the processor once: in a virtual machine each question leads out of it, and the layout
 * is needed for every thread. */
static struct arch_xstate_layout layout_here;
static pthread_once_t layout_is_known = PTHREAD_ONCE_INIT;

static void ask_layout(void)
{
    struct arch_xstate_layout *here = &layout_here;
    uint32_t a, b, c, d;

    arch_xsave_info(&here->xcr0, &here->size);
    for (unsigned i = 2; i < ARCH_XSTATE_PARTS; i++) {
        if (!(here->xcr0 >> i & 1) || !__get_cpuid_count(0xd, i, &a, &b, &c, &d))
            continue;
        here->parts[i].size = a;
        here->parts[i].offset = b;
    }
}

void arch_xstate_layout(struct arch_xstate_layout *ret)
{
    pthread_once(&layout_is_known, ask_layout);
    *ret = layout_here;
}

static uint64_t parts_in_use(const struct bytes *area)
{
    uint64_t used = 0;

    if (area->size >= LEGACY_SIZE + sizeof(used))
        memcpy(&used, area->data + LEGACY_SIZE, sizeof(used));
    return used;
}

/*
 * ptrace shows room for all that the processor has, most of it zeros: a thread that hasn't asked
 * for the largest component (AMX) has a smaller state.
 */
size_t arch_xstate_used_size(const struct bytes *area)
{
    const uint64_t used = parts_in_use(area) | 1ULL << PKRU; /* which ptrace tells in any case */
    size_t size = EXTENDED_FROM;

    pthread_once(&layout_is_known, ask_layout);
    for (unsigned i = 2; i < ARCH_XSTATE_PARTS; i++) {
        size_t end = (size_t)layout_here.parts[i].offset + layout_here.parts[i].size;
        if ((used >> i & 1) && end > size)
            size = end;
    }
    return size < area->size ? size : area->size;
}

bool arch_has_key_rights(const struct bytes *xstate)
{
    struct arch_xstate_layout layout;
    uint32_t rights;

    arch_xstate_layout(&layout);
    const size_t at = layout.parts[PKRU].offset;
    if (layout.parts[PKRU].size < sizeof(rights) || xstate->size < at + sizeof(rights))
        return false;
    memcpy(&rights, xstate->data + at, sizeof(rights));
    return rights != PKRU_OF_NEW;
}

uint64_t arch_xstate_lacking(uint64_t saved_xcr0)
{
    uint64_t xcr0;
    uint32_t size;

    arch_xsave_info(&xcr0, &size);
    return saved_xcr0 & ~xcr0 & ~OBSOLETE;
}

static bool has_part(const struct arch_xstate_layout *layout, unsigned i, size_t area_size)
{
    uint64_t offset = layout->parts[i].offset, size = layout->parts[i].size;

    return size > 0 && offset >= EXTENDED_FROM && offset + size <= area_size;
}

/* The components in use. Of those not known here, only what holds something: a processor may call
 * one in use that holds zeroes, which is the initial state of each. */
static uint64_t used_parts(const struct bytes *saved, const struct arch_xstate_layout *from,
                           uint64_t known)
{
    static const uint8_t zero[64 << 10];
    uint64_t used = parts_in_use(saved);

    for (unsigned i = 2; i < ARCH_XSTATE_PARTS; i++)
        if (!(known >> i & 1) && has_part(from, i, saved->size) &&
            from->parts[i].size <= sizeof(zero) &&
            memcmp(saved->data + from->parts[i].offset, zero, from->parts[i].size) == 0)
            used &= ~(1ULL << i);
    return used;
}

int arch_xstate_convert(const struct bytes *saved, const struct arch_xstate_layout *from,
                        const struct arch_xstate_layout *to, struct bytes *area,
                        struct crs_error *err)
{
    uint64_t in_use, known;

    if (saved->size < EXTENDED_FROM || area->size < EXTENDED_FROM)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "a vector state of %zu bytes", saved->size);
    memcpy(&known, area->data + SOFTWARE_AT, sizeof(known));
    in_use = used_parts(saved, from, known);
    if (in_use & ~known)
        return crs_fail(err, CRS_CANT_RESTART, ENOEXEC,
                        "a thread uses parts of the vector state (%#llx) that this machine lacks",
                        (unsigned long long)(in_use & ~known));
    memcpy(area->data, saved->data, SOFTWARE_AT);
    memset(area->data + LEGACY_SIZE, 0, area->size - LEGACY_SIZE);
    memcpy(area->data + LEGACY_SIZE, &in_use, sizeof(in_use));
    for (unsigned i = 2; i < ARCH_XSTATE_PARTS; i++) {
        if (!(in_use >> i & 1))
            continue;
        if (!has_part(from, i, saved->size) || !has_part(to, i, area->size) ||
            from->parts[i].size != to->parts[i].size)
            return crs_fail(err, CRS_CANT_RESTART, ENOEXEC,
                            "part %u of the vector state has another form on this processor", i);
        memcpy(area->data + to->parts[i].offset, saved->data + from->parts[i].offset,
               to->parts[i].size);
    }
    return 0;
}

int arch_set_xstate_from(pid_t tid, const struct bytes *saved,
                         const struct arch_xstate_layout *from, struct bytes *room,
                         struct crs_error *err)
{
    int r = room->data ? 0 : arch_get_xstate_area(tid, room, err);

    pthread_once(&layout_is_known, ask_layout);
    if (r == 0)
        r = arch_xstate_convert(saved, from, &layout_here, room, err);
    return r < 0 ? r : arch_set_xstate_area(tid, room, err);
}
