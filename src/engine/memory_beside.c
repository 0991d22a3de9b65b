/*
 * memory_beside.c - smaps or numa_maps, read by another thread
 *
 * For each of them the kernel looks at each page, which takes some 10 to 30 ms for each GiB. Of a
 * small process it isn't worth a thread.
 */
#include <fcntl.h>
#include <stdio.h>

#include "base/io.h"
#include "base/processors.h"
#include "base/thread.h"
#include "memory_image.h"

#define LARGE_PAGES ((16u << 20) / PAGE)

static void *read_it(void *arg)
{
    struct memory_beside *b = arg;

    b->result = read_costly_records(AT_FDCWD, b->path, MEMORY_TEXT_LIMIT, &b->text);
    return NULL;
}

static bool is_large(pid_t pid)
{
    _cleanup_bytes_ struct bytes text = {0};
    unsigned long long size, resident;
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/statm", pid);
    return read_file(AT_FDCWD, path, 4096, &text) == 0 &&
           sscanf((const char *)text.data, "%llu %llu", &size, &resident) == 2 &&
           resident >= LARGE_PAGES;
}

void memory_beside_begin(struct memory_beside *b, pid_t pid, const char *name)
{
    *b = (struct memory_beside){0};
    snprintf(b->path, sizeof(b->path), "/proc/%d/%s", pid, name);
    if (!is_large(pid) || processors_count() < 2)
        return;
    b->runs = thread_start_worker(&b->thread, read_it, b) == 0;
}

int memory_beside_end(struct memory_beside *b, struct bytes *ret)
{
    if (b->runs)
        pthread_join(b->thread, NULL);
    else
        read_it(b);
    *ret = b->text;
    return b->result;
}
