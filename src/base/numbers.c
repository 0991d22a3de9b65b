/* numbers.c - lists of numbers that are small most of the time */
#include <errno.h>
#include <stdlib.h>

#include "numbers.h"

int numbers_add(struct numbers *numbers, uint64_t value)
{
    if (numbers->room - numbers->size < NUMBER_MAX_BYTES) {
        size_t room = numbers->room ? numbers->room * 2 : 64;
        uint8_t *data = realloc(numbers->data, room);
        if (!data)
            return -ENOMEM;
        numbers->data = data;
        numbers->room = room;
    }
    numbers->size += number_put(numbers->data + numbers->size, value);
    return 0;
}

void numbers_clear(struct numbers *numbers)
{
    free(numbers->data);
    *numbers = (struct numbers){0};
}
