/*
 * cleanup.h - resources that free themselves at the end of their scope
 *
 *     _cleanup_close_ int fd = open(...);
 *     _cleanup_free_ char *text = NULL;
 *     *ret = TAKE_PTR(text);       // hand over: the variable becomes NULL (or -1)
 *
 * Destructors accept NULL and -1, and keep errno.
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        close(*fd);
    errno = saved;
}

static inline void cleanup_closedir(DIR **dir)
{
    int saved = errno;
    if (*dir)
        closedir(*dir);
    errno = saved;
}

static inline void cleanup_fclose(FILE **file)
{
    int saved = errno;
    if (*file)
        fclose(*file);
    errno = saved;
}

#define _cleanup_free_     _cleanup_(cleanup_free)
#define _cleanup_close_    _cleanup_(cleanup_close)
#define _cleanup_closedir_ _cleanup_(cleanup_closedir)
#define _cleanup_fclose_   _cleanup_(cleanup_fclose)

/* Make `static inline void cleanup_NAME(TYPE **p)` from NAME_free(TYPE *). */
#define DEFINE_CLEANUP(type, name)                                                                 \
    static inline void cleanup_##name(type **p)                                                    \
    {                                                                                              \
        int saved = errno;                                                                         \
        if (*p)                                                                                    \
            name##_free(*p);                                                                       \
        errno = saved;                                                                             \
    }

#define TAKE_PTR(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) _taken = (p);                                                                \
        (p) = NULL;                                                                                \
        _taken;                                                                                    \
    })

#define TAKE_FD(fd)                                                                                \
    ({                                                                                             \
        int _taken = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        _taken;                                                                                    \
    })

#endif
