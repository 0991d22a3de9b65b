/* memory_elf.c - the build-id of an ELF file. The file isn't trusted. */
#include <elf.h>
#include <string.h>

#include "base/io.h"
#include "memory_image.h"

#define NOTES_LIMIT   65536
#define HEADERS_LIMIT 256

/* The build-id among the notes in data. */
static int find_in_notes(const uint8_t *data, size_t size, struct bytes *ret)
{
    for (size_t at = 0; size - at >= sizeof(Elf64_Nhdr);) {
        Elf64_Nhdr note;
        memcpy(&note, data + at, sizeof(note));
        at += sizeof(note);
        uint64_t name = (note.n_namesz + 3ull) & ~3ull, desc = (note.n_descsz + 3ull) & ~3ull;
        if (name > size - at || note.n_descsz > size - at - name)
            return -ENODATA;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && note.n_descsz <= 64 &&
            memcmp(data + at, "GNU", 4) == 0)
            return bytes_copy(ret, data + at + name, note.n_descsz);
        if (desc > size - at - name)
            return -ENODATA;
        at += name + desc;
    }
    return -ENODATA;
}

static int read_notes(int fd, const Elf64_Phdr *header, struct bytes *ret)
{
    _cleanup_free_ uint8_t *data = NULL;

    if (header->p_type != PT_NOTE || header->p_filesz > NOTES_LIMIT ||
        header->p_offset > INT64_MAX / 2)
        return -ENODATA;
    data = malloc(header->p_filesz + 1);
    if (!data)
        return -ENOMEM;
    if (pread_full(fd, data, header->p_filesz, header->p_offset) < 0)
        return -ENODATA;
    return find_in_notes(data, header->p_filesz, ret);
}

int elf_build_id(int fd, struct bytes *ret)
{
    Elf64_Phdr header;
    Elf64_Ehdr elf;

    if (pread_full(fd, &elf, sizeof(elf), 0) < 0 || memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 ||
        elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_phentsize != sizeof(header) ||
        elf.e_phoff > INT64_MAX / 2)
        return -ENODATA;
    for (unsigned i = 0; i < elf.e_phnum && i < HEADERS_LIMIT; i++) {
        if (pread_full(fd, &header, sizeof(header), elf.e_phoff + i * sizeof(header)) < 0)
            return -ENODATA;
        int r = read_notes(fd, &header, ret);
        if (r != -ENODATA)
            return r;
    }
    return -ENODATA;
}
