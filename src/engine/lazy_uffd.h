/*
 * lazy_uffd.h - a userfaultfd in missing mode: pages that are brought when they are touched
 *
 * Calls return 0 or -errno and keep no words: most of their errors are answers.
 */
#ifndef ENGINE_LAZY_UFFD_H
#define ENGINE_LAZY_UFFD_H

#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* The flags of userfaultfd(2) for a process whose system calls may touch missing pages, too. */
#define LAZY_UFFD_FLAGS (O_CLOEXEC | O_NONBLOCK)

/*
 * May the caller have it here, for any program? It must be told of forks, which takes
 * CAP_SYS_PTRACE in the first user namespace. -EPERM, -ENOSYS, with words: what is missing.
 */
int lazy_uffd_probe(struct crs_error *err);

/* A new userfaultfd gets its features. -EPERM: forks wouldn't be told of. */
int lazy_uffd_begin(int fd);

int lazy_uffd_register(int fd, uint64_t start, uint64_t end);

/*
 * Put pages there. *ret_done bytes of them are there now, also on failure. -EEXIST: the page after
 * those is there already; -EAGAIN: go on there, when events were read if nothing was done; -ENOENT:
 * no single mapping of this userfaultfd is there; -ESRCH: the address space is gone.
 */
int lazy_uffd_copy(int fd, uint64_t to, const void *from, uint64_t size, uint64_t *ret_done);
/* The same with pages of zeros. */
int lazy_uffd_zero(int fd, uint64_t to, uint64_t size);

/* Whoever waits for the page looks again. */
void lazy_uffd_wake(int fd, uint64_t address, uint64_t size);

/* The same for all pages. */
void lazy_uffd_wake_all(int fd);

/* Whoever touches the page gets SIGBUS, from now on. Linux 6.6. */
int lazy_uffd_poison(int fd, uint64_t address, uint64_t size);

/* Is the address space still there? `unreadable`: a page of ours that can't be read. */
bool lazy_uffd_alive(int fd, const void *unreadable);

#endif
