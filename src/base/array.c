/* array.c - growable arrays and byte strings */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"

int array_grow(void **items, size_t *n, size_t *room, size_t item_size)
{
    if (*n == *room) {
        size_t more = *room ? *room * 2 : 16;
        void *p = reallocarray(*items, more, item_size);
        if (!p)
            return -ENOMEM;
        *items = p;
        *room = more;
    }
    memset((char *)*items + *n * item_size, 0, item_size);
    (*n)++;
    return 0;
}

void bytes_clear(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes){0};
}

int bytes_copy(struct bytes *b, const void *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        return -ENOMEM;
    if (size)
        memcpy(copy, data, size);
    bytes_clear(b);
    *b = (struct bytes){copy, size};
    return 0;
}
