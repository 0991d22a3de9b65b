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
#include <sys/uio.h>

#include "base/array.h"
#include "base/io.h"
#include "tracee/arch/x86_64/internal.h"

#define SEARCH_CHUNK (64 << 10) /* most C libraries have all near the beginning */
#define OVERLAP      64
/* Without what chains of calls take, calls are made one by one: it is worth a search so far. */
#define CHAIN_SEARCH (1 << 20)

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

/* The first place of these `n` bytes, if *ret has none yet. */
static void find_bytes(const uint8_t *data, const uint8_t *end, uint64_t address, const char *bytes,
                       size_t n, uint64_t *ret)
{
    for (const uint8_t *p = data; !*ret && (p = find_pair(p, end, bytes[0], bytes[1])); p++)
        if ((size_t)(end - p) >= n && memcmp(p, bytes, n) == 0)
            *ret = address + (p - data);
}

/* What chains of calls take. */
static void search_links(const uint8_t *data, const uint8_t *end, uint64_t address,
                         struct gadgets *g)
{
    bool had_rdx = g->pop_rdx;

    find_bytes(data, end, address, "\x58\xc3", 2, &g->pop_rax);
    find_bytes(data, end, address, "\x5f\xc3", 2, &g->pop_rdi);
    find_bytes(data, end, address, "\x5e\xc3", 2, &g->pop_rsi);
    find_bytes(data, end, address, "\x5a\xc3", 2, &g->pop_rdx);
    if (!g->pop_rdx) {
        find_bytes(data, end, address, "\x5a\x5b\xc3", 3, &g->pop_rdx); /* and rbx */
        g->rdx_pops = !had_rdx && g->pop_rdx;
    }
    find_bytes(data, end, address, "\x48\x89\x02\xc3", 4, &g->store);
    find_bytes(data, end, address, "\x0f\x05\xc3", 3, &g->plain);
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
    g->searched += size;
}

/* Calls in a stub need nothing but the instruction. */
static bool complete(const struct tracee *t, const struct gadgets *g)
{
    if (t->stub)
        return g->any;
    return g->call && g->call_pops == 0 && g->sigreturn &&
           (gadgets_chain(g) || g->searched > CHAIN_SEARCH);
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
#define N_KNOWN  8
#define N_PLACES 9
static _Thread_local struct known {
    struct text text;
    struct gadgets found;
    uint8_t bytes[N_PLACES][OVERLAP]; /* at each of them */
} known_texts[N_KNOWN];
static _Thread_local unsigned next_known;

static bool same_text(const struct text *a, const struct text *b)
{
    return a->inode == b->inode && a->major == b->major && a->minor == b->minor &&
           a->offset == b->offset && a->size == b->size;
}

/* Where the places of the gadgets are noted; 0: not there. */
static void list_places(struct gadgets *g, uint64_t *places[N_PLACES])
{
    uint64_t *const all[N_PLACES] = {&g->any,     &g->call,    &g->sigreturn,
                                     &g->pop_rax, &g->plain,   &g->pop_rdi,
                                     &g->pop_rsi, &g->pop_rdx, &g->store};

    memcpy(places, all, sizeof(all));
}

/* As much at each of them as decides that it is one. */
static bool read_places(struct tracee *t, const struct text *text, struct gadgets *g,
                        uint8_t bytes[N_PLACES][OVERLAP])
{
    struct iovec local[N_PLACES], remote[N_PLACES];
    uint64_t *places[N_PLACES];
    size_t n = 0, size = 0;

    list_places(g, places);
    memset(bytes, 0, N_PLACES * OVERLAP);
    for (size_t i = 0; i < N_PLACES; i++) {
        if (!*places[i])
            continue;
        uint64_t rest = text->start + text->size - *places[i];
        size_t some = rest < OVERLAP ? rest : OVERLAP;
        local[n] = (struct iovec){bytes[i], some};
        remote[n++] = (struct iovec){(void *)*places[i], some};
        size += some;
    }
    return process_vm_readv(tracee_main(t)->tid, local, n, remote, n, 0) == (ssize_t)size;
}

static void move(struct gadgets *g, uint64_t by)
{
    uint64_t *places[N_PLACES];

    list_places(g, places);
    for (size_t i = 0; i < N_PLACES; i++)
        if (*places[i])
            *places[i] += by;
}

static bool recall(struct tracee *t, const struct text *text, struct gadgets *ret)
{
    uint8_t bytes[N_PLACES][OVERLAP];

    for (struct known *k = known_texts; k < known_texts + N_KNOWN; k++) {
        if (text->inode == 0 || !same_text(&k->text, text))
            continue;
        struct gadgets g = k->found;
        move(&g, text->start);
        if (!read_places(t, text, &g, bytes) || memcmp(bytes, k->bytes, sizeof(bytes)) != 0)
            continue;
        *ret = g;
        return true;
    }
    return false;
}

static void remember(struct tracee *t, const struct text *text, const struct gadgets *found)
{
    struct known *k = &known_texts[next_known++ % N_KNOWN];

    *k = (struct known){.text = *text, .found = *found};
    if (!read_places(t, text, &k->found, k->bytes))
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
        if (!t->stub)
            search_links(buffer, buffer + size, start, g);
        if (size <= OVERLAP)
            return;
        start += end - start <= SEARCH_CHUNK ? size : size - OVERLAP;
    }
}

static void add_place(uint64_t *place, uint64_t more)
{
    if (!*place)
        *place = more;
}

/* Those of one more mapping; what was found before stays unless the other is better. */
static void add(struct gadgets *g, const struct gadgets *more)
{
    add_place(&g->any, more->any);
    if (more->call && (!g->call || more->call_pops < g->call_pops)) {
        g->call = more->call;
        g->call_pops = more->call_pops;
    }
    add_place(&g->sigreturn, more->sigreturn);
    if (!g->pop_rdx)
        g->rdx_pops = more->rdx_pops;
    add_place(&g->pop_rax, more->pop_rax);
    add_place(&g->plain, more->plain);
    add_place(&g->pop_rdi, more->pop_rdi);
    add_place(&g->pop_rsi, more->pop_rsi);
    add_place(&g->pop_rdx, more->pop_rdx);
    add_place(&g->store, more->store);
    g->searched += more->searched;
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
