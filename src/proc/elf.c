/* elf.c - the headers and notes of an ELF image: bytes in, struct out */
#include "elf.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define PAGE_MASK 4095ull

int proc_elf_parse(const uint8_t *data, size_t size, struct proc_elf_headers *ret)
{
    Elf64_Ehdr elf;

    if (size < sizeof(elf))
        return -EINVAL;
    memcpy(&elf, data, sizeof(elf));
    if (memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 || elf.e_ident[EI_CLASS] != ELFCLASS64 ||
        elf.e_ident[EI_DATA] != ELFDATA2LSB || elf.e_phentsize != sizeof(Elf64_Phdr) ||
        elf.e_phnum == 0 || elf.e_phoff > INT64_MAX / 2)
        return -EINVAL;
    ret->offset = elf.e_phoff;
    ret->size = (elf.e_phnum < PROC_ELF_HEADERS_LIMIT ? elf.e_phnum : PROC_ELF_HEADERS_LIMIT) *
                sizeof(Elf64_Phdr);
    return 0;
}

/* The address, before relocation, at which the file's first byte is mapped. */
static int find_start(const uint8_t *data, size_t n, uint64_t *ret)
{
    Elf64_Phdr header;

    for (size_t i = 0; i < n; i++) {
        memcpy(&header, data + i * sizeof(header), sizeof(header));
        if (header.p_type != PT_LOAD || header.p_offset > PAGE_MASK)
            continue;
        *ret = header.p_vaddr - header.p_offset;
        return 0;
    }
    return -EINVAL;
}

int proc_elf_list_notes(const uint8_t *data, size_t size, struct proc_elf_notes *ret)
{
    size_t n = size / sizeof(Elf64_Phdr);
    Elf64_Phdr header;
    uint64_t start;

    ret->n = 0;
    int r = find_start(data, n, &start);
    for (size_t i = 0; r == 0 && i < n && ret->n < PROC_ELF_NOTES_LIMIT; i++) {
        memcpy(&header, data + i * sizeof(header), sizeof(header));
        if (header.p_type != PT_NOTE || header.p_memsz == 0)
            continue;
        ret->items[ret->n].distance = (int64_t)(header.p_vaddr - start);
        ret->items[ret->n].size = header.p_memsz;
        ret->items[ret->n++].alignment = header.p_align == 8 ? 8 : 4;
    }
    return r;
}

static uint64_t aligned(uint64_t value, uint32_t alignment)
{
    return (value + alignment - 1) & ~(uint64_t)(alignment - 1);
}

int proc_elf_next_note(const uint8_t *data, size_t size, uint32_t alignment, const char *name,
                       uint32_t type, size_t desc_size, size_t *at, size_t *ret)
{
    const size_t name_size = strlen(name) + 1;
    Elf64_Nhdr note;

    while (*at < size && size - *at >= sizeof(note)) {
        size_t rest = size - *at;
        memcpy(&note, data + *at, sizeof(note));
        /* All of 64 bits: sizes of 32 bits can't overflow. */
        uint64_t desc_at = aligned(sizeof(note) + (uint64_t)note.n_namesz, alignment);
        uint64_t next = aligned(desc_at + note.n_descsz, alignment);
        if (desc_at + note.n_descsz > rest)
            return -ENOENT;
        bool found = note.n_type == type && note.n_namesz == name_size &&
                     note.n_descsz == desc_size &&
                     memcmp(data + *at + sizeof(note), name, name_size) == 0;
        size_t desc = *at + desc_at;
        *at = next < rest ? *at + next : size;
        if (found) {
            *ret = desc;
            return 0;
        }
    }
    return -ENOENT;
}
