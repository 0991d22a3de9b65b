/*
 * self_symbols.c - functions of the program that dlsym() doesn't see
 *
 * A program that was linked without -rdynamic has its functions in .symtab only, in its file. The
 * file is read as what somebody else wrote: offsets and sizes are checked against its length.
 */
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "openpal/crs/self.h"

struct file {
    const unsigned char *data;
    size_t size;
};

/* `n` items of `item` bytes; NULL where the file isn't that long, or the place not aligned. */
static const void *part(const struct file *file, uint64_t offset, uint64_t n, size_t item)
{
    if (offset > file->size || offset % 8 || n > (file->size - offset) / item)
        return NULL;
    return file->data + offset;
}

static const Elf64_Shdr *sections(const struct file *file, unsigned *ret_n)
{
    const Elf64_Ehdr *header = part(file, 0, 1, sizeof(*header));

    if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) ||
        header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_shentsize != sizeof(Elf64_Shdr))
        return NULL;
    *ret_n = header->e_shnum;
    return part(file, header->e_shoff, header->e_shnum, sizeof(Elf64_Shdr));
}

static bool is_function(const Elf64_Sym *symbol)
{
    return ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && symbol->st_shndx != SHN_UNDEF &&
           ELF64_ST_BIND(symbol->st_info) != STB_LOCAL;
}

/* The value of a symbol in one table; 0: it isn't there. */
static uint64_t find_in(const struct file *file, const Elf64_Shdr *table, const Elf64_Shdr *strings,
                        const char *name)
{
    uint64_t n = table->sh_size / sizeof(Elf64_Sym);
    const Elf64_Sym *symbols = part(file, table->sh_offset, n, sizeof(*symbols));
    size_t size = strlen(name) + 1;

    if (!symbols || strings->sh_offset > file->size ||
        strings->sh_size > file->size - strings->sh_offset)
        return 0;
    const char *text = (const char *)file->data + strings->sh_offset;
    for (uint64_t i = 0; i < n; i++)
        if (is_function(&symbols[i]) && symbols[i].st_name < strings->sh_size &&
            strings->sh_size - symbols[i].st_name >= size &&
            memcmp(text + symbols[i].st_name, name, size) == 0)
            return symbols[i].st_value;
    return 0;
}

static uint64_t find(const struct file *file, const char *name, bool *ret_stripped)
{
    unsigned n = 0;
    const Elf64_Shdr *section = sections(file, &n);
    uint64_t value = 0;

    *ret_stripped = true;
    for (unsigned i = 0; section && i < n && value == 0; i++) {
        if (section[i].sh_type != SHT_SYMTAB || section[i].sh_link >= n)
            continue;
        *ret_stripped = false;
        value = find_in(file, &section[i], &section[section[i].sh_link], name);
    }
    return value;
}

/* The program comes first, and has no name. */
static int take_base(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    *(uintptr_t *)arg = info->dlpi_addr;
    return 1;
}

static bool map_program(struct file *ret)
{
    _cleanup_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= 0)
        return false;
    void *data = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return false;
    *ret = (struct file){.data = data, .size = st.st_size};
    return true;
}

void *opal_crs_self_symbol(const char *name, bool *ret_stripped)
{
    struct file file;
    uintptr_t base = 0;

    *ret_stripped = false;
    if (!map_program(&file))
        return NULL;
    uint64_t value = find(&file, name, ret_stripped);
    munmap((void *)file.data, file.size);
    dl_iterate_phdr(take_base, &base);
    return value ? (void *)(base + value) : NULL;
}
