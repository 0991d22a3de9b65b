/*
 * elf.h - the headers and notes of an ELF image: bytes in, struct out
 *
 * The image is what a process has mapped, so nothing in it is trusted: what doesn't fit is -EINVAL
 * or isn't there. 64 bit, this machine's byte order.
 */
#ifndef PROC_ELF_H
#define PROC_ELF_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_ELF_HEADERS_LIMIT 128 /* program headers that are looked at */
#define PROC_ELF_NOTES_LIMIT   8   /* segments of notes, likewise */

/* Where the program headers are, from the beginning of the file. */
struct proc_elf_headers {
    uint64_t offset;
    size_t size; /* bytes, at most PROC_ELF_HEADERS_LIMIT headers */
};

/* Where notes lie in memory, by the address of the ELF header. */
struct proc_elf_notes {
    struct {
        int64_t distance; /* from the ELF header */
        uint64_t size;
        uint32_t alignment; /* 4 or 8 */
    } items[PROC_ELF_NOTES_LIMIT];
    size_t n;
};

/* `data`: the beginning of the image. -EINVAL: it is no ELF file of this machine. */
int proc_elf_parse(const uint8_t *data, size_t size, struct proc_elf_headers *ret);

/* `data`: its program headers. -EINVAL: none of them maps the ELF header itself. */
int proc_elf_list_notes(const uint8_t *data, size_t size, struct proc_elf_notes *ret);

/*
 * The next note of that name and type, with a description of desc_size bytes, from *at on: the
 * offset of its description in *ret, and *at behind it. -ENOENT: there's none any more.
 */
int proc_elf_next_note(const uint8_t *data, size_t size, uint32_t alignment, const char *name,
                       uint32_t type, size_t desc_size, size_t *at, size_t *ret);

#endif
