/* uring.c - /proc/PID/fdinfo/FD of an io_uring as a struct */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uring.h"

/* Lists follow the line that names them. */
enum section {
    SECTION_OTHER,
    SECTION_SQES,
    SECTION_CQES,
    SECTION_BUFFERS,
    SECTION_POLLS,
    SECTION_OVERFLOW,
};

/* ---- lines with one number ---- */

static int parse_value(const char *text, int64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoll(text, &end, 0);
    return errno || end == text ? -EINVAL : 0;
}

/* 1: it is none of these; 0: it was taken. */
static int parse_number(const char *key, const char *value, struct proc_uring *ring)
{
    const struct {
        const char *key;
        uint32_t *place;
    } numbers[] = {
        {"SqMask", &ring->sq_mask},
        {"SqHead", &ring->sq_head},
        {"SqTail", &ring->sq_tail},
        {"CachedSqHead", &ring->sq_consumed},
        {"CqMask", &ring->cq_mask},
        {"CqHead", &ring->cq_head},
        {"CqTail", &ring->cq_tail},
        {"CachedCqTail", &ring->cq_posted},
        {"UserFiles", &ring->n_files},
        {"UserBufs", &ring->n_buffers},
        {"SqThread", (uint32_t *)&ring->sq_thread},
    };
    int64_t number;

    for (size_t i = 0; i < ELEMENTS(numbers); i++) {
        if (strcmp(key, numbers[i].key) != 0)
            continue;
        if (parse_value(value, &number) < 0 || number < -1 || number > UINT32_MAX)
            return -EINVAL;
        *numbers[i].place = number;
        if (numbers[i].place == &ring->sq_consumed)
            ring->has_counters = true;
        return 0;
    }
    return 1;
}

/* ---- lists ---- */

/* "    0: 0x7f0000/4096", "    1: <none>", "    2: 0xffffffffffffffff/1" */
static int parse_buffer(const char *line, struct proc_uring *ring)
{
    struct proc_uring_buffer b = {0};

    if (sscanf(line, " %" SCNu32 ": 0x%" SCNx64 "/%" SCNu32, &b.place, &b.address, &b.size) != 3) {
        if (sscanf(line, " %" SCNu32 ":", &b.place) != 1 || !strstr(line, "<none>"))
            return -EINVAL;
        b.address = 0;
    }
    if (b.address == UINT64_MAX) /* how older kernels show none */
        b.address = b.size = 0;
    struct proc_uring_buffer *new = ARRAY_ADD(&ring->buffers);
    if (!new)
        return -ENOMEM;
    *new = b;
    return 0;
}

/* "  op=6, task_works=0" */
static int parse_poll(const char *line, struct proc_uring *ring)
{
    uint32_t op;

    if (sscanf(line, " op=%" SCNu32, &op) != 1)
        return -EINVAL;
    if (ring->n_polled++ == 0)
        ring->polled_op = op;
    return 0;
}

static int parse_entry(enum section section, const char *line, struct proc_uring *ring)
{
    switch (section) {
    case SECTION_SQES:
        ring->n_sqes_shown++;
        ring->big_sqes |= strstr(line, ", e0:") != NULL;
        return 0;
    case SECTION_CQES:
        ring->n_cqes_shown++;
        ring->big_cqes |= strstr(line, ", extra1:") != NULL || strstr(line, ", extra1=") != NULL;
        return 0;
    case SECTION_BUFFERS:
        return parse_buffer(line, ring);
    case SECTION_POLLS:
        return parse_poll(line, ring);
    case SECTION_OVERFLOW:
        ring->n_overflown++;
        return 0;
    default:
        return 0;
    }
}

/* The section that a line "KEY:" begins. */
static enum section begin_section(const char *key, const char *value, struct proc_uring *ring)
{
    if (strcmp(key, "SQEs") == 0)
        return SECTION_SQES;
    if (strcmp(key, "CQEs") == 0)
        return SECTION_CQES;
    if (strcmp(key, "UserBufs") == 0)
        return SECTION_BUFFERS;
    if (strcmp(key, "PollList") == 0)
        return SECTION_POLLS;
    if (strcmp(key, "CqOverflowList") == 0) {
        ring->has_lists = true;
        return SECTION_OVERFLOW;
    }
    if (strcmp(key, "Personalities") == 0)
        ring->personalities = true;
    if (strcmp(key, "NAPI") == 0)
        ring->napi = strstr(value, "disabled") == NULL;
    return SECTION_OTHER;
}

static int parse_line(char *line, enum section *section, struct proc_uring *ring)
{
    char *colon = strchr(line, ':');

    if (line[0] == 0)
        return 0;
    if (line[0] == ' ' || (line[0] >= '0' && line[0] <= '9'))
        return parse_entry(*section, line, ring);
    if (!colon)
        return 0;
    *colon = 0;
    *section = begin_section(line, colon + 1, ring);
    int r = parse_number(line, colon + 1, ring);
    return r < 0 ? r : 0;
}

int proc_uring_parse(const char *text, struct proc_uring *ret)
{
    struct proc_uring ring = {.sq_thread = -1};
    char *copy = strdup(text), *rest = copy;
    enum section section = SECTION_OTHER;
    int r = copy ? 0 : -ENOMEM;

    for (char *line; r == 0 && (line = strsep(&rest, "\n"));)
        r = parse_line(line, &section, &ring);
    free(copy);
    if (r < 0)
        proc_uring_clear(&ring);
    else
        *ret = ring;
    return r;
}

void proc_uring_clear(struct proc_uring *ring)
{
    free(ring->buffers.items);
    *ring = (struct proc_uring){.sq_thread = -1};
}
