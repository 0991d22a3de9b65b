/*
 * vdso.c - a saved vDSO that leads to the one of this kernel
 *
 * The program has the addresses of the saved vDSO's functions in its tables. The image is mapped
 * where it was, and the beginning of each function is overwritten with a jump to the function of
 * the same name in the vDSO of this kernel; where that has none, with the system call that does
 * the same. The image comes from a snapshot and isn't trusted.
 */
#include <elf.h>
#include <string.h>
#include <sys/syscall.h>

#include "tracee/arch/arch.h"

#define NAME_LIMIT    128
#define SYMBOLS_LIMIT 4096

/* movabs $target,%rax; jmp *%rax. (At the entry of a function %rax is free.) */
#define JUMP_SIZE 12

/* For functions that this kernel's vDSO doesn't have: the call of the same meaning. */
static const struct {
    const char *name;
    int number; /* -1: the function may answer that it isn't there (-ENOSYS) */
} calls[] = {
    {"clock_gettime", SYS_clock_gettime},
    {"gettimeofday", SYS_gettimeofday},
    {"time", SYS_time},
    {"getcpu", SYS_getcpu},
    {"clock_getres", SYS_clock_getres},
    {"getrandom", 318},
    {"sgx_enter_enclave", -1},
};

/* A vDSO: where its parts are, in offsets into its bytes. */
struct image {
    const struct bytes *bytes;
    uint64_t base; /* the address that offset 0 was linked for */
    const Elf64_Sym *symbols;
    size_t n_symbols;
    uint64_t strings, strings_size;
};

static bool within(const struct bytes *b, uint64_t offset, uint64_t size)
{
    return offset <= b->size && size <= b->size - offset;
}

static int read_at(const struct bytes *b, uint64_t offset, void *ret, size_t size)
{
    if (!within(b, offset, size))
        return -ENOEXEC;
    memcpy(ret, b->data + offset, size);
    return 0;
}

/* The number of symbols in the hash table: of the old form, or the GNU one. */
static int count_symbols(const struct bytes *b, uint64_t hash, size_t *ret)
{
    uint32_t header[2];
    int r = read_at(b, hash, header, sizeof(header));

    if (r == 0)
        *ret = header[1];
    return r;
}

static int count_gnu_symbols(const struct bytes *b, uint64_t hash, size_t *ret)
{
    struct {
        uint32_t n_buckets, first, n_bloom, shift;
    } header;
    uint32_t last = 0, value;
    int r = read_at(b, hash, &header, sizeof(header));
    uint64_t buckets = hash + sizeof(header) + (r == 0 ? header.n_bloom * 8ull : 0);

    if (r < 0 || header.n_buckets > SYMBOLS_LIMIT || header.first > SYMBOLS_LIMIT)
        return -ENOEXEC;
    for (uint32_t i = 0; i < header.n_buckets; i++) {
        r = read_at(b, buckets + i * 4ull, &value, 4);
        if (r < 0)
            return r;
        if (value > last)
            last = value;
    }
    *ret = header.first;
    if (last < header.first)
        return 0;
    for (*ret = last; *ret < SYMBOLS_LIMIT; ++*ret) {
        uint64_t chain = buckets + header.n_buckets * 4ull + (*ret - header.first) * 4ull;
        r = read_at(b, chain, &value, 4);
        if (r < 0)
            return r;
        if (value & 1)
            break;
    }
    ++*ret;
    return 0;
}

static int read_dynamic(struct image *image, uint64_t offset, uint64_t size)
{
    uint64_t symbols = 0, hash = 0, gnu_hash = 0;
    int r = -ENOEXEC;
    Elf64_Dyn d;

    for (uint64_t at = 0; at + sizeof(d) <= size; at += sizeof(d)) {
        if (read_at(image->bytes, offset + at, &d, sizeof(d)) < 0)
            return -ENOEXEC;
        if (d.d_tag == DT_NULL)
            break;
        if (d.d_tag == DT_SYMTAB)
            symbols = d.d_un.d_ptr - image->base;
        else if (d.d_tag == DT_STRTAB)
            image->strings = d.d_un.d_ptr - image->base;
        else if (d.d_tag == DT_STRSZ)
            image->strings_size = d.d_un.d_val;
        else if (d.d_tag == DT_HASH)
            hash = d.d_un.d_ptr - image->base;
        else if (d.d_tag == DT_GNU_HASH)
            gnu_hash = d.d_un.d_ptr - image->base;
    }
    if (hash)
        r = count_symbols(image->bytes, hash, &image->n_symbols);
    else if (gnu_hash)
        r = count_gnu_symbols(image->bytes, gnu_hash, &image->n_symbols);
    if (r < 0 || !symbols || symbols % 8 || image->n_symbols > SYMBOLS_LIMIT ||
        !within(image->bytes, symbols, image->n_symbols * sizeof(Elf64_Sym)) ||
        !within(image->bytes, image->strings, image->strings_size))
        return -ENOEXEC;
    image->symbols = (const Elf64_Sym *)(image->bytes->data + symbols);
    return 0;
}

static int open_image(const struct bytes *bytes, struct image *ret)
{
    struct image image = {.bytes = bytes};
    Elf64_Phdr header, dynamic = {0};
    bool loaded = false;
    Elf64_Ehdr elf;

    if (read_at(bytes, 0, &elf, sizeof(elf)) < 0 || memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 ||
        elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_machine != EM_X86_64 ||
        elf.e_phentsize != sizeof(header) || elf.e_phnum > 64 || (uintptr_t)bytes->data % 8)
        return -ENOEXEC;
    for (unsigned i = 0; i < elf.e_phnum; i++) {
        if (elf.e_phoff > bytes->size ||
            read_at(bytes, elf.e_phoff + i * sizeof(header), &header, sizeof(header)) < 0)
            return -ENOEXEC;
        if (header.p_type == PT_LOAD && !loaded) {
            image.base = header.p_vaddr - header.p_offset;
            loaded = true;
        } else if (header.p_type == PT_DYNAMIC) {
            dynamic = header;
        }
    }
    if (!loaded || !dynamic.p_filesz)
        return -ENOEXEC;
    int r = read_dynamic(&image, dynamic.p_offset, dynamic.p_filesz);
    if (r == 0)
        *ret = image;
    return r;
}

/* The name of a function that the vDSO offers; NULL: it isn't one. *ret_offset: where it begins. */
static const char *function_name(const struct image *image, size_t i, uint64_t *ret_offset)
{
    const Elf64_Sym *s = &image->symbols[i];
    unsigned bind = ELF64_ST_BIND(s->st_info);

    if (s->st_shndx == SHN_UNDEF || (bind != STB_GLOBAL && bind != STB_WEAK) ||
        ELF64_ST_TYPE(s->st_info) != STT_FUNC || s->st_name >= image->strings_size)
        return NULL;
    const char *name = (const char *)image->bytes->data + image->strings + s->st_name;
    size_t room = image->strings_size - s->st_name;
    if (strnlen(name, room < NAME_LIMIT ? room : NAME_LIMIT) ==
        (room < NAME_LIMIT ? room : NAME_LIMIT))
        return NULL;
    *ret_offset = s->st_value - image->base;
    return within(image->bytes, *ret_offset, JUMP_SIZE) ? name : NULL;
}

static bool find_function(const struct image *image, const char *name, uint64_t *ret_offset)
{
    for (size_t i = 0; i < image->n_symbols; i++) {
        const char *other = function_name(image, i, ret_offset);
        if (other && strcmp(other, name) == 0)
            return true;
    }
    return false;
}

/* How far is it to the function that begins next? */
static uint64_t room_at(const struct image *image, uint64_t offset)
{
    uint64_t room = image->bytes->size - offset, other;

    for (size_t i = 0; i < image->n_symbols; i++)
        if (function_name(image, i, &other) && other > offset && other - offset < room)
            room = other - offset;
    return room;
}

static void write_jump(uint8_t *code, uint64_t target)
{
    memcpy(code, "\x48\xb8", 2); /* movabs $target,%rax */
    memcpy(code + 2, &target, 8);
    memcpy(code + 10, "\xff\xe0", 2); /* jmp *%rax */
}

static void write_call(uint8_t *code, int number)
{
    memcpy(code, "\xb8", 1); /* mov $number,%eax */
    memcpy(code + 1, &number, 4);
    memcpy(code + 5, "\x0f\x05\xc3", 3); /* syscall; ret */
}

static void write_missing(uint8_t *code)
{
    int result = -ENOSYS;

    memcpy(code, "\xb8", 1); /* mov $-ENOSYS,%eax */
    memcpy(code + 1, &result, 4);
    memcpy(code + 5, "\xc3", 1); /* ret */
}

static int write_instead(uint8_t *code, const char *name, struct crs_error *err)
{
    const char *plain = strncmp(name, "__vdso_", 7) == 0 ? name + 7 : name;

    for (size_t i = 0; i < ELEMENTS(calls); i++) {
        if (strcmp(plain, calls[i].name) != 0)
            continue;
        if (calls[i].number < 0)
            write_missing(code);
        else
            write_call(code, calls[i].number);
        return 0;
    }
    return crs_fail(err, CRS_CANT_RESTART, ENOENT, "this kernel's vDSO has no function %s", name);
}

int arch_vdso_redirect(struct bytes *image, uint64_t at, const struct bytes *current,
                       uint64_t current_at, struct crs_error *err)
{
    struct image old, new;
    unsigned done = 0;

    if (open_image(image, &old) < 0 || open_image(current, &new) < 0)
        return crs_fail(err, CRS_CANT_RESTART, ENOEXEC, "it isn't a vDSO of a known form");
    for (size_t i = 0; i < old.n_symbols; i++) {
        uint64_t offset, target;
        const char *name = function_name(&old, i, &offset);
        if (!name)
            continue;
        if (room_at(&old, offset) < JUMP_SIZE)
            return crs_fail(err, CRS_CANT_RESTART, ENOEXEC, "its function %s is too short", name);
        if (find_function(&new, name, &target)) {
            write_jump(image->data + offset, current_at + target);
        } else {
            int r = write_instead(image->data + offset, name, err);
            if (r < 0)
                return r;
        }
        done++;
    }
    if (done == 0)
        return crs_fail(err, CRS_CANT_RESTART, ENOEXEC, "it has no functions");
    return 0;
}
