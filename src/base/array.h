/*
 * array.h - growable arrays and byte strings
 *
 *     struct { struct vma *items; size_t n, room; } vmas = {0};
 *     struct vma *v = ARRAY_ADD(&vmas);          // zeroed; NULL: no memory
 *
 * A struct of that shape is an array; its owner frees items.
 */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

#include <stddef.h>
#include <stdint.h>

#define ARRAY_OF(type)                                                                             \
    struct {                                                                                       \
        type *items;                                                                               \
        size_t n, room;                                                                            \
    }

/* Add one zeroed item; NULL when there's no memory. */
#define ARRAY_ADD(a)                                                                               \
    (array_grow((void **)&(a)->items, &(a)->n, &(a)->room, sizeof(*(a)->items)) < 0                \
         ? NULL                                                                                    \
         : &(a)->items[(a)->n - 1])

/* Count one more item, grow if needed, zero it. 0 or -ENOMEM. */
int array_grow(void **items, size_t *n, size_t *room, size_t item_size);

#define ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

/* Bytes owned by the holder of the struct. */
struct bytes {
    uint8_t *data;
    size_t size;
};
void bytes_clear(struct bytes *b);
int bytes_copy(struct bytes *b, const void *data, size_t size); /* 0 or -ENOMEM; frees the old */
#define _cleanup_bytes_ __attribute__((cleanup(bytes_clear)))

#endif
