/*
 * gadget.c - instructions of the process itself that remote calls use
 *
 * The executable mappings are searched as bytes: it does not matter whether the compiler meant
 * them as instructions.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/io.h"
#include "tracee/arch/x86_64/internal.h"

#define SEARCH_CHUNK (1 << 20)
#define OVERLAP      64

/* After `syscall` at p: pops and `add $n, %rsp`, clearing of registers (as the vDSO does it), then
 * `ret`. The bytes popped, or -1. */
static int pops_until_ret(const uint8_t *p, const uint8_t *end)
{
    int pops = 0;

    for (p += 2; p < end;) {
        if (*p == 0xc3)
            return pops;
        if (*p >= 0x58 && *p <= 0x5f && *p != 0x5c) {
            pops += 8, p += 1;
        } else if (end - p > 2 && *p == 0x41 && p[1] >= 0x58 && p[1] <= 0x5f) {
            pops += 8, p += 2;
        } else if (end - p > 4 && p[0] == 0x48 && p[1] == 0x83 && p[2] == 0xc4 && p[3] < 0x80) {
            pops += p[3], p += 4;
        } else if (end - p > 2 && *p == 0x31 && p[1] >= 0xc0) { /* xor of registers */
            p += 2;
        } else if (end - p > 3 && *p == 0x45 && p[1] == 0x31 && p[2] >= 0xc0) {
            p += 3;
        } else {
            return -1;
        }
    }
    return -1;
}

static void search_chunk(const uint8_t *data, size_t size, uint64_t address, struct gadgets *g)
{
    const uint8_t *end = data + size;

    for (const uint8_t *p = data; (p = memchr(p, 0x0f, end - p)) && end - p >= 2; p++) {
        if (p[1] != 0x05)
            continue;
        if (!g->any)
            g->any = address + (p - data);
        int pops = pops_until_ret(p, end - p > OVERLAP ? p + OVERLAP : end);
        if (pops >= 0 && pops < 512 && (!g->call || (uint64_t)pops < g->call_pops)) {
            g->call = address + (p - data);
            g->call_pops = pops;
        }
        if (!g->sigreturn && p - data >= 5 && memcmp(p - 5, "\xb8\x0f\0\0\0", 5) == 0)
            g->sigreturn = address + (p - data) - 5;
        if (!g->sigreturn && p - data >= 7 && memcmp(p - 7, "\x48\xc7\xc0\x0f\0\0\0", 7) == 0)
            g->sigreturn = address + (p - data) - 7;
    }
    if (!g->pop_rax) {
        const uint8_t *p = memmem(data, size, "\x58\xc3", 2);
        if (p)
            g->pop_rax = address + (p - data);
    }
}

/* Calls in a stub need nothing but the instruction. */
static bool complete(const struct tracee *t, const struct gadgets *g)
{
    if (t->stub)
        return g->any;
    return g->call && g->call_pops == 0 && g->sigreturn;
}

static void search_mapping(struct tracee *t, uint64_t start, uint64_t end, uint8_t *buffer,
                           struct gadgets *g)
{
    while (start < end && !complete(t, g)) {
        size_t size = end - start < SEARCH_CHUNK ? end - start : SEARCH_CHUNK;
        if (tracee_read(t, start, buffer, size, NULL) < 0)
            return;
        search_chunk(buffer, size, start, g);
        if (size <= OVERLAP)
            return;
        start += end - start <= SEARCH_CHUNK ? size : size - OVERLAP;
    }
}

/* wanted: 'v' the vDSO only, 'f' files' mappings. */
static void search_maps(struct tracee *t, char *maps, char wanted, uint8_t *buffer,
                        struct gadgets *g)
{
    for (char *line = maps; line && *line && !complete(t, g);) {
        char *next = strchr(line, '\n');
        unsigned long start, end;
        char r, w, x, p;

        if (next)
            *next = 0;
        if (sscanf(line, "%lx-%lx %c%c%c%c", &start, &end, &r, &w, &x, &p) == 6 && r == 'r' &&
            x == 'x' && w == '-' &&
            (wanted == 'v' ? strstr(line, "[vdso]") != NULL : strchr(line, '/') != NULL))
            search_mapping(t, start, end, buffer, g);
        if (next)
            *next++ = '\n';
        line = next;
    }
}

int gadgets_find(struct tracee *t, struct gadgets *ret, struct crs_error *err)
{
    _cleanup_bytes_ struct bytes maps = {0};
    _cleanup_free_ uint8_t *buffer = malloc(SEARCH_CHUNK);
    char path[64];

    *ret = (struct gadgets){0};
    /* The leader's maps are empty when it has exited. */
    snprintf(path, sizeof(path), "task/%d/maps", tracee_main(t)->tid);
    if (!buffer || read_file(t->proc_fd, path, 1 << 30, &maps) < 0)
        return crs_fail(err, CRS_FAILED, ENOMEM, "can't read the mappings of process %d", t->pid);
    search_maps(t, (char *)maps.data, 'v', buffer, ret);
    search_maps(t, (char *)maps.data, 'f', buffer, ret);
    if (!ret->any || (!ret->call && !t->stub))
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOEXEC,
                        "process %d has no `syscall` instruction in its text or vDSO: no call can "
                        "be made in it",
                        t->pid);
    return 0;
}
