/*
 * watcher.h - a process that takes something back should the tool be killed
 *
 * What is undone by the tool itself at the thaw stays when the tool is killed. A watcher holds what
 * is needed to take it back, and waits for the tool's end.
 */
#ifndef KOBJ_WATCHER_H
#define KOBJ_WATCHER_H

#include <stddef.h>
#include <sys/types.h>

struct watcher {
    int fd; /* whose end, everywhere, is the tool's */
    pid_t pid;
};
#define WATCHER_NONE                                                                               \
    {                                                                                              \
        -1, -1                                                                                     \
    }

/*
 * Start one that runs take_back(fds, n) when the caller, and every shelter() that it is in, has
 * ended. It must not call what needs a thread's own state. 0, -errno.
 */
int watcher_start(const int *fds, size_t n, void (*take_back)(const int *fds, size_t n),
                  struct watcher *ret);
/* It isn't needed any more. */
void watcher_dismiss(struct watcher *w);
/* Let it do its work now, and wait for that. */
void watcher_release(struct watcher *w);

#endif
