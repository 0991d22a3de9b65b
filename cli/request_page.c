/* request_page.c - the page that crs-request shares with who asks */
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/request_page.h"

struct request_page *request_page_map(int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof(struct request_page))
        return NULL;
    struct request_page *page =
        mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return NULL;
    return page->magic == REQUEST_MAGIC && page->version == REQUEST_VERSION ? page : NULL;
}

void request_page_tell(uint32_t *word, uint32_t value)
{
    atomic_store((_Atomic uint32_t *)word, value);
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Whole lines, as many as there is room for. */
void request_page_log(struct request_page *page, const char *log)
{
    size_t n = strlen(log);

    if (n >= sizeof(page->log)) {
        n = sizeof(page->log) - 1;
        while (n > 0 && log[n - 1] != '\n')
            n--;
    }
    memcpy(page->log, log, n);
    page->log[n] = 0;
    page->log_size = n + 1;
}
