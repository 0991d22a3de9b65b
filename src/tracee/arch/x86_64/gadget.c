/*
 * gadget.c - instructions of the process itself that remote calls use
 *
 * The executable mappings are searched as bytes: it does not matter whether the compiler meant
 * them as instructions.
 */
#include <emmintrin.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/array.h"
#include "base/io.h"
#include "tracee/arch/x86_64/internal.h"

#define SEARCH_CHUNK (64 << 10) /* most C libraries have all near the beginning */
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

/* The next place of these two bytes; NULL: there's none. Half a MiB of a C library is looked
 * through while the program stands still: 16 bytes at a time. */
static const uint8_t *find_pair(const uint8_t *p, const uint8_t *end, char first, char second)
{
    const __m128i firsts = _mm_set1_epi8(first), seconds = _mm_set1_epi8(second);

    for (; end - p > 16; p += 16) {
        __m128i here = _mm_loadu_si128((const __m128i *)p);
        __m128i behind = _mm_loadu_si128((const __m128i *)(p + 1));
        int both = _mm_movemask_epi8(
            _mm_and_si128(_mm_cmpeq_epi8(here, firsts), _mm_cmpeq_epi8(behind, seconds)));
        if (both)
            return p + __builtin_ctz(both);
    }
    for (; end - p >= 2; p++)
        if (p[0] == (uint8_t)first && p[1] == (uint8_t)second)
            return p;
    return NULL;
}

static void search_chunk(const uint8_t *data, size_t size, uint64_t address, struct gadgets *g)
{
    const uint8_t *end = data + size;

    for (const uint8_t *p = data; (p = find_pair(p, end, 0x0f, 0x05)); p++) {
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
        const uint8_t *p = find_pair(data, end, 0x58, '\xc3');
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

/* ---- one mapping ---- */

/* A mapping of code that files hold, as the line of it in the maps tells. */
struct text {
    uint64_t start, size, offset, inode;
    unsigned major, minor;
};

/*
 * What was found in the mappings of the last few processes, relative to their beginning: processes
 * of a tree mostly have the same libraries, and a search takes a millisecond. It ends with the
 * thread, as each checkpoint does. What it says is compared with the bytes that are there.
 */
#define N_KNOWN 8
static _Thread_local struct known {
    struct text text;
    struct gadgets found;
    uint8_t bytes[4][OVERLAP]; /* at each of them */
} known_texts[N_KNOWN];
static _Thread_local unsigned next_known;

static bool same_text(const struct text *a, const struct text *b)
{
    return a->inode == b->inode && a->major == b->major && a->minor == b->minor &&
           a->offset == b->offset && a->size == b->size;
}

/* The places of the gadgets; 0: not there. */
static void list_places(const struct gadgets *g, uint64_t places[4])
{
    places[0] = g->any;
    places[1] = g->call;
    places[2] = g->sigreturn;
    places[3] = g->pop_rax;
}

/* As much as decides that it is one. */
static bool read_place(struct tracee *t, const struct text *text, uint64_t place,
                       uint8_t bytes[OVERLAP])
{
    uint64_t rest = text->start + text->size - place;

    memset(bytes, 0, OVERLAP);
    return tracee_read(t, place, bytes, rest < OVERLAP ? rest : OVERLAP, NULL) == 0;
}

static void move(struct gadgets *g, uint64_t by)
{
    uint64_t *places[] = {&g->any, &g->call, &g->sigreturn, &g->pop_rax};

    for (size_t i = 0; i < ELEMENTS(places); i++)
        if (*places[i])
            *places[i] += by;
}

static bool recall(struct tracee *t, const struct text *text, struct gadgets *ret)
{
    uint8_t bytes[OVERLAP];
    uint64_t places[4];

    for (struct known *k = known_texts; k < known_texts + N_KNOWN; k++) {
        if (text->inode == 0 || !same_text(&k->text, text))
            continue;
        struct gadgets g = k->found;
        bool same = true;
        move(&g, text->start);
        list_places(&g, places);
        for (size_t i = 0; same && i < ELEMENTS(places); i++)
            if (places[i])
                same = read_place(t, text, places[i], bytes) &&
                       memcmp(bytes, k->bytes[i], OVERLAP) == 0;
        if (!same)
            continue;
        *ret = g;
        return true;
    }
    return false;
}

static void remember(struct tracee *t, const struct text *text, const struct gadgets *found)
{
    struct known *k = &known_texts[next_known++ % N_KNOWN];
    uint64_t places[4];

    *k = (struct known){.text = *text, .found = *found};
    list_places(found, places);
    for (size_t i = 0; i < ELEMENTS(places); i++)
        if (places[i] && !read_place(t, text, places[i], k->bytes[i]))
            k->text.inode = 0; /* nothing is known */
    move(&k->found, -text->start);
}

static void search_text(struct tracee *t, const struct text *text, uint8_t *buffer,
                        struct gadgets *g)
{
    uint64_t start = text->start, end = text->start + text->size;

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

/* Those of one more mapping; what was found before stays unless the other is better. */
static void add(struct gadgets *g, const struct gadgets *more)
{
    if (!g->any)
        g->any = more->any;
    if (more->call && (!g->call || more->call_pops < g->call_pops)) {
        g->call = more->call;
        g->call_pops = more->call_pops;
    }
    if (!g->sigreturn)
        g->sigreturn = more->sigreturn;
    if (!g->pop_rax)
        g->pop_rax = more->pop_rax;
}

static void search_mapping(struct tracee *t, const struct text *text, uint8_t *buffer,
                           struct gadgets *g)
{
    struct gadgets found = {0};

    if (!recall(t, text, &found)) {
        search_text(t, text, buffer, &found);
        if (text->inode && !t->stub)
            remember(t, text, &found);
    }
    add(g, &found);
}

/* ---- all mappings ---- */

/* wanted: 'v' the vDSO only, 'f' files' mappings. */
static void search_maps(struct tracee *t, char *maps, char wanted, uint8_t *buffer,
                        struct gadgets *g)
{
    for (char *line = maps; line && *line && !complete(t, g);) {
        char *next = strchr(line, '\n');
        unsigned long start, end, offset, inode;
        struct text text = {0};
        char r, w, x, p;

        if (next)
            *next = 0;
        if (sscanf(line, "%lx-%lx %c%c%c%c %lx %x:%x %lu", &start, &end, &r, &w, &x, &p, &offset,
                   &text.major, &text.minor, &inode) == 10 &&
            r == 'r' && x == 'x' && w == '-' &&
            (wanted == 'v' ? strstr(line, "[vdso]") != NULL : strchr(line, '/') != NULL)) {
            text.start = start;
            text.size = end - start;
            text.offset = offset;
            text.inode = inode;
            search_mapping(t, &text, buffer, g);
        }
        if (next)
            *next++ = '\n';
        line = next;
    }
}

int gadgets_find(struct tracee *t, char *maps, struct gadgets *ret, struct crs_error *err)
{
    _cleanup_free_ uint8_t *buffer = malloc(SEARCH_CHUNK);

    *ret = (struct gadgets){0};
    if (!buffer)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    search_maps(t, maps, 'v', buffer, ret);
    search_maps(t, maps, 'f', buffer, ret);
    if (!ret->any || (!ret->call && !t->stub))
        return crs_fail(err, CRS_CANT_CHECKPOINT, ENOEXEC,
                        "process %d has no `syscall` instruction in its text or vDSO: no call can "
                        "be made in it",
                        t->pid);
    return 0;
}
