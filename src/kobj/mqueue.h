/*
 * mqueue.h - POSIX message queues: what is in them, and who is told of it
 */
#ifndef KOBJ_MQUEUE_H
#define KOBJ_MQUEUE_H

#include <mqueue.h>

#include "kobj/file.h"
#include "mqueue.pb-c.h"
#include "sysv_ipc.pb-c.h"

static inline void cleanup_mqueue(Crs__Mqueue **m)
{
    if (*m)
        crs__mqueue__free_unpacked(*m, NULL);
}
#define _cleanup_mqueue_ _cleanup_(cleanup_mqueue)

int mqueue_get_attributes(int fd, struct mq_attr *ret); /* -errno */
/* All but its name and what is in it. */
void mqueue_record(Crs__Mqueue *m, const struct stat *st, const struct mq_attr *attributes);
/* Is that a name and a size, and do the messages fit? */
bool mqueue_is_good(const Crs__Mqueue *m);
/* Make a new one, empty, for reading and writing. One without a name gets none. -1 with errno. */
int mqueue_make(const Crs__Mqueue *m);

/* What one reads in a queue's file. */
struct mqueue_status {
    size_t size;     /* bytes of all messages */
    pid_t notified;  /* the process that asked for it, as we see it; 0: none */
    unsigned signal; /* SIGEV_SIGNAL: which one */
    bool thread;     /* SIGEV_THREAD */
};
int mqueue_read_status(int fd, struct mqueue_status *ret); /* -errno */

/* ---- messages (mqueue_messages.c) ---- */

/* The messages of the queue of that file, which is the first of its files, into the record. */
int mqueue_save_messages(struct kobj_dump *ctx, const struct open_file *file,
                         const struct mq_attr *attributes, Crs__Mqueue *m, struct crs_error *err);
/* A copy of all that are in a queue, which holds them afterwards as before; `fd` reads and writes.
 */
int mqueue_copy_messages(int fd, const struct mq_attr *attributes, Crs__Mqueue *m,
                         struct crs_error *err);
/* Put them into a new queue. */
int mqueue_fill(int fd, const Crs__Mqueue *m, struct crs_error *err);
/* The same for a queue with that name that was there, and may have other messages in it. */
int mqueue_fill_again(struct kobj_restore *ctx, int fd, const Crs__Mqueue *m,
                      struct crs_error *err);

/* ---- in an IPC namespace of the program's own (mqueue_unopened.c) ---- */

/* Asked in there: the queues that no file of ctx is of, with their messages. */
int mqueue_save_unopened(const struct kobj_dump *ctx, Crs__SysvIpc *all, struct crs_error *err);
int mqueue_make_unopened(const Crs__SysvIpc *all, struct crs_error *err);

/* ---- notification (mqueue_notify.c) ---- */

/* *ret: of the file's queue, if it is the first by which its process can ask for it; NULL: none.
 * The caller frees. */
int mqueue_save_notification(struct kobj_dump *ctx, const struct open_file *file,
                             const struct mqueue_status *status, Crs__MqueueNotification **ret,
                             struct crs_error *err);
/* Ask for it again. */
int mqueue_notify(struct kobj_restore *ctx, const Crs__OpenFile *record,
                  const Crs__MqueueNotification *n, struct crs_error *err);

#endif
